"""The corpus: inputs by decoder, each a file named after its SHA-256, so that none is there twice.

`seeds` makes the first ones of what the project publishes; `make fuzz` adds what reaches new code, and what
was found. ``python -m tests.fuzz.corpus`` adds seeds that are missing, after a change of a format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2ee.client.events import HistoryQuery
from e2ee.client.holding import holder_codec
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.holder_codec import encode_asked
from e2ee.crypto.backup_chunks import BackupKeys, new_head
from e2ee.crypto.content import encode_content
from e2ee.wire import codec
from e2ee.wire.framing import frame
from e2ee.wire.messages import OutcomeKind, RegistrationBody, RegistrationOutcome
from tests.client.holding.test_holder_codec import BOB, ID, MESSAGE
from tests.client.holding.test_holder_codec import unframed as _unframed
from tests.crypto.test_content import NOTICE, RECEIPT, RESUME, TEXT
from tests.fuzz.decoders import DECODERS
from tests.wire.examples import CLIENT, SERVER

CORPUS = Path(__file__).parent / "corpus"
VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
SIGNATURE_BYTES = 64
LINK = "e2ee://chat.example.org:8443/sha256:" + "A" * 43 + ",sha256:" + "B" * 42 + "E"


def inputs(name: str) -> list[bytes]:
    """All that the corpus has for a decoder."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def add(name: str, data: bytes) -> bool:
    """Keep an input; False if it is there already."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return True


def seeds() -> Iterator[tuple[str, bytes]]:
    """Valid inputs for each decoder."""
    for message in CLIENT:
        yield "client_message", codec.encode(message)
    for message in SERVER:
        yield "server_message", codec.encode(message)
    yield "frames", b"\x03" + b"".join(frame(codec.encode(message)) for message in CLIENT[:4])
    for content in (TEXT, RESUME, RECEIPT, NOTICE):
        yield "content", encode_content(content)
    for session in ("session-ml-kem", "session-rsa"):
        yield from _of_session(_vector(session))
    account = _vector("account")
    yield "identity", _bytes(account, "identity of alice, as if bob's account key were a certificate's")
    yield "registration_body", codec.encode(RegistrationBody(b"s" * 196, b"p", b"k", b"a" * 64, b"d" * 64))
    yield "registration_outcome", codec.encode(RegistrationOutcome(OutcomeKind.PIN_REQUIRED, b"s" * 16))
    head = new_head(bytes)
    yield "backup_head", head.encode(BackupKeys(b"k" * 32, b"t" * 32))
    yield "holder_asked", _unframed(holder_codec.encode(h.Hello((1,), True)))
    found = h.FindHistory(HistoryQuery(BOB, "x", 5, None, "in", 3))
    for request in (h.Queue(BOB, "hello", ID), found, h.AskStatus()):
        yield "holder_asked", _unframed(encode_asked(h.Ask(1, request)))
    for told in (h.Leaving(), h.Tell(h.MessageTold(MESSAGE))):
        yield "holder_told", _unframed(holder_codec.encode(told))
    for verb in ("status", "accounts", "check"):
        yield "admin_request", json.dumps({"verb": verb}).encode()
    yield "connect_link", LINK.encode()
    yield "connect_link", LINK.replace("chat.example.org", "[2001:db8::1]").encode() + b"/AAAA"
    for number in ("+15550100101", "tel:+1 (555) 010-0101", "+44 20 7946 0101"):
        yield "address", number.encode()
    yield "config", b'hidden = true\nchanged_key = "warn"\nreceipts = false\n'


def _vector(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return found


def _bytes(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector[name])


def _of_session(vector: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Envelopes, and what is in them and in bundles; signed bodies without their signatures."""
    yield "statement", _bytes(vector["alice"], "statement")[:-SIGNATURE_BYTES]
    yield "signed_prekey", _bytes(vector["bob"]["signed prekey"], "signed")[:-SIGNATURE_BYTES]
    yield "kem_prekey", _bytes(vector["bob"]["KEM prekey"], "signed")[:-SIGNATURE_BYTES]
    for message in vector["messages"]:
        envelope = _bytes(message, "envelope")
        yield "envelope", envelope
        parts = DECODERS["envelope"].decode(envelope)
        if parts.handshake is not None:
            yield "handshake", parts.handshake
        length = int.from_bytes(envelope[50:52], "big")
        if length:
            yield "extension", envelope[52 : 52 + length]


if __name__ == "__main__":
    added = sum(add(name, data) for name, data in seeds())
    print(f"{added} inputs added")
