"""What is to be done next for everything that waits for one contact.

One operation over a transaction of the vault: overdue messages fail, old envelopes are made anew,
what can be sealed is sealed. Knows nothing of the link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from e2ee.client.events import Event, FailedReason, MessageSent
from e2ee.client.sending.outgoing import ENVELOPE_MS, WAITING_MS, Outgoing, note_failed
from e2ee.client.shown import describe, sent_state
from e2ee.client.trust import changed_key_failure, use_key
from e2ee.crypto.limits import DAY_MS
from e2ee.errors import Code
from e2ee.ids import Address, ContactToken
from e2ee.store.client import contacts, outbox
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.outbox import OutboxRecord
from e2ee.store.client.state_counter import note_sent
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Plan:
    """`entries` are to be sent now, in order, with the contact's `token`.

    `needs_bundle`: there is more, for which a new session must be begun. `key_changed`: nothing is
    sent until the user accepts. `wait`: nothing is sent for that many seconds.
    """

    entries: Sequence[OutboxRecord] = ()
    token: ContactToken | None = field(default=None, repr=False)
    needs_bundle: bool = False
    key_changed: bool = False
    wait: float | None = None
    events: list[Event] = field(default_factory=list)


def make_plan(
    tx: Connection, outgoing: Outgoing, address: Address, now: int, *, warn: bool, after: int, room: int
) -> Plan:
    """The plan for what waits behind position `after`, with room for so many sends. `now` is ms."""
    events = fail_overdue(tx, address, now)
    head = _head(tx, address)
    if head is None or room <= 0:
        return Plan(events=events)
    contact = contacts.load_contact(tx, address)
    if contact.pending_key is not None and warn and not contact.verified:
        use_key(tx, address, contact.pending_key)
        contact = contacts.load_contact(tx, address)
    if contact.pending_key is not None:
        return Plan(key_changed=True, events=[*events, *_stop(tx, head, now)])
    if head.error_code == Code.KEY_CHANGED and head.error_until is None:
        outbox.forget_errors(tx, address)
    elif head.error_until is not None and now < head.error_until <= now + DAY_MS:
        return Plan(wait=(head.error_until - now) / 1000, events=events)
    if now - head.queued_at >= ENVELOPE_MS:
        outbox.unseal(tx, address, sealed_before=now - ENVELOPE_MS)
    all_sealed = outgoing.seal_waiting(tx, address, now)
    return _send_what_is_sealed(tx, contact, after, room, all_sealed, events)


def _send_what_is_sealed(
    tx: Connection, contact: ContactRecord, after: int, room: int, all_sealed: bool, events: list[Event]
) -> Plan:
    """Up to the first one that is not sealed: nothing passes another."""
    entries: list[OutboxRecord] = []
    for entry in outbox.waiting_for(tx, contact.address, after, room):
        if entry.envelope is None:
            break
        entries.append(entry)
        note_sent(tx, entry.state_counter or 0)
    needs_bundle = not all_sealed and len(entries) < room
    return Plan(entries, contact.token, needs_bundle, events=events)


def _head(tx: Connection, address: Address) -> OutboxRecord | None:
    waiting = outbox.waiting_for(tx, address, 0, 1)
    return waiting[0] if waiting else None


def _stop(tx: Connection, head: OutboxRecord, now: int) -> list[Event]:
    failure = changed_key_failure(head.address)
    outbox.save_error(tx, head.position, failure.code, failure.sentence, None)
    return waiting_event(tx, head, now)


def waiting_event(tx: Connection, entry: OutboxRecord, now: int) -> list[Event]:
    """Tells why this entry waits, if it is a text."""
    text = outbox.message_of(tx, entry.position)
    return [] if text is None else [MessageSent(sent_state(tx, text, now))]


def fail_overdue(tx: Connection, address: Address, now: int) -> list[Event]:
    """Fail what has waited for 30 days without being accepted."""
    events: list[Event] = []
    while (head := _head(tx, address)) is not None and now - head.queued_at >= WAITING_MS:
        failed = note_failed(tx, head, FailedReason.NOT_ACCEPTED, now)
        if failed is not None:
            text, arrival = failed
            events.extend(describe(tx, [arrival]))
            events.append(MessageSent(sent_state(tx, text, now)))
    return events
