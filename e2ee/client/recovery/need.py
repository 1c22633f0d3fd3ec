"""Whether there is something to heal with a contact, and whether it may be done now.

Operations over one transaction of the vault. Only accepted contacts whose account key is the one that the
user accepted are healed, never strangers, and each at most once an hour: whoever sends what cannot be
opened decides nothing more than that. Knows no link. See `docs/cryptography.md`, "Healing".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from e2ee.crypto import limits
from e2ee.ids import Address
from e2ee.store.client import contacts, healings, outbox, sent_texts
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.healings import HealingRecord, Wanted
from e2ee.store.client.holes import lacks, streams_of
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.connection import Connection

_KINDS = {
    Wanted.MISSING: OutboxKind.RESUME,
    Wanted.EVERYTHING: OutboxKind.INQUIRY,
    Wanted.HANDSHAKE: OutboxKind.HEALING,
}


@dataclass(frozen=True, slots=True)
class Due:
    """Whose outbox has got something to heal, and when to look again, in ms (None: not by itself)."""

    begun: Sequence[Address] = ()
    again_in: int | None = None


def may_heal(contact: ContactRecord) -> bool:
    """Whether anything may go to this contact by itself."""
    return (
        contact.accepted
        and not contact.blocked
        and contact.trusted_key is not None
        and contact.pending_key is None
    )


def want(tx: Connection, address: Address, wanted: Wanted) -> None:
    """Something was lost between us and this number; a stranger's garbage changes nothing."""
    if may_heal(contacts.load_contact(tx, address)):
        healings.want(tx, address, wanted)


def begin_due(tx: Connection, now: int) -> Due:
    """Put into the outbox what is wanted and may be done now. `now` is ms since 1970."""
    begun: list[Address] = []
    waits: list[int] = []
    for healing in healings.wanted_healings(tx):
        contact = contacts.load_contact(tx, healing.address)
        if not may_heal(contact) or not _is_needed(tx, contact, healing, now):
            healings.settle(tx, healing.address)
            continue
        wait = _wait(healing, now)
        if wait > 0:
            waits.append(wait)
            continue
        _begin(tx, healing, now)
        begun.append(healing.address)
    return Due(begun, min(waits, default=None))


def _begin(tx: Connection, healing: HealingRecord, now: int) -> None:
    outbox.add_control(tx, healing.address, _KINDS[healing.wanted], now)
    healings.note_healed(tx, healing.address, now, _next_pause(healing, now))


def _wait(healing: HealingRecord, now: int) -> int:
    """How many ms until it may be done; a clock that was set back holds nothing up."""
    if healing.healed_at is None or now < healing.healed_at:
        return 0
    return max(0, healing.healed_at + healing.pause - now)


def _next_pause(healing: HealingRecord, now: int) -> int:
    """An hour, doubling to a day; an hour again after two quiet days."""
    if healing.healed_at is None or now - healing.healed_at >= limits.HEALING_FORGOTTEN_MS:
        return limits.HEALING_MS
    return min(max(2 * healing.pause, limits.HEALING_MS), limits.HEALING_MS_MAX)


def _is_needed(tx: Connection, contact: ContactRecord, healing: HealingRecord, now: int) -> bool:
    if healing.wanted is not Wanted.MISSING:
        return True
    lacking = any(lacks(tx, stream) for stream in streams_of(tx, contact.address))
    return lacking or is_unconfirmed(tx, contact, now)


def is_unconfirmed(tx: Connection, contact: ContactRecord, now: int) -> bool:
    """Whether the contact should have confirmed a text that the server has accepted, and has not."""
    return sent_texts.is_unconfirmed(
        tx,
        contact.address,
        contact.trusted_key or b"",
        contacts.have_up_to(tx, contact.address),
        now - limits.SENT_AGAIN_MS,
        now - limits.UNCONFIRMED_MS,
    )
