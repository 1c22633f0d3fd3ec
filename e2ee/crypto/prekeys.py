"""Prekeys, public halves: what a device publishes so that others can write to it while it is away.

Knows how signed prekeys are encoded and verified, not how they are made (`prekey_secrets`). The
server imports this module. Signatures cover, besides the body, the device signing key that owns it.

Layouts, all numbers big-endian. Signed prekey: type 0x02, version 0x01, id (4), time (8), key (32),
signature (64). KEM prekey: type 0x03 (one-time) or 0x04 (last resort), version 0x01, suite (1),
id (4), time (8), key (length-prefixed with 2 bytes), signature (64).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from e2ee.crypto import labels, limits, primitives
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.keys import DeviceSigningKey, KemKey, KemSuite, OneTimePreKeyPublic, SignedPreKeyPublic
from e2ee.errors import EncodingRefused, SignatureRefused

_SIGNED_HEAD = b"\x02\x01"
_KEM_ONE_TIME = 0x03
_KEM_LAST_RESORT = 0x04
_VERSION = b"\x01"
KEY_IDS = 2**32
"""Ids of prekeys are below this; each kind counts for itself."""


@dataclass(frozen=True, slots=True)
class SignedPreKey:
    """A week's X25519 prekey. `created_at` is the owner's clock in ms since 1970."""

    key_id: int
    key: SignedPreKeyPublic
    created_at: int

    def encode(self) -> bytes:
        """The body that is signed."""
        return _SIGNED_HEAD + number(self.key_id, 4) + number(self.created_at, 8) + self.key.raw


@dataclass(frozen=True, slots=True)
class KemPreKey:
    """A KEM prekey, for one handshake (`one_time`) or as the last resort of a week."""

    key_id: int
    key: KemKey
    one_time: bool
    created_at: int

    @property
    def suite(self) -> KemSuite:
        """The KEM of this key."""
        return self.key.suite

    def encode(self) -> bytes:
        """The body that is signed."""
        return b"".join((
            number(_KEM_ONE_TIME if self.one_time else _KEM_LAST_RESORT, 1),
            _VERSION,
            number(self.suite, 1),
            number(self.key_id, 4),
            number(self.created_at, 8),
            prefixed(self.key.raw, 2),
        ))


@dataclass(frozen=True, slots=True)
class OneTimePreKey:
    """An X25519 prekey for one handshake; not signed (a substituted one adds nothing to withholding it).

    `OneTimePreKey(key_id, OneTimePreKeyPublic(raw))` raises KeyRefused for a bad key.
    """

    key_id: int
    key: OneTimePreKeyPublic


def covered_by_signature(owner: DeviceSigningKey, body: bytes) -> bytes:
    """What the signature of a prekey covers inside its context: its owner, then its body."""
    return owner.raw + body


def verify_signed_prekey(signed: bytes, owner: DeviceSigningKey) -> SignedPreKey:
    """Decode and verify; raises SignatureRefused (encoding, signature) or KeyRefused."""
    if len(signed) > limits.SIGNED_PREKEY_BYTES:
        raise SignatureRefused("a signed prekey is too long")
    return _verified_signed(signed, owner)


@lru_cache(maxsize=limits.STATEMENTS_REMEMBERED)
def _verified_signed(signed: bytes, owner: DeviceSigningKey) -> SignedPreKey:
    """`verify_signed_prekey`, once for the same bytes and owner: a contact's is the same for a week.

    One-time keys come once, so theirs are not worth remembering; a refusal is not remembered.
    """
    body, signature = signed[: -primitives.SIGNATURE_BYTES], signed[-primitives.SIGNATURE_BYTES :]
    try:
        prekey = _decode_signed(body)
    except EncodingRefused:
        raise SignatureRefused("a signed prekey that is not in its one encoding") from None
    owner.verify(labels.SIGNED_PREKEY, covered_by_signature(owner, body), signature)
    return prekey


def verify_kem_prekey(signed: bytes, owner: DeviceSigningKey) -> KemPreKey:
    """Decode and verify; raises SignatureRefused (encoding, signature) or KeyRefused."""
    if len(signed) > limits.KEM_PREKEY_BYTES:
        raise SignatureRefused("a KEM prekey is too long")
    body, signature = signed[: -primitives.SIGNATURE_BYTES], signed[-primitives.SIGNATURE_BYTES :]
    try:
        prekey = _decode_kem(body)
    except EncodingRefused:
        raise SignatureRefused("a KEM prekey that is not in its one encoding") from None
    owner.verify(labels.KEM_PREKEY, covered_by_signature(owner, body), signature)
    return prekey


def _decode_signed(body: bytes) -> SignedPreKey:
    reader = FieldReader(body)
    reader.expect(_SIGNED_HEAD)
    key_id, created_at = reader.number(4), _time(reader)
    key = SignedPreKeyPublic(reader.take(primitives.KEY_BYTES))
    reader.end()
    return SignedPreKey(key_id, key, created_at)


def _decode_kem(body: bytes) -> KemPreKey:
    reader = FieldReader(body)
    kind = reader.number(1)
    if kind not in (_KEM_ONE_TIME, _KEM_LAST_RESORT):
        raise EncodingRefused("of another type")
    reader.expect(_VERSION)
    suite = KemSuite.of(reader.number(1))
    key_id, created_at = reader.number(4), _time(reader)
    key = KemKey(suite, reader.prefixed(2))
    reader.end()
    return KemPreKey(key_id, key, kind == _KEM_ONE_TIME, created_at)


def _time(reader: FieldReader) -> int:
    value = reader.number(8)
    if value >= limits.COUNTERS:
        raise EncodingRefused("a time out of its range")
    return value
