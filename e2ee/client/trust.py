"""Which account key belongs to whom: what is believed at once, what waits for the user's word.

Operations over one transaction of the vault. Knows statements and contacts; not how a statement was
come by: whoever calls has had the directory confirm an account key that is new or different. See
`docs/cryptography.md`, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from e2ee.client.identification.certification import issuer_of, keep_identity
from e2ee.client.sending.receipting import forget_receipts
from e2ee.crypto.account_statement import AccountStatement, verify_statement
from e2ee.crypto.keys import AccountKey
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.safety_number import safety_number
from e2ee.errors import Code, E2eeError, Failure, KeyRefused, SignatureRefused
from e2ee.ids import Address
from e2ee.store.client import contacts, healings, messages, outbox
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.connection import Connection


class StatementRefused(E2eeError):
    """A statement that contradicts a newer one of the same account key, or is about somebody else."""


class Standing(Enum):
    """How an account key stands to what the user has accepted."""

    TRUSTED = "trusted"  # the one in use
    NEW = "new"  # the first ever seen for this number
    CHANGED = "changed"  # another one than the one in use


def statement_for(signed: bytes, address: Address) -> AccountStatement:
    """Verify a statement that was given for this number. Raises StatementRefused."""
    try:
        statement = verify_statement(signed)
    except (SignatureRefused, KeyRefused):
        raise StatementRefused(f"the account statement of {address} does not verify") from None
    if statement.address != address:
        raise StatementRefused(f"the account statement given for {address} is about another number")
    return statement


def judge(tx: Connection, statement: AccountStatement, signed: bytes) -> Standing:
    """How this statement stands to what is known. Changes nothing.

    Raises StatementRefused for a lower generation than the highest seen of its account key, for the
    same one with other content, and for a lower KEM suite or fewer features than before.
    """
    address = statement.address
    known = contacts.load_statement(tx, address, statement.account_key.raw)
    if known is not None and known != signed:
        _refuse_step_back(verify_statement(known), statement)
    contact = contacts.load_contact(tx, address)
    if contact.trusted_key is None:
        return Standing.NEW
    if contact.trusted_key == statement.account_key.raw:
        return Standing.TRUSTED
    _refuse_downgrade(tx, contact, statement)
    return Standing.CHANGED


def _refuse_step_back(known: AccountStatement, statement: AccountStatement) -> None:
    if statement.generation < known.generation:
        raise StatementRefused(f"an account statement of {statement.address} older than one seen before")
    if statement.generation == known.generation:
        raise StatementRefused(f"two account statements of {statement.address} of one generation")
    _refuse_less(known, statement)


def _refuse_downgrade(tx: Connection, contact: ContactRecord, statement: AccountStatement) -> None:
    """A contact once seen with a KEM or a feature is never accepted with less, whatever its key."""
    known = contacts.load_statement(tx, contact.address, contact.trusted_key or b"")
    if known is not None:
        _refuse_less(verify_statement(known), statement)


def _refuse_less(known: AccountStatement, statement: AccountStatement) -> None:
    downgraded = known.suite.is_post_quantum and not statement.suite.is_post_quantum
    if downgraded or not set(known.features) <= set(statement.features):
        raise StatementRefused(f"an account statement of {statement.address} that offers less than before")


@dataclass(frozen=True, slots=True)
class Noted:
    """What became of a statement: how its key stands now, and the arrival that tells of a change."""

    trusted: bool
    arrival: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What the directory has for a number; no statement where it knows no such account."""

    statement: bytes | None
    identity: bytes | None = None


def note_statement(
    tx: Connection, signed: bytes, address: Address, *, identity: bytes | None, warn: bool, now: int
) -> Noted:
    """Take note of a statement that the directory serves for this number, with this X.509 identity.

    The first account key of a contact is used, unverified. Another one waits for the user's word, and
    an arrival says so. Unless the user has compared the safety number with the old one, it is used at
    once if a trusted authority certifies it, or with `warn` (a setting of the profile). `now` is ms
    since 1970. Raises StatementRefused.
    """
    statement = statement_for(signed, address)
    key = statement.account_key.raw
    standing = judge(tx, statement, signed)
    contacts.keep_contact(tx, address)
    contacts.save_statement(tx, address, key, signed)
    keep_identity(tx, address, key, identity, now)
    contact = contacts.load_contact(tx, address)
    if standing is Standing.CHANGED:
        return _note_change(tx, contact, key, warn and not contact.verified, now)
    if standing is Standing.NEW:
        contacts.trust_key(tx, address, key)
    elif contact.pending_key is not None:
        contacts.mark_pending(tx, address, None)
    return Noted(trusted=True)


def _note_change(tx: Connection, contact: ContactRecord, key: bytes, use_it: bool, now: int) -> Noted:
    arrival = accept_certified(tx, replace(contact, pending_key=key), now)
    if arrival is not None:
        return Noted(trusted=True, arrival=arrival)
    if contact.pending_key != key:
        arrival = add_arrival(tx, Arrival(ArrivalKind.KEY_CHANGED, contact.address, now))
    if use_it:
        use_key(tx, contact.address, key)
    else:
        contacts.mark_pending(tx, contact.address, key)
    return Noted(use_it, arrival)


def accept_certified(tx: Connection, contact: ContactRecord, now: int) -> int | None:
    """Use the account key that waits for a word if a trusted authority certifies it.

    The arrival that tells of it, or None. Not where the user has compared the safety number with the
    old key himself: no authority's word takes the place of that.
    """
    if contact.verified:
        return None
    issuer = issuer_of(tx, contact.address, contact.pending_key, now)
    if issuer is None or contact.pending_key is None:
        return None
    use_key(tx, contact.address, contact.pending_key)
    told = Arrival(ArrivalKind.KEY_CHANGED, contact.address, now, verified_by=issuer)
    return add_arrival(tx, told)


def use_key(tx: Connection, address: Address, account_key: bytes) -> None:
    """Send to this account key from now on, instead of another one.

    To another account the texts are numbered from 1; what waits is numbered and sealed anew. What was
    lost was lost with the account of before, and what was to be told of was said by it: nothing of it is
    asked for, or told.
    """
    contacts.trust_key(tx, address, account_key)
    contacts.restart_sequence(tx, address)
    forget_receipts(tx, address)
    outbox.remove_resumes(tx, address)
    healings.settle(tx, address)
    outbox.unseal(tx, address)
    outbox.forget_errors(tx, address)
    for waiting in outbox.unsealed_for(tx, address):
        if waiting.message is not None:
            messages.set_sequence(tx, waiting.message, contacts.next_sequence(tx, address))


def shown_key(contact: ContactRecord) -> bytes | None:
    """The account key whose safety number is shown: the one that waits for a word, else the used one."""
    return contact.pending_key or contact.trusted_key


def digits_of(own: OwnDevice, address: Address, account_key: bytes) -> str:
    """The 60 digits of the safety number with this account key of this number."""
    return safety_number(own.statement.account_key, own.address, AccountKey(account_key), address)


def changed_key_failure(address: Address) -> Failure:
    """Why nothing is sent to somebody whose account key is another one."""
    return Failure(
        Code.KEY_CHANGED,
        f"the key of {address} has changed; nothing is sent until you compare the safety number"
        " (verify) or accept the new key (trust)",
    )


def refused_statement_failure(refused: StatementRefused) -> Failure:
    """Why nothing is sent to somebody for whom the server shows keys that cannot be right."""
    return Failure(Code.KEY_CHANGED, f"{refused}; nothing is sent")
