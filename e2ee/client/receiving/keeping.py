"""What becomes of a content that was opened: kept for the reader, answered, or taken note of.

Operations over one transaction of the vault. Knows contacts and streams; not how an envelope is opened
(`incoming`). See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from e2ee.client.history.disappearing import lifetime_of, note_timer
from e2ee.client.identification.certification import issuer_of
from e2ee.client.receiving.sequence import pass_over, skip_text, take_text
from e2ee.client.recovery.resuming import note_confirmation, note_resume
from e2ee.client.sending.receipting import may_tell, note_receipt, owe
from e2ee.client.transfers.file_messages import file_offered
from e2ee.crypto.content import Content, Receipt, Resume, Text, Typing
from e2ee.crypto.limits import TYPING_MS
from e2ee.ids import Address, DeviceId, EnvelopeId
from e2ee.store.client import contacts
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.messages import RELEASED, MessageRecord, is_received
from e2ee.store.client.receipts import ReceiptState
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Pushed:
    """An envelope, and from whom the server says that it comes. `received_at` is ms since 1970."""

    address: Address
    device: DeviceId
    envelope: bytes = field(repr=False)
    envelope_id: EnvelopeId
    received_at: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A content, whose account key sent it, and the arrival that tells that this key is another one.

    `begins`: it came with a handshake, which nothing of ours has answered when it was sealed.
    """

    account_key: bytes
    content: Content
    key_changed: int | None = None
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an envelope. `arrivals` are positions of what is to be shown because of it.

    `opened`: its sender may be told so; for a blocked one it stays open whether it was ever looked at.
    `kept`: its text is new; `held`: it waits for a gap. `stock_unknown`: it named a one-time key that is
    not here. `wake`: there may be something to send to its sender. `heal`: something may be missing.
    `owed`: its sender is to be told. `typing`: its sender is writing. `changed` are rows of own texts that
    have come further. `learned`: its sender's contact token is another now.
    """

    opened: bool
    arrivals: Sequence[int] = ()
    kept: bool = False
    held: bool = False
    stock_unknown: bool = False
    wake: bool = False
    heal: bool = False
    owed: bool = False
    typing: bool = False
    learned: bool = False
    changed: Sequence[int] = ()


def keep(tx: Connection, pushed: Pushed, opened: Opened, *, receipts: bool) -> Taken:
    """Keep a text, or do what another content asks for. `receipts`: whether senders are told."""
    token = opened.content.token
    learned = token is not None and contacts.save_token(tx, pushed.address, token)
    return replace(_keep(tx, pushed, opened, receipts), learned=learned)


def _keep(tx: Connection, pushed: Pushed, opened: Opened, receipts: bool) -> Taken:
    address, content = pushed.address, opened.content
    contact = contacts.load_contact(tx, address)
    trusted = contact.trusted_key == opened.account_key
    if trusted:
        # Of another key it would be about texts that this key never got.
        contacts.save_have_up_to(tx, address, content.have_up_to)
    told = note_timer(tx, contact, opened.account_key, content, pushed.received_at)
    if isinstance(content, Text):
        heal = trusted and note_confirmation(tx, contact, pushed.received_at)
        taken = _keep_text(tx, contact, pushed, opened, content)
        if receipts and taken.kept:
            owed = owe(tx, contact, opened.account_key, content.message_id, ReceiptState.DELIVERED)
            taken = replace(taken, owed=owed)
        return replace(taken, heal=heal, arrivals=[*told, *taken.arrivals])
    taken = Taken(opened=not contact.blocked, arrivals=told)
    if not trusted:
        return taken
    if isinstance(content, Resume):
        return _resume(tx, contact, pushed, opened, content)
    if isinstance(content, Receipt):
        noted = note_receipt(tx, contact, opened.account_key, content, pushed.received_at)
        taken = replace(taken, arrivals=noted.arrivals, changed=noted.changed)
    if isinstance(content, Typing) and may_tell(contact, opened.account_key):
        taken = replace(taken, typing=abs(pushed.received_at - content.sent_at) <= TYPING_MS)
    return replace(taken, heal=note_confirmation(tx, contact, pushed.received_at))


def _keep_text(
    tx: Connection, contact: ContactRecord, pushed: Pushed, opened: Opened, content: Text
) -> Taken:
    address = pushed.address
    if contact.blocked:
        skip_text(tx, address, pushed.device, content.sequence)
        return Taken(opened=False)
    if is_received(tx, address, content.message_id):
        known = pass_over(tx, address, pushed.device, content.message_id, content.sequence)
        return Taken(opened=True, arrivals=known)
    contacts.touch_contact(tx, address, accepted=False)
    arrivals, held = take_text(
        tx, _received(tx, pushed, opened, content, contact), pushed.device, file_offered(content)
    )
    return Taken(opened=True, arrivals=arrivals, held=held, kept=True)


def _resume(
    tx: Connection, contact: ContactRecord, pushed: Pushed, opened: Opened, content: Resume
) -> Taken:
    now = pushed.received_at
    answered = note_resume(tx, contact, pushed.device, content, now, begins=opened.begins)
    return Taken(
        opened=not contact.blocked, arrivals=answered.arrivals, wake=answered.wake, heal=answered.heal
    )


def _received(
    tx: Connection, pushed: Pushed, opened: Opened, content: Text, contact: ContactRecord
) -> MessageRecord:
    return MessageRecord(
        direction="in",
        address=pushed.address,
        device=pushed.device,
        message_id=content.message_id,
        sequence=content.sequence,
        sent_at=content.sent_at,
        received_at=pushed.received_at,
        text=content.text,
        verified=contact.verified and contact.trusted_key == opened.account_key,
        late=False,
        state=RELEASED,
        account_key=opened.account_key,
        verified_by=issuer_of(tx, pushed.address, opened.account_key, pushed.received_at),
        lifetime=lifetime_of(contact, opened.account_key, content),
    )
