"""Private keys, one type for each role.

Knows no protocol. The server never imports this module. Every `repr` hides the key; `generate` takes
the source of entropy, `raw` is for the vault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from e2ee.crypto import kem_primitives, primitives
from e2ee.crypto.keys import (
    AccountKey,
    AgreementKey,
    DeviceKey,
    DeviceSigningKey,
    EphemeralKey,
    KemKey,
    KemSuite,
    OneTimePreKeyPublic,
    RatchetKey,
    SignedPreKeyPublic,
)
from e2ee.crypto.labels import in_context
from e2ee.crypto.primitives import Entropy
from e2ee.errors import KeyRefused


@dataclass(frozen=True, slots=True)
class SigningSecretKey:
    """An Ed25519 private key by its seed of 32 bytes."""

    raw: bytes = field(repr=False)
    parsed: primitives.Ed25519Secret = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", primitives.ed25519_secret(self.raw))

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """A new key."""
        return cls(entropy(primitives.KEY_BYTES))

    def sign(self, context: bytes, message: bytes) -> bytes:
        """A signature of 64 bytes under a context label of `labels`."""
        return primitives.ed25519_sign(self.parsed, in_context(context, message))

    def public_raw(self) -> bytes:
        """The public half, 32 bytes."""
        return self.parsed.public_key().public_bytes_raw()


class AccountSecretKey(SigningSecretKey):
    """The private half of AccountKey."""

    __slots__ = ()

    @property
    def public(self) -> AccountKey:
        """The public half."""
        return AccountKey(self.public_raw())


class DeviceSigningSecretKey(SigningSecretKey):
    """The private half of DeviceSigningKey."""

    __slots__ = ()

    @property
    def public(self) -> DeviceSigningKey:
        """The public half."""
        return DeviceSigningKey(self.public_raw())


@dataclass(frozen=True, slots=True)
class AgreementSecretKey:
    """An X25519 private key of 32 bytes; KeyRefused for another length.

    Parsed when it is used first: that takes as long as a Diffie-Hellman, and a session comes from the
    vault and goes back for every envelope, of which most need none.
    """

    raw: bytes = field(repr=False)
    _parsed: primitives.X25519Secret | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != primitives.KEY_BYTES:
            raise KeyRefused("an X25519 private key has 32 bytes")

    @property
    def parsed(self) -> primitives.X25519Secret:
        """The library's object, made once."""
        parsed = self._parsed
        if parsed is None:
            parsed = primitives.x25519_secret(self.raw)
            object.__setattr__(self, "_parsed", parsed)
        return parsed

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """A new key."""
        return cls(entropy(primitives.KEY_BYTES))

    def exchange(self, other: AgreementKey) -> bytes:
        """The Diffie-Hellman secret, 32 bytes; raises KeyRefused if it is zero."""
        return primitives.x25519(self.parsed, other.parsed)

    def public_raw(self) -> bytes:
        """The public half, 32 bytes."""
        return self.parsed.public_key().public_bytes_raw()


class DeviceSecretKey(AgreementSecretKey):
    """The private half of DeviceKey."""

    __slots__ = ()

    @property
    def public(self) -> DeviceKey:
        """The public half."""
        return DeviceKey(self.public_raw())


class SignedPreKeySecretKey(AgreementSecretKey):
    """The private half of SignedPreKeyPublic."""

    __slots__ = ()

    @property
    def public(self) -> SignedPreKeyPublic:
        """The public half."""
        return SignedPreKeyPublic(self.public_raw())


class OneTimePreKeySecretKey(AgreementSecretKey):
    """The private half of OneTimePreKeyPublic."""

    __slots__ = ()

    @property
    def public(self) -> OneTimePreKeyPublic:
        """The public half."""
        return OneTimePreKeyPublic(self.public_raw())


class EphemeralSecretKey(AgreementSecretKey):
    """The private half of EphemeralKey; lives for one call."""

    __slots__ = ()

    @property
    def public(self) -> EphemeralKey:
        """The public half."""
        return EphemeralKey(self.public_raw())


class RatchetSecretKey(AgreementSecretKey):
    """The private half of RatchetKey."""

    __slots__ = ()

    @classmethod
    def of_prekey(cls, prekey: SignedPreKeySecretKey) -> Self:
        """The signed prekey as the recipient's first ratchet key, without parsing it again."""
        key = cls.__new__(cls)
        object.__setattr__(key, "raw", prekey.raw)
        object.__setattr__(key, "_parsed", prekey.parsed)
        return key

    @property
    def public(self) -> RatchetKey:
        """The public half."""
        return RatchetKey(self.public_raw())


@dataclass(frozen=True, slots=True)
class KemSecretKey:
    """The private half of KemKey: a seed of 64 bytes for ML-KEM-1024, primes and rejection key for RSA.

    Whoever has one needs its public half, too, to publish it or for a transcript: so that is at hand.
    """

    suite: KemSuite
    raw: bytes = field(repr=False)
    public_raw: bytes = field(init=False, repr=False, compare=False)
    parsed: kem_primitives.MlKemSecret | kem_primitives.RsaSecret = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.suite is KemSuite.RSA_3072:
            rsa = _parse_rsa(self.raw)
            object.__setattr__(self, "parsed", rsa)
            object.__setattr__(self, "public_raw", kem_primitives.rsa_modulus(rsa.public_key()))
        else:
            parsed = kem_primitives.mlkem_secret(self.raw)
            object.__setattr__(self, "parsed", parsed)
            object.__setattr__(self, "public_raw", parsed.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, suite: KemSuite, entropy: Entropy) -> Self:
        """A new key. One for RSA takes up to seconds, and the library's own randomness."""
        if suite is KemSuite.RSA_3072:
            return cls(suite, kem_primitives.rsa_generate() + entropy(primitives.KEY_BYTES))
        return cls(suite, entropy(kem_primitives.MLKEM_SEED_BYTES))

    @property
    def rejection_key(self) -> bytes:
        """Of RSA: what takes the place of a secret that does not decrypt is derived from it."""
        return self.raw[kem_primitives.RSA_PRIMES_BYTES :]

    @property
    def public(self) -> KemKey:
        """The public half."""
        return KemKey(self.suite, self.public_raw)


def _parse_rsa(raw: bytes) -> kem_primitives.RsaSecret:
    if len(raw) != kem_primitives.RSA_PRIMES_BYTES + primitives.KEY_BYTES:
        raise KeyRefused("an RSA prekey has two primes and a rejection key")
    return kem_primitives.rsa_secret(raw[: kem_primitives.RSA_PRIMES_BYTES])


@dataclass(frozen=True, slots=True)
class RatchetKemSecretKey:
    """The private half of RatchetKemKey, by its seed of 64 bytes, with its public half at hand.

    `parsed` is None in one that comes from the vault: to parse a seed takes as long as a Diffie-Hellman,
    and most envelopes are not the answer that needs it.
    """

    raw: bytes = field(repr=False)
    public_raw: bytes = field(repr=False)
    parsed: kem_primitives.MlKem768Secret | None = field(default=None, repr=False, compare=False)

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """A new key."""
        seed = entropy(kem_primitives.MLKEM_SEED_BYTES)
        parsed = kem_primitives.mlkem768_secret(seed)
        return cls(seed, parsed.public_key().public_bytes_raw(), parsed)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The secret of 32 bytes; a wrong ciphertext gives another one. OpenFailed for another length."""
        parsed = self.parsed or kem_primitives.mlkem768_secret(self.raw)
        return kem_primitives.mlkem768_decapsulate(parsed, ciphertext)
