"""The prekey bundle: all that is needed to begin a session with a device that is away.

Knows that a bundle is consistent and signed, not whether its account key is the one that the user
trusts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto.account_statement import AccountStatement, verify_statement
from e2ee.crypto.keys import OneTimePreKeyPublic
from e2ee.crypto.prekeys import (
    KemPreKey,
    OneTimePreKey,
    SignedPreKey,
    verify_kem_prekey,
    verify_signed_prekey,
)
from e2ee.errors import KeyRefused


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """Made by `verify_bundle` only. `one_time` is None where the server had or gave none."""

    statement: AccountStatement
    signed_statement: bytes = field(repr=False)
    signed_prekey: SignedPreKey
    kem_prekey: KemPreKey
    one_time: OneTimePreKey | None


def verify_bundle(
    signed_statement: bytes, signed_prekey: bytes, kem_prekey: bytes, one_time: tuple[int, bytes] | None
) -> VerifiedBundle:
    """Decode and verify all parts, as they came off the wire; `one_time` is (key id, key).

    Raises SignatureRefused or KeyRefused, the latter also for a KEM prekey of another suite than the
    statement names.
    """
    statement = verify_statement(signed_statement)
    owner = statement.device_signing_key
    kem = verify_kem_prekey(kem_prekey, owner)
    if kem.suite != statement.suite:
        raise KeyRefused("a KEM prekey of another suite than the account statement names")
    return VerifiedBundle(
        statement,
        signed_statement,
        verify_signed_prekey(signed_prekey, owner),
        kem,
        None if one_time is None else OneTimePreKey(one_time[0], OneTimePreKeyPublic(one_time[1])),
    )
