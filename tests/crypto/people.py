"""Two people with keys from a seed, for the tests of this package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from e2ee.crypto.account_statement import FEATURES
from e2ee.crypto.bundle import VerifiedBundle, verify_bundle
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice, create_device, sign_statement
from e2ee.crypto.prekey_secrets import (
    PreKeySecrets,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.session import Session, accept_session, begin_session
from e2ee.ids import Address

ALICE = Address("+15550100101")
BOB = Address("+15550100102")
MALLORY = Address("+15550100103")
NOW = 1_800_000_000_000
"""A time in ms since 1970."""


class SeededEntropy:
    """Bytes that are the same in every run: SHA-256 of the seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def __call__(self, size: int) -> bytes:
        output = b""
        while len(output) < size:
            self._count += 1
            output += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return output[:size]


@dataclass(frozen=True)
class Person:
    """A device with one prekey of each kind, as published and as kept."""

    own: OwnDevice
    entropy: SeededEntropy
    secrets: PreKeySecrets
    signed_prekey: bytes
    kem_prekey: bytes
    one_time: tuple[int, bytes] | None

    @property
    def bundle(self) -> VerifiedBundle:
        """What the directory serves."""
        return verify_bundle(self.own.signed_statement, self.signed_prekey, self.kem_prekey, self.one_time)


def person(
    address: Address,
    seed: str = "",
    *,
    one_time: bool = True,
    kem_one_time: bool = True,
    features: tuple[int, ...] = FEATURES,
    suite: KemSuite = KemSuite.ML_KEM_1024,
) -> Person:
    """Someone with this number; without one-time keys if so asked."""
    entropy = SeededEntropy(seed + address)
    own = create_device(address, NOW, entropy, suite)
    statement = replace(own.statement, features=features)
    signed_statement = sign_statement(own.account_secret, statement)
    own = replace(own, statement=statement, signed_statement=signed_statement)
    signed_secret, signed = make_signed_prekey(own.device_signing_secret, 7, NOW, entropy)
    owner = own.device_signing_secret
    kem_secret, kem = make_kem_prekey(owner, 8, NOW, kem_one_time, entropy, suite)
    one_secret, one_public = make_one_time_prekey(9, entropy)
    secrets = PreKeySecrets(signed_secret, kem_secret, one_secret if one_time else None)
    published = (one_public.key_id, one_public.key.raw) if one_time else None
    return Person(own, entropy, secrets, signed, kem, published)


def begun(initiator: Person, recipient: Person) -> Session:
    """The initiator's session, nothing sent yet."""
    return begin_session(initiator.own, recipient.bundle, NOW, initiator.entropy, encapsulate)


def established(initiator: Person, recipient: Person) -> tuple[Session, Session]:
    """Both sides of a session after one message each way."""
    ours, first = begun(initiator, recipient).seal(b"first", NOW, initiator.entropy, encapsulate)
    theirs, _ = accept_session(recipient.own, first, recipient.secrets, NOW)
    theirs, answer = theirs.seal(b"answer", NOW, recipient.entropy, encapsulate)
    ours, _ = ours.open(answer, NOW)
    return ours, theirs
