"""Receipts: whom they are owed, what one tells, and what follows from one that came.

Operations over one transaction of the vault. Knows contacts and texts; not when receipts are sent
(`receipts`), nor whether the user wants that. See `docs/protocol.md`, section 6, "Receipts".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from e2ee.crypto.content import Receipt
from e2ee.crypto.limits import RECEIPT_IDS
from e2ee.ids import Address, MessageId
from e2ee.store.client import arrivals, contacts, messages, outbox, receipts
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.receipts import Owed, ReceiptState
from e2ee.store.connection import Connection

_CODES = {ReceiptState.DELIVERED: b"\x01", ReceiptState.READ: b"\x02"}
_STATES = {code: state for state, code in _CODES.items()}
_ENTRY_BYTES = 1 + MessageId.SIZE


# --- what is owed -----------------------------------------------------------------------------


def may_tell(contact: ContactRecord, account_key: bytes | None) -> bool:
    """Whether this contact may be told about a text that this account key has sent: not before the user
    has accepted him, and the key."""
    if not contact.accepted or contact.blocked or contact.pending_key is not None:
        return False
    return account_key is not None and account_key == contact.trusted_key


def owe(
    tx: Connection,
    contact: ContactRecord,
    account_key: bytes | None,
    message_id: MessageId,
    state: ReceiptState,
) -> bool:
    """Owe a receipt for this text, if its sender may be told; whether it is owed."""
    if not may_tell(contact, account_key):
        return False
    receipts.owe(tx, contact.address, message_id, state)
    return True


def owe_read(tx: Connection, rows: Iterable[int]) -> bool:
    """A reader has flushed the received texts in these rows; whether somebody is to be told."""
    owed = False
    for row in rows:
        text = messages.message_by_row(tx, row)
        contact = contacts.load_contact(tx, text.address)
        owed |= owe(tx, contact, text.account_key, text.message_id, ReceiptState.READ)
    return owed


@dataclass(frozen=True, slots=True)
class Queued:
    """For whom a receipt was put into the outbox, and whether others are still owed."""

    addresses: Sequence[Address] = ()
    left: bool = False


def queue_owed(tx: Connection, now: int, most: int) -> Queued:
    """Put what is owed to `most` contacts into the outbox, one receipt each. `now` is ms since 1970.

    To whom a text waits, nothing is added: texts come first.
    """
    queued = []
    for address in receipts.owed_addresses(tx, most):
        contact = contacts.load_contact(tx, address)
        if not may_tell(contact, contact.trusted_key):
            receipts.forget_owed(tx, address)
            continue
        outbox.add_receipt(tx, address, _body(receipts.take_owed(tx, address, RECEIPT_IDS)), now)
        queued.append(address)
    return Queued(queued, receipts.is_owed(tx))


def forget_receipts(tx: Connection, address: Address | None = None) -> None:
    """Neither what is owed nor what waits is sent to this contact, or to anybody."""
    receipts.forget_owed(tx, address)
    outbox.remove_receipts(tx, address)


# --- what one tells ---------------------------------------------------------------------------


def told_in(body: bytes) -> tuple[tuple[MessageId, ...], tuple[MessageId, ...]]:
    """The texts that are kept, and those that were read, in the body of an entry of the outbox."""
    entries = [body[at : at + _ENTRY_BYTES] for at in range(0, len(body), _ENTRY_BYTES)]
    owed = [(MessageId(entry[1:]), _STATES[entry[:1]]) for entry in entries]
    return _ids(owed, ReceiptState.DELIVERED), _ids(owed, ReceiptState.READ)


def _ids(owed: Owed, wanted: ReceiptState) -> tuple[MessageId, ...]:
    return tuple(message_id for message_id, state in owed if state is wanted)


def _body(owed: Owed) -> bytes:
    return b"".join(_CODES[state] + message_id for message_id, state in owed)


# --- what has come ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotedReceipt:
    """The arrivals that tell of it, and the rows of the own texts whose state is another one now."""

    arrivals: Sequence[int] = ()
    changed: Sequence[int] = ()


def note_receipt(
    tx: Connection, contact: ContactRecord, account_key: bytes, content: Receipt, now: int
) -> NotedReceipt:
    """Take a contact's word about own texts that were sealed for this very account key.

    `now` is ms since 1970. Nothing from whom the user has not accepted, and nothing twice.
    """
    if not may_tell(contact, account_key):
        return NotedReceipt()
    told = dict.fromkeys(content.delivered, ReceiptState.DELIVERED)
    told |= dict.fromkeys(content.read, ReceiptState.READ)
    at = min(content.sent_at, now)
    positions, rows = [], []
    for message_id, state in told.items():
        row = _advanced(tx, contact.address, account_key, message_id, state)
        if row is not None:
            rows.append(row)
            positions.append(arrivals.add_receipt(tx, contact.address, row, at))
    arrivals.forget_old_receipts(tx)
    return NotedReceipt(positions, rows)


def _advanced(
    tx: Connection, address: Address, account_key: bytes, message_id: MessageId, state: ReceiptState
) -> int | None:
    """Keep how far an own text has come; its row, if that is news.

    It waits no longer, whatever became of the server's answer.
    """
    text = messages.sent_message(tx, message_id)
    if text is None or (text.address, text.account_key) != (address, account_key):
        return None
    if text.receipt in (state, ReceiptState.READ):
        return None
    messages.save_receipt(tx, text.row, state)
    arrivals.forget_failed(tx, text.row)
    waiting = outbox.waiting_message(tx, text.row)
    if waiting is not None:
        outbox.remove_from_outbox(tx, waiting.position)
    return text.row
