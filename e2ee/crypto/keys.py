"""Public keys, one type for each role; whoever holds one knows that it is well formed.

Knows no private key, and not who owns what: that stands in signed structures (`account_statement`,
`prekeys`). The server imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from e2ee.crypto import kem_primitives, primitives
from e2ee.crypto.labels import in_context
from e2ee.errors import KeyRefused


class KemSuite(IntEnum):
    """The KEMs that prekeys may have, by the number in statements and prekeys."""

    ML_KEM_1024 = 1
    RSA_3072 = 2

    @property
    def is_post_quantum(self) -> bool:
        """Whether its secrets stay closed to a quantum computer."""
        return self is KemSuite.ML_KEM_1024

    @classmethod
    def of(cls, number: int) -> KemSuite:
        """The suite of this number; raises KeyRefused for an unknown one."""
        try:
            return cls(number)
        except ValueError:
            raise KeyRefused("a KEM suite that is not known") from None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 public key, 32 bytes. Raises KeyRefused for what `primitives` does not accept."""

    raw: bytes
    parsed: primitives.Ed25519Public = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", primitives.ed25519_public(self.raw))

    def verify(self, context: bytes, message: bytes, signature: bytes) -> None:
        """Check a signature made under this context label; raises SignatureRefused."""
        primitives.ed25519_verify(self.parsed, in_context(context, message), signature)


class AccountKey(SigningKey):
    """A person's identity, shown by the safety number: signs account statements."""

    __slots__ = ()


class DeviceSigningKey(SigningKey):
    """One installation's: signs prekeys and logins. Stands in the account statement."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AgreementKey:
    """An X25519 public key, 32 bytes. Raises KeyRefused for what `primitives` does not accept."""

    raw: bytes
    parsed: primitives.X25519Public = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", primitives.x25519_public(self.raw))


class DeviceKey(AgreementKey):
    """One installation's part in every handshake: IK of PQXDH. Stands in the account statement."""

    __slots__ = ()


class SignedPreKeyPublic(AgreementKey):
    """The key inside a signed prekey: SPK of PQXDH."""

    __slots__ = ()


class OneTimePreKeyPublic(AgreementKey):
    """The key of a one-time prekey: OPK of PQXDH."""

    __slots__ = ()


class EphemeralKey(AgreementKey):
    """Made for one handshake: EK of PQXDH."""

    __slots__ = ()


class RatchetKey(AgreementKey):
    """Made for one turn of a session: DHs and DHr of the Double Ratchet."""

    __slots__ = ()

    @classmethod
    def of_prekey(cls, prekey: SignedPreKeyPublic) -> Self:
        """The signed prekey as the recipient's first ratchet key, without parsing it again."""
        key = cls.__new__(cls)
        object.__setattr__(key, "raw", prekey.raw)
        object.__setattr__(key, "parsed", prekey.parsed)
        return key


@dataclass(frozen=True, slots=True)
class KemKey:
    """The public key of a KEM prekey: ML-KEM's, or the modulus of RSA. Raises KeyRefused for a bad one."""

    suite: KemSuite
    raw: bytes = field(repr=False)
    parsed: kem_primitives.MlKemPublic | kem_primitives.RsaPublic = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        rsa = self.suite is KemSuite.RSA_3072
        parse = kem_primitives.rsa_public if rsa else kem_primitives.mlkem_public
        object.__setattr__(self, "parsed", parse(self.raw))


@dataclass(frozen=True, slots=True)
class RatchetKemKey:
    """The ML-KEM-768 key of an offering chain. Raises KeyRefused if it fails the checks of FIPS 203."""

    raw: bytes = field(repr=False)
    parsed: kem_primitives.MlKem768Public = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", kem_primitives.mlkem768_public(self.raw))
