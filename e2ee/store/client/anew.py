"""What a new identity of the profile means for its conversations.

One operation over a transaction of the vault. History, contacts and trust stay with the person;
sessions, numbering and finished envelopes belonged to the old keys.
"""

from __future__ import annotations

from e2ee.store.client import contacts, healings, messages, outbox, receipts, sessions
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.marks import forget_mark
from e2ee.store.client.state_counter import forget_state
from e2ee.store.connection import Connection

PRESENCE_ANNOUNCED = "presence_announced"
"""The mark of what the server was last told about presence."""


def begin_anew(tx: Connection) -> None:
    """Drop what belonged to the old identity; what waits in the outbox is numbered and sealed anew."""
    sessions.forget_sessions(tx)
    outbox.unseal_all(tx)
    _release_held(tx)
    messages.forget_numbers(tx)
    contacts.restart_all_sequences(tx)
    for address, row in outbox.waiting_texts(tx):
        messages.set_sequence(tx, row, contacts.next_sequence(tx, address))
    outbox.remove_resumes(tx)
    outbox.remove_receipts(tx)
    receipts.forget_owed(tx)
    healings.forget_healings(tx)
    forget_state(tx)
    forget_mark(tx, PRESENCE_ANNOUNCED)


def _release_held(tx: Connection) -> None:
    """What was waited for cannot be opened any more: pass on what there is, without naming gaps."""
    for address, device in messages.held_streams(tx):
        for held in messages.held_messages(tx, messages.Stream(address, device)):
            messages.release_message(tx, held.row)
            at = held.received_at or 0
            add_arrival(tx, Arrival(ArrivalKind.MESSAGE, address, at, message=held.row))
