"""Prekeys, private halves: made and signed here, kept in the vault until they are used or retired.

Knows how they are made and encoded, not when. The server never imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto import labels, primitives
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.prekeys import KemPreKey, OneTimePreKey, SignedPreKey, covered_by_signature
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.secret_keys import (
    DeviceSigningSecretKey,
    KemSecretKey,
    OneTimePreKeySecretKey,
    SignedPreKeySecretKey,
)
from e2ee.errors import EncodingRefused, KeyRefused

_SIGNED_HEAD = b"\x01\x01"
_ONE_TIME_HEAD = b"\x02\x01"
_KEM_HEAD = b"\x03\x01"


@dataclass(frozen=True, slots=True)
class SignedPreKeySecret:
    """The private half of a SignedPreKey."""

    key_id: int
    created_at: int
    secret: SignedPreKeySecretKey = field(repr=False)

    def encode(self) -> bytes:
        """For the vault only."""
        return _SIGNED_HEAD + number(self.key_id, 4) + number(self.created_at, 8) + self.secret.raw

    @classmethod
    def decode(cls, encoded: bytes) -> SignedPreKeySecret:
        """The reverse; raises EncodingRefused."""
        reader = FieldReader(encoded)
        reader.expect(_SIGNED_HEAD)
        key_id, created_at = reader.number(4), reader.number(8)
        secret = SignedPreKeySecretKey(reader.take(primitives.KEY_BYTES))
        reader.end()
        return cls(key_id, created_at, secret)


@dataclass(frozen=True, slots=True)
class OneTimePreKeySecret:
    """The private half of a OneTimePreKey; deleted with the first message that used it."""

    key_id: int
    secret: OneTimePreKeySecretKey = field(repr=False)

    def encode(self) -> bytes:
        """For the vault only."""
        return _ONE_TIME_HEAD + number(self.key_id, 4) + self.secret.raw

    @classmethod
    def decode(cls, encoded: bytes) -> OneTimePreKeySecret:
        """The reverse; raises EncodingRefused."""
        reader = FieldReader(encoded)
        reader.expect(_ONE_TIME_HEAD)
        key_id = reader.number(4)
        secret = OneTimePreKeySecretKey(reader.take(primitives.KEY_BYTES))
        reader.end()
        return cls(key_id, secret)


@dataclass(frozen=True, slots=True)
class KemPreKeySecret:
    """The private half of a KemPreKey; a one-time one is deleted with the first message that used it."""

    key_id: int
    one_time: bool
    created_at: int
    secret: KemSecretKey = field(repr=False)

    def encode(self) -> bytes:
        """For the vault only."""
        return b"".join((
            _KEM_HEAD,
            number(self.key_id, 4),
            number(self.one_time, 1),
            number(self.created_at, 8),
            number(self.secret.suite, 1),
            prefixed(self.secret.raw, 2),
        ))

    @classmethod
    def decode(cls, encoded: bytes) -> KemPreKeySecret:
        """The reverse; raises EncodingRefused."""
        reader = FieldReader(encoded)
        reader.expect(_KEM_HEAD)
        key_id, one_time, created_at = reader.number(4), reader.flag(), reader.number(8)
        try:
            secret = KemSecretKey(KemSuite.of(reader.number(1)), reader.prefixed(2))
        except KeyRefused:
            raise EncodingRefused("a KEM secret of another suite or size") from None
        reader.end()
        return cls(key_id, one_time, created_at, secret)


@dataclass(frozen=True, slots=True)
class PreKeySecrets:
    """The private halves that one handshake names; `one_time` is None if it names none."""

    signed: SignedPreKeySecret
    kem: KemPreKeySecret
    one_time: OneTimePreKeySecret | None


def make_signed_prekey(
    owner: DeviceSigningSecretKey, key_id: int, created_at: int, entropy: Entropy
) -> tuple[SignedPreKeySecret, bytes]:
    """A new signed prekey: its secret, and the signed public half to publish."""
    secret = SignedPreKeySecret(key_id, created_at, SignedPreKeySecretKey.generate(entropy))
    body = SignedPreKey(key_id, secret.secret.public, created_at).encode()
    return secret, body + owner.sign(labels.SIGNED_PREKEY, covered_by_signature(owner.public, body))


def make_kem_prekey(
    owner: DeviceSigningSecretKey,
    key_id: int,
    created_at: int,
    one_time: bool,
    entropy: Entropy,
    suite: KemSuite = KemSuite.ML_KEM_1024,
) -> tuple[KemPreKeySecret, bytes]:
    """A new KEM prekey: its secret, and the signed public half to publish."""
    key = KemSecretKey.generate(suite, entropy)
    return sign_kem_prekey(owner, key_id, created_at, one_time, key)


def sign_kem_prekey(
    owner: DeviceSigningSecretKey, key_id: int, created_at: int, one_time: bool, key: KemSecretKey
) -> tuple[KemPreKeySecret, bytes]:
    """The same of a key that was made before, because that takes long."""
    body = KemPreKey(key_id, key.public, one_time, created_at).encode()
    signature = owner.sign(labels.KEM_PREKEY, covered_by_signature(owner.public, body))
    return KemPreKeySecret(key_id, one_time, created_at, key), body + signature


def make_one_time_prekey(key_id: int, entropy: Entropy) -> tuple[OneTimePreKeySecret, OneTimePreKey]:
    """A new one-time prekey: its secret, and the public half to publish."""
    secret = OneTimePreKeySecret(key_id, OneTimePreKeySecretKey.generate(entropy))
    return secret, OneTimePreKey(key_id, secret.secret.public)
