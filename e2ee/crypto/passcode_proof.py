"""SPAKE2 with a six-digit passcode: the proof that both sides know it, bound to one connection.

Knows the exchange and its two confirmations; not sessions, guesses or who sent the code. The only
module that imports `spake2`. That package checks no key confirmation, accepts several encodings of
one element and raises four families of errors: here an element has one encoding, and everything
that goes wrong is ProofRefused. See `docs/protocol.md`, registration; SPAKE2 is RFC 9382.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from spake2 import SPAKE2_A, SPAKE2_B

from e2ee.crypto import labels, primitives
from e2ee.crypto.primitives import KEY_BYTES, Entropy
from e2ee.errors import KeyRefused, ProofRefused
from e2ee.ids import Address, PasscodeSessionId

PROOF_VERSION = 1
ELEMENT_BYTES = 33
"""One byte for the side, and 32 bytes of a point of edwards25519."""

_CLIENT_SIDE = b"A"
_SERVER_SIDE = b"B"
_NO_SALT = bytes(primitives.HASH_BYTES)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProofIdentities:
    """What one proof is about: a proof made for other values than the peer's is refused.

    `account_key` is the raw Ed25519 key to be registered, `exporter` the 32 bytes of
    ``EXPORTER-Channel-Binding`` (RFC 9266) of the connection that carries the proof.
    """

    session: PasscodeSessionId
    address: Address
    account_key: bytes
    exporter: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.account_key) != KEY_BYTES or len(self.exporter) != KEY_BYTES:
            raise ValueError(f"an account key and an exporter have {KEY_BYTES} bytes")

    def encode(self, label: bytes) -> bytes:
        """Label, version and every value, each behind its length: no two can be confused."""
        parts = (
            label,
            bytes((PROOF_VERSION,)),
            bytes(self.session),
            self.address.encode("ascii"),
            self.account_key,
            self.exporter,
        )
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


@dataclass(frozen=True, slots=True)
class Confirmations:
    """The two keys that the exchange agreed on, if both sides had the same code and identities.

    The client confirms first: until then the server has told nothing about the code.
    """

    kc: bytes = field(repr=False)
    ks: bytes = field(repr=False)

    def client(self, body: bytes) -> bytes:
        """The client's confirmation over the body as it goes over the wire; 32 bytes."""
        return primitives.hmac_sha256(self.kc, primitives.sha256(body))

    def server(self, body: bytes, outcome: bytes) -> bytes:
        """The server's confirmation of that body and of what came of it; 32 bytes."""
        return primitives.hmac_sha256(self.ks, primitives.sha256(body) + outcome)

    def check_client(self, body: bytes, confirmation: bytes) -> None:
        """Raises ProofRefused unless this is the client's confirmation."""
        if not primitives.equal(self.client(body), confirmation):
            raise ProofRefused

    def check_server(self, body: bytes, outcome: bytes, confirmation: bytes) -> None:
        """Raises ProofRefused unless this is the server's confirmation."""
        if not primitives.equal(self.server(body, outcome), confirmation):
            raise ProofRefused


def pin_step(body: bytes, outcome: bytes, stretched: bytes) -> bytes:
    """What both sides confirm of the step after the outcome `pin_required`, as they did the body before.

    The body that this run has proven, the server's outcome as it went over the wire, and the stretched
    PIN of 32 bytes. No body begins with a label, so no confirmation of one stands for the other.
    """
    parts = primitives.sha256(body) + primitives.sha256(outcome) + stretched
    return labels.in_context(labels.PIN_STEP, parts)


class ProofInitiator:
    """The client's half between its message and the server's: good for one answer only."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: SPAKE2_A) -> None:
        self._exchange = exchange

    def finish(self, b: bytes) -> Confirmations:
        """Take the server's element. Raises ProofRefused, also at a second call."""
        return _confirmations(self._exchange, b, _SERVER_SIDE)


def initiator(code: str, identities: ProofIdentities, entropy: Entropy) -> tuple[ProofInitiator, bytes]:
    """Begin as the client: the state, and the element `a` to send.

    Raises ValueError if `code` is not six ASCII digits.
    """
    exchange = SPAKE2_A(
        _password(code),
        idA=identities.encode(labels.PASSCODE_IDENTITY_CLIENT),
        idB=identities.encode(labels.PASSCODE_IDENTITY_SERVER),
        entropy_f=entropy,
    )
    return ProofInitiator(exchange), exchange.start()


def respond(
    code: str, identities: ProofIdentities, a: bytes, entropy: Entropy
) -> tuple[bytes, Confirmations]:
    """Answer as the server: the element `b` to send, and the confirmations to come.

    Takes about 10 ms of pure Python, and its time depends on the code: run it in a worker process
    and let the answer leave on a grid. Raises ProofRefused for an `a` that is no element.
    """
    _check_element(a, _CLIENT_SIDE)
    exchange = SPAKE2_B(
        _password(code),
        idA=identities.encode(labels.PASSCODE_IDENTITY_CLIENT),
        idB=identities.encode(labels.PASSCODE_IDENTITY_SERVER),
        entropy_f=entropy,
    )
    b: bytes = exchange.start()
    return b, _confirmations(exchange, a, _CLIENT_SIDE)


def is_code(text: str) -> bool:
    """Whether this is exactly six ASCII digits."""
    return _CODE.fullmatch(text) is not None


def _password(code: str) -> bytes:
    if not is_code(code):
        raise ValueError("a code is exactly six digits")
    return code.encode("ascii")


def _confirmations(exchange: SPAKE2_A | SPAKE2_B, element: bytes, side: bytes) -> Confirmations:
    _check_element(element, side)
    try:
        key: bytes = exchange.finish(element)
    except Exception:
        # Four families of errors, AssertionError among them; which one would tell the peer why.
        raise ProofRefused from None
    return Confirmations(
        kc=primitives.hkdf(_NO_SALT, key, labels.PASSCODE_CONFIRMATION_CLIENT, KEY_BYTES),
        ks=primitives.hkdf(_NO_SALT, key, labels.PASSCODE_CONFIRMATION_SERVER, KEY_BYTES),
    )


def _check_element(element: bytes, side: bytes) -> None:
    """One encoding for each element; `spake2` itself refuses points outside the prime-order group."""
    if len(element) != ELEMENT_BYTES or element[:1] != side:
        raise ProofRefused
    try:
        # The points of SPAKE2 and of Ed25519 are the same: not canonical or small-order is no element.
        primitives.ed25519_public(element[1:])
    except (KeyRefused, ValueError):
        raise ProofRefused from None
