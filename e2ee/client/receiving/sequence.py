"""The order in which a sender's texts are passed on, and what becomes of gaps in it.

Operations over one transaction of the vault: texts are numbered by the sender's device from 1, and
anew after it was restored from a backup (`e2ee.store.client.numbering`); what arrives early is held,
and a gap is marked at its place when it is not waited for any more. Knows no timers. See
`docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from dataclasses import replace

from e2ee.client.recovery.need import want
from e2ee.ids import Address, DeviceId, MessageId
from e2ee.store.client import messages
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.files import FileRecord, add_file
from e2ee.store.client.healings import Wanted
from e2ee.store.client.messages import HELD, RELEASED, MessageRecord, Stream
from e2ee.store.client.numbering import begins_numbering, first_of, follows, missing_between, numbering_of
from e2ee.store.client.passed import (
    count_passed,
    count_passed_before,
    forget_passed,
    next_passed,
    note_passed,
)
from e2ee.store.client.state_counter import put_back_at
from e2ee.store.connection import Connection

PASSED_NUMBERS = 2_000
"""Of one device, behind gaps: as many as may be missing at once. Whoever repeats one text for ever under ever
new numbers, with gaps between them, fills no vault with that."""


def take_text(
    tx: Connection, record: MessageRecord, device: DeviceId, file: FileRecord | None = None
) -> tuple[list[int], bool]:
    """Keep a text that has just been opened; the arrivals that it brings, and whether it is held.

    What comes after its gap was marked is passed on at once, as late. What was sent before this vault was
    put back may have been shown then.
    """
    stream = messages.load_stream(tx, record.address, device)
    late = record.sequence <= stream.released_up_to
    early = not late and not _is_next(tx, stream, record.sequence)
    row = messages.add_message(tx, replace(record, state=HELD if early else RELEASED, late=late))
    if file is not None:
        add_file(tx, row, file)
    positions = [] if early else [_arrive(tx, replace(record, row=row))]
    if not early and not late:
        stream = replace(stream, released_up_to=record.sequence)
        stream = _release_next(tx, stream, positions)
    messages.save_stream(tx, advanced(tx, stream))
    return positions, early


def pass_over(
    tx: Connection, address: Address, device: DeviceId, message_id: MessageId, sequence: int
) -> list[int]:
    """A text that is here already, under another number: it leaves no gap behind.

    Such a one comes from a device that was put back and did not know that it had been accepted. What is still
    held has its place where its lowest number is. Of more than PASSED_NUMBERS behind gaps one more is a gap.
    """
    stream = messages.load_stream(tx, address, device)
    if messages.has_sequence(tx, stream, sequence):
        return []
    held = messages.held_text(tx, stream, message_id)
    if held is not None and sequence < held.sequence:
        messages.set_sequence(tx, held.row, sequence)
        sequence = held.sequence
    if count_passed(tx, stream) < PASSED_NUMBERS:
        note_passed(tx, stream, sequence)
    positions: list[int] = []
    stream = advanced(tx, _release_next(tx, stream, positions))
    messages.save_stream(tx, stream)
    forget_passed(tx, stream)
    return positions


def skip_text(tx: Connection, address: Address, device: DeviceId, sequence: int) -> None:
    """A text that is not kept, of a blocked contact: it leaves no gap behind."""
    stream = messages.load_stream(tx, address, device)
    received, released = max(stream.received_up_to, sequence), max(stream.released_up_to, sequence)
    messages.save_stream(tx, replace(stream, received_up_to=received, released_up_to=released))


def mark_gaps(
    tx: Connection, address: Address, device: DeviceId, now: int, received_before: int
) -> tuple[list[int], int | None]:
    """Wait no more for what should have come before the texts received until `received_before`.

    Both times are ms since 1970. The arrivals, gaps among them, and when the oldest text that is
    still held was received.
    """
    stream = messages.load_stream(tx, address, device)
    held = messages.held_messages(tx, stream)
    due = max((i for i, one in enumerate(held) if _waited(one, now, received_before)), default=-1)
    positions: list[int] = []
    for one in held[: due + 1]:
        missing = missing_between(stream.released_up_to, one.sequence)
        missing -= count_passed_before(tx, stream, one.sequence)
        if missing > 0:
            want(tx, address, Wanted.MISSING)
            gap = Arrival(ArrivalKind.GAP, address, now, missing=missing)
            positions.append(add_arrival(tx, gap))
        messages.release_message(tx, one.row)
        positions.append(_arrive(tx, one))
        stream = replace(stream, released_up_to=max(stream.released_up_to, one.sequence))
    stream = _release_next(tx, stream, positions)
    messages.save_stream(tx, stream)
    held = messages.held_messages(tx, stream)
    return positions, min((one.received_at or 0 for one in held), default=None)


def _waited(record: MessageRecord, now: int, received_before: int) -> bool:
    """Whether a held text has waited long enough; one from the future has, for the clock was set back."""
    received = record.received_at or 0
    return received <= received_before or received > now


def _release_next(tx: Connection, stream: Stream, positions: list[int]) -> Stream:
    """Pass on what is held and follows without a gap; what is here under other numbers is none."""
    while True:
        passed = next_passed(tx, stream)
        if passed is not None and _is_next(tx, stream, passed):
            stream = replace(stream, released_up_to=passed)
            continue
        held = messages.next_held(tx, stream)
        if held is None or not follows(stream.released_up_to, held.sequence):
            return stream
        messages.release_message(tx, held.row)
        positions.append(_arrive(tx, held))
        stream = replace(stream, released_up_to=held.sequence)


def _is_next(tx: Connection, stream: Stream, sequence: int) -> bool:
    """Whether this is to be passed on now. A new numbering waits for what is held of the one before."""
    if begins_numbering(stream.released_up_to, sequence):
        held = messages.next_held(tx, stream)
        return held is None or held.sequence > sequence
    return follows(stream.released_up_to, sequence)


def advanced(tx: Connection, stream: Stream) -> Stream:
    """The stream, with `received_up_to` as high as there is no hole; one before a new numbering stays."""
    received = stream.received_up_to
    first = first_of(numbering_of(stream.released_up_to))
    if received < first and messages.has_sequence(tx, stream, first):
        received = first
    while messages.has_sequence(tx, stream, received + 1):
        received += 1
    return replace(stream, received_up_to=received)


def _arrive(tx: Connection, record: MessageRecord) -> int:
    at, repeated = record.received_at or 0, record.sent_at < put_back_at(tx)
    arrival = Arrival(ArrivalKind.MESSAGE, record.address, at, message=record.row, repeated=repeated)
    return add_arrival(tx, arrival)
