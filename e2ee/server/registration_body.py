"""What a registration brings: statement, prekeys and signatures, verified before anything is stored.

Knows what must agree with what; pure. The connection's exporter and session are covered by two
signatures, so that nothing recorded on another connection is accepted on this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto.account_statement import AccountStatement, statement_hash, verify_statement
from e2ee.crypto.prekeys import verify_kem_prekey, verify_signed_prekey
from e2ee.crypto.signing import verify_registration
from e2ee.errors import CryptoError, ProofRefused
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.server.ports import NewAccount
from e2ee.wire.codec import decode_part
from e2ee.wire.messages import RegistrationBody
from e2ee.wire.violations import ProtocolViolation


@dataclass(frozen=True, slots=True)
class Announced:
    """What the `start` of this connection named, and the connection's TLS exporter."""

    session: PasscodeSessionId
    address: Address
    account_key: bytes
    exporter: bytes = field(repr=False)


def verified_account(body: bytes, announced: Announced) -> NewAccount:
    """The account to store; raises ProofRefused, the one error, if anything is wrong with it."""
    try:
        parts = decode_part(body, RegistrationBody)
        statement = verify_statement(parts.statement)
        _check_named(statement, announced)
        _check_prekeys(parts, statement)
        verify_registration(
            statement.account_key,
            statement.device_signing_key,
            announced.exporter,
            announced.session,
            parts.account_signature,
            parts.device_signature,
        )
    except (CryptoError, ProtocolViolation):
        raise ProofRefused from None
    return _new_account(parts, statement)


def _check_named(statement: AccountStatement, announced: Announced) -> None:
    """The statement is about the number and the key that the proof was made for."""
    if statement.address != announced.address or statement.account_key.raw != announced.account_key:
        raise ProofRefused


def _check_prekeys(parts: RegistrationBody, statement: AccountStatement) -> None:
    """Both prekeys are the device's own, and the KEM prekey is the last resort of the stated KEM."""
    verify_signed_prekey(parts.signed_prekey, statement.device_signing_key)
    kem_prekey = verify_kem_prekey(parts.last_resort_prekey, statement.device_signing_key)
    if kem_prekey.one_time or kem_prekey.suite != statement.suite:
        raise ProofRefused


def _new_account(parts: RegistrationBody, statement: AccountStatement) -> NewAccount:
    return NewAccount(
        address=statement.address,
        device=statement.device,
        account_key=statement.account_key.raw,
        device_signing_key=statement.device_signing_key.raw,
        generation=statement.generation,
        statement=parts.statement,
        statement_hash=statement_hash(parts.statement),
        signed_prekey=parts.signed_prekey,
        last_resort_prekey=parts.last_resort_prekey,
    )
