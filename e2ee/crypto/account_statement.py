"""The account statement: what an account key says about its number and its one device.

Knows how a statement is encoded and verified, not how one is signed (`own_device`) nor which of two
statements to believe. The server imports this module.

Layout, all numbers big-endian: type 0x01, version 0x01, account key (32), number (length-prefixed
with 1 byte), generation (8), KEM suite (1), features (count in 1 byte, 2 bytes each, ascending),
number of devices 0x01, device id (8), device signing key (32), device key (32), signature (64).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from e2ee.crypto import labels, limits, primitives
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.keys import AccountKey, DeviceKey, DeviceSigningKey, KemSuite
from e2ee.errors import EncodingRefused, InvalidAddress, SignatureRefused
from e2ee.ids import Address, DeviceId

HYBRID_CHAINS = 1
"""The feature of post-quantum steps in the ratchet (`docs/cryptography.md`, section 3)."""
FEATURES = (HYBRID_CHAINS,)
"""What a new device has."""

_HEAD = b"\x01\x01"
_ONE_DEVICE = b"\x01"


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """One account with one device. `generation` grows with each statement of the account key.

    `features` are sorted numbers below 2**16, such as HYBRID_CHAINS.
    """

    account_key: AccountKey
    address: Address
    generation: int
    suite: KemSuite
    features: tuple[int, ...]
    device: DeviceId
    device_signing_key: DeviceSigningKey
    device_key: DeviceKey

    def encode(self) -> bytes:
        """The bytes that the account key signs; ValueError for what has no encoding."""
        if not 0 <= self.generation < limits.COUNTERS:
            raise ValueError("a generation is a number below 2**53")
        if not _is_feature_list(self.features):
            raise ValueError("features are at most 64 ascending numbers below 2**16")
        return b"".join((
            _HEAD,
            self.account_key.raw,
            prefixed(self.address.encode(), 1),
            number(self.generation, 8),
            number(self.suite, 1),
            number(len(self.features), 1),
            *(number(feature, 2) for feature in self.features),
            _ONE_DEVICE,
            self.device,
            self.device_signing_key.raw,
            self.device_key.raw,
        ))


def verify_statement(signed: bytes) -> AccountStatement:
    """Decode a signed statement and check the signature of the account key that it names.

    Raises SignatureRefused if it is not in its one encoding or not signed by that key, KeyRefused if
    one of its keys or its suite is not acceptable.
    """
    if len(signed) > limits.STATEMENT_BYTES:
        raise SignatureRefused("an account statement is too long")
    return _verified(signed)


@lru_cache(maxsize=limits.STATEMENTS_REMEMBERED)
def _verified(signed: bytes) -> AccountStatement:
    """`verify_statement`, once for the same bytes: a contact's statement comes again and again.

    The outcome hangs on the bytes alone, signature and key included; a refusal is not remembered.
    """
    body, signature = signed[: -primitives.SIGNATURE_BYTES], signed[-primitives.SIGNATURE_BYTES :]
    try:
        statement = _decode(body)
    except (EncodingRefused, InvalidAddress, UnicodeDecodeError):
        raise SignatureRefused("an account statement that is not in its one encoding") from None
    statement.account_key.verify(labels.ACCOUNT_STATEMENT, body, signature)
    return statement


def statement_hash(signed: bytes) -> bytes:
    """SHA-256 of a signed statement: names it on the wire and in logins, 32 bytes."""
    return primitives.sha256(signed)


def common_features(one: AccountStatement, other: AccountStatement) -> tuple[int, ...]:
    """The features that both have, ascending."""
    return tuple(feature for feature in one.features if feature in other.features)


def _decode(body: bytes) -> AccountStatement:
    reader = FieldReader(body)
    reader.expect(_HEAD)
    account_key = AccountKey(reader.take(primitives.KEY_BYTES))
    address = Address(reader.prefixed(1).decode("ascii"))
    generation = reader.number(8)
    suite = KemSuite.of(reader.number(1))
    features = tuple(reader.number(2) for _ in range(reader.number(1)))
    if generation >= limits.COUNTERS or not _is_feature_list(features):
        raise EncodingRefused("a number out of its range")
    reader.expect(_ONE_DEVICE)
    device = DeviceId(reader.take(DeviceId.SIZE))
    device_signing_key = DeviceSigningKey(reader.take(primitives.KEY_BYTES))
    device_key = DeviceKey(reader.take(primitives.KEY_BYTES))
    reader.end()
    return AccountStatement(
        account_key, address, generation, suite, features, device, device_signing_key, device_key
    )


def _is_feature_list(features: tuple[int, ...]) -> bool:
    if len(features) > limits.FEATURES:
        return False
    return list(features) == sorted(set(features)) and all(0 <= one < 2**16 for one in features)
