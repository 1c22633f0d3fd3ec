"""How two sides find out what one of them lacks: what is said of it, and what follows from what they say.

Operations over one transaction of the vault. Only authenticated sequence numbers count, never what stands
on an envelope that could not be opened, and nothing is deleted. See `docs/cryptography.md`, "Healing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from e2ee.client.receiving.sequence import advanced
from e2ee.client.recovery.need import is_unconfirmed, may_heal
from e2ee.crypto import limits
from e2ee.crypto.content import Resume
from e2ee.crypto.counters import NumberRange
from e2ee.ids import DeviceId
from e2ee.store.client import contacts, healings, messages, outbox, sent_texts
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.healings import Wanted
from e2ee.store.client.holes import highest_received, holes, lacks
from e2ee.store.client.messages import Stream
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.connection import Connection

_LAST = limits.COUNTERS - 1
"""The end of "everything after that"."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a resume says beside the fields of every content."""

    sent_up_to: int
    missing: tuple[NumberRange, ...]
    gone: tuple[NumberRange, ...]


def standing(
    tx: Connection, contact: ContactRecord, device: DeviceId, *, everything: bool
) -> Standing:
    """How far the texts between us and this device have come, as it is told now.

    With `everything`, all that it may have sent after the newest that is here is missing. Otherwise only
    what it has said to have sent: texts that are on their way are not asked for.
    """
    stream = messages.load_stream(tx, contact.address, device)
    missing = [NumberRange(*one) for one in holes(tx, stream, limits.RESUME_RANGES - 1)]
    newest = highest_received(tx, stream)
    last = _LAST if everything else stream.sent_up_to
    if newest < last:
        missing.append(NumberRange(newest + 1, last))
    gone = tuple(NumberRange(*one) for one in healings.take_gone(tx, contact.address))
    sent = sent_texts.sent_up_to(tx, contact.address, contact.trusted_key or b"")
    return Standing(sent, tuple(missing), gone)


# --- what the other side says ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """What a resume has brought about. `wake`: there is something to send; `heal`: something to ask."""

    arrivals: Sequence[int] = ()
    wake: bool = False
    heal: bool = False


def note_resume(
    tx: Connection, contact: ContactRecord, device: DeviceId, content: Resume, now: int, *, begins: bool
) -> Answered:
    """Answer a resume that the accepted account key of a contact has sent. `now` is ms since 1970.

    `begins`: it came with the handshake of a session that it has begun. To somebody who is not accepted it is
    nothing.
    """
    if not may_heal(contact):
        return Answered()
    lacking = _note_sent(tx, messages.load_stream(tx, contact.address, device), content)
    if lacking:
        healings.want(tx, contact.address, Wanted.MISSING)
    arrivals = _send_again(tx, contact, content, now, begins=begins)
    gone = _gone(tx, contact, content.missing)
    if gone:
        healings.add_gone(tx, contact.address, gone)
        outbox.add_control(tx, contact.address, OutboxKind.RESUME, now)
    return Answered(arrivals, wake=bool(arrivals or gone or begins), heal=lacking)


def _note_sent(tx: Connection, stream: Stream, content: Resume) -> bool:
    """Take note of what was sent and of what will not be; whether something of it is missing here."""
    for first, last in content.gone:
        if first <= stream.received_up_to + 1 <= last <= content.sent_up_to:
            stream = replace(stream, received_up_to=last)
    stream = advanced(tx, replace(stream, sent_up_to=max(stream.sent_up_to, content.sent_up_to)))
    messages.save_stream(tx, stream)
    return lacks(tx, stream)


def _send_again(
    tx: Connection, contact: ContactRecord, content: Resume, now: int, *, begins: bool
) -> list[int]:
    """Have what is missing wait in the outbox once more, before all that waits there; who is told of it.

    In a session that the other side has begun, all that waits is sealed anew: what was sealed in others
    may not be readable any more.
    """
    again = [
        text
        for numbers in content.missing
        for text in sent_texts.sendable_again(
            tx,
            contact.address,
            contact.trusted_key or b"",
            numbers,
            above=contacts.have_up_to(tx, contact.address),
            since=now - limits.SENT_AGAIN_MS,
            times=limits.SENT_AGAIN_TIMES,
        )
    ]
    for text in again:
        sent_texts.note_sent_again(tx, text.row)
    if again or begins:
        outbox.put_first(tx, contact.address, [text.row for text in again], now)
    if not again:
        return []
    told = Arrival(ArrivalKind.SENT_AGAIN, contact.address, now, missing=len(again))
    return [add_arrival(tx, told)]


def _gone(
    tx: Connection, contact: ContactRecord, missing: Iterable[NumberRange]
) -> Sequence[NumberRange]:
    """The missing numbers under which nothing will come: of texts that were confirmed, failed, are too old,
    or were sent often enough."""
    top = sent_texts.sent_up_to(tx, contact.address, contact.trusted_key or b"")
    coming = sent_texts.numbers_to_come(tx, contact.address)
    gone: list[NumberRange] = []
    for first, last in missing:
        at = first
        for number in (*(one for one in coming if first <= one <= min(last, top)), min(last, top) + 1):
            if at < number:
                gone.append(NumberRange(at, number - 1))
            at = number + 1
    return gone[: limits.RESUME_RANGES]


def note_confirmation(tx: Connection, contact: ContactRecord, now: int) -> bool:
    """The accepted account key of a contact has said how far our texts have come: whether some seem to
    have been dropped at the end, where no gap shows it."""
    if not may_heal(contact) or not is_unconfirmed(tx, contact, now):
        return False
    healings.want(tx, contact.address, Wanted.MISSING)
    return True
