"""The worker process that answers SPAKE2, and the two frames that it exchanges with the server.

Run as ``python -m e2ee.server.proof_worker``: reads requests from standard input, writes one answer
for each to standard output, in order, and ends when its input does. Knows no session, number of
guesses or connection. Codes come and keys go through these two pipes only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from e2ee.crypto.passcode_proof import ProofIdentities, respond
from e2ee.errors import ProofRefused
from e2ee.ids import Address, PasscodeSessionId

Entropy = Callable[[int], bytes]

LENGTH_BYTES = 4
FRAME_BYTES = 1024
"""More than any frame here; a length above it means that the two sides have lost each other."""


class ProofRequest(msgspec.Struct, frozen=True, array_like=True):
    """What `passcode_proof.respond` needs. Has no repr of its values: they are secret."""

    code: str
    session: bytes
    address: str
    account_key: bytes
    exporter: bytes
    a: bytes

    def __repr__(self) -> str:
        return "ProofRequest(…)"


class ProofAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The server's element and the two confirmation keys; all empty if the proof was refused."""

    b: bytes
    kc: bytes
    ks: bytes

    def __repr__(self) -> str:
        return "ProofAnswer(…)"


REFUSED = ProofAnswer(b"", b"", b"")

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(ProofRequest).decode
decode_answer = msgspec.msgpack.Decoder(ProofAnswer).decode


def frame(message: ProofRequest | ProofAnswer) -> bytes:
    """The message behind its length."""
    encoded = _encode(message)
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


def answer(request: ProofRequest, entropy: Entropy) -> ProofAnswer:
    """Compute one answer; a refused proof is REFUSED, whatever was wrong with it."""
    identities = ProofIdentities(
        PasscodeSessionId(request.session), Address(request.address), request.account_key, request.exporter
    )
    try:
        b, confirmations = respond(request.code, identities, request.a, entropy)
    except ProofRefused:
        return REFUSED
    return ProofAnswer(b, confirmations.kc, confirmations.ks)


def serve(requests: BinaryIO, answers: BinaryIO, entropy: Entropy) -> None:
    """Answer until the input ends; a frame cut off by its end is dropped."""
    while len(prefix := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        size = int.from_bytes(prefix, "big")
        if size > FRAME_BYTES or len(encoded := requests.read(size)) != size:
            return
        answers.write(frame(answer(_decode_request(encoded), entropy)))
        answers.flush()


def main() -> None:
    """Serve on the standard streams. Signals to the server's whole group are the server's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer, os.urandom)


if __name__ == "__main__":
    main()
