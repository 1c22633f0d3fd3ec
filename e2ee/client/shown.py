"""What waits for a reader: from rows of the vault to events, and back when they were shown.

Operations over one transaction. Knows no reader. See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from e2ee.client.events import (
    FailedReason,
    FileFacts,
    FileReceived,
    FileState,
    Gap,
    KeyChanged,
    MessageFailed,
    MessageReceived,
    PutBack,
    ReceiptReceived,
    Selection,
    SentAgain,
    SentMessage,
    SentState,
    ShownEvent,
    TimerChanged,
    Undecryptable,
    WhatWasPutBack,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId
from e2ee.store.client import arrivals, contacts, files, messages, outbox
from e2ee.store.client.arrivals import Arrival, ArrivalKind
from e2ee.store.client.messages import MessageRecord
from e2ee.store.connection import Connection

UNKNOWN_RECIPIENT = "unknown_recipient"
"""Why a message failed, where no notice of the server says it."""
CANCELLED = "cancelled"
FILE_TOO_LARGE = "file_too_large"
FILE_CHANGED = "file_changed"
FILE_UNREADABLE = "file_unreadable"

OwnAffair = (
    KeyChanged | MessageFailed | ReceiptReceived | TimerChanged | FileReceived | SentAgain | PutBack
)
"""What is announced at once, whoever the open chat is with."""
TheirAffair = MessageReceived | Undecryptable | Gap | TimerChanged | FileReceived
"""What somebody else has sent: not shown of whom the user has blocked."""
_PAGE = 1000
_OWN_AFFAIRS = frozenset(
    {
        ArrivalKind.KEY_CHANGED,
        ArrivalKind.FAILED,
        ArrivalKind.RECEIPT,
        ArrivalKind.TIMER,
        ArrivalKind.FILE,
        ArrivalKind.SENT_AGAIN,
        ArrivalKind.PROFILE_PUT_BACK,
        ArrivalKind.SERVER_PUT_BACK,
    }
)
_PUT_BACK = {
    ArrivalKind.PROFILE_PUT_BACK: WhatWasPutBack.PROFILE,
    ArrivalKind.SERVER_PUT_BACK: WhatWasPutBack.SERVER,
}


def describe(tx: Connection, positions: Iterable[int]) -> list[ShownEvent]:
    """The events at these positions, which must be unshown."""
    found = (arrivals.unshown_arrivals(tx, position - 1, 1) for position in positions)
    return [event_of(tx, one) for page in found for one in page]


def choose(
    tx: Connection, barred: Set[int], limit: int | None, selection: Selection
) -> list[Arrival]:
    """What is wanted of the unshown, oldest first, up to and with the `limit`-th text; not what is
    at `barred` positions."""
    chosen: list[Arrival] = []
    texts, after = 0, 0
    while page := arrivals.unshown_arrivals(tx, after, _PAGE):
        for arrival in page:
            if limit is not None and texts >= limit:
                return chosen
            own_affair = arrival.kind in _OWN_AFFAIRS
            if arrival.position not in barred and _selected(arrival.address, own_affair, selection):
                texts += arrival.kind is ArrivalKind.MESSAGE
                chosen.append(arrival)
        after = page[-1].position
    return chosen


def gone(tx: Connection, events: Iterable[ShownEvent]) -> set[int]:
    """The positions of those that nobody is to be shown any more, though they came to several readers: of
    what was forgotten or has disappeared, and of what somebody has sent who is blocked now."""
    blocked: dict[Address, bool] = {}
    positions = set[int]()
    for event in events:
        if isinstance(event, TheirAffair) and event.address not in blocked:
            blocked[event.address] = contacts.load_contact(tx, event.address).blocked
        if _is_forgotten(tx, event) or (isinstance(event, TheirAffair) and blocked[event.address]):
            positions.add(event.position)
    return positions


def _is_forgotten(tx: Connection, event: ShownEvent) -> bool:
    if isinstance(event, MessageReceived | FileReceived):
        return files.row_of_received(tx, event.address, event.message_id) is None
    if isinstance(event, MessageFailed | ReceiptReceived):
        return messages.sent_message(tx, event.message_id) is None
    return False


def event_selected(event: ShownEvent, selection: Selection) -> bool:
    """Whether this event is among what is wanted."""
    address = event.to if isinstance(event, MessageFailed) else event.address
    own_affair = isinstance(event, OwnAffair)
    return _selected(address, own_affair, selection)


def _selected(address: Address, own_affair: bool, selection: Selection) -> bool:
    if selection.own_affairs and not own_affair:
        return False
    return selection.people is None or address in selection.people


def events_of(tx: Connection, found: Iterable[Arrival]) -> list[ShownEvent]:
    """What a reader is told of these."""
    return [event_of(tx, arrival) for arrival in found]


def event_of(tx: Connection, arrival: Arrival) -> ShownEvent:
    """What a reader is told of this arrival."""
    contact = contacts.load_contact(tx, arrival.address)
    name = contact.name
    repeated, position = arrival.repeated, arrival.position
    if arrival.kind is ArrivalKind.KEY_CHANGED:
        return KeyChanged(arrival.address, name, arrival.at, repeated, position, arrival.verified_by)
    if arrival.kind is ArrivalKind.UNDECRYPTABLE:
        return Undecryptable(arrival.address, name, arrival.at, repeated, position)
    if arrival.kind is ArrivalKind.SENT_AGAIN:
        return SentAgain(arrival.address, name, arrival.missing, arrival.at, repeated, position)
    if arrival.kind is ArrivalKind.TIMER:
        return TimerChanged(arrival.address, name, arrival.missing, arrival.at, repeated, position)
    if arrival.kind in _PUT_BACK:
        return PutBack(_PUT_BACK[arrival.kind], arrival.address, arrival.at, repeated, position)
    if arrival.kind is ArrivalKind.GAP or arrival.message is None:
        return Gap(arrival.address, name, arrival.missing, repeated, position)
    record = messages.message_by_row(tx, arrival.message)
    if arrival.kind is ArrivalKind.RECEIPT:
        state = SentState(record.receipt or record.state)
        return ReceiptReceived(
            record.message_id, record.address, name, state, arrival.at, repeated, position
        )
    if arrival.kind is ArrivalKind.FAILED:
        return MessageFailed(
            record.message_id, record.address, name, _reason(record.reason), repeated, position
        )
    if arrival.kind is ArrivalKind.FILE:
        file = file_facts(tx, record.row)
        if file is not None:
            return FileReceived(record.message_id, record.address, name, file, repeated, position)
    return MessageReceived(
        message_id=record.message_id,
        address=record.address,
        name=name,
        device=record.device or DeviceId(bytes(DeviceId.SIZE)),
        sent_at=record.sent_at,
        received_at=arrival.at,
        text=record.text,
        verified=record.verified,
        repeated=repeated,
        late=record.late,
        position=position,
        verified_by=record.verified_by,
        request=contact.is_request,
        expires_in=record.lifetime,
        file=file_facts(tx, record.row),
    )


def file_facts(tx: Connection, row: int) -> FileFacts | None:
    """The file of the message in this row, as it stands."""
    file = files.file_of(tx, row)
    if file is None:
        return None
    return FileFacts(file.name, file.size, FileState(file.state), file.path, file.reason)


def _reason(reason: str | None) -> FailedReason:
    try:
        return FailedReason(reason or "")
    except ValueError:
        return FailedReason.NOT_ACCEPTED


def sent_state(tx: Connection, record: MessageRecord, now: int) -> SentMessage:
    """An own text as it stands: what waits behind something that waits, waits for the same reason."""
    state = SentState(record.state)
    error = None
    if state is SentState.FAILED:
        error = _failed(record.address, record.reason)
    elif state is SentState.QUEUED:
        error = _waits_for(tx, record.row, now)
    return SentMessage(record.message_id, record.address, state, error, file_facts(tx, record.row))


def _waits_for(tx: Connection, row: int, now: int) -> Failure | None:
    waiting = outbox.waiting_message(tx, row)
    reason = files.error_of(tx, row) if waiting is None else outbox.reason_of_waiting(tx, waiting)
    if reason is None:
        return None
    code, sentence, until = reason
    if until is None:
        return Failure(Code(code), sentence)
    if until <= now:
        return None
    return Failure(Code(code), sentence, (until - now) / 1000)


def _failed(address: Address, reason: str | None) -> Failure:
    if reason == UNKNOWN_RECIPIENT:
        return Failure(Code.UNKNOWN_RECIPIENT, f"nobody is registered as {address}")
    if reason == FILE_TOO_LARGE:
        return Failure(Code.QUOTA, "the file is larger than the server takes")
    sentences = {
        FILE_CHANGED: "the file has changed while it was being sent",
        FILE_UNREADABLE: "the file cannot be read any more",
        CANCELLED: "the message was cancelled",
        FailedReason.EXPIRED: "the message was not fetched in time",
        FailedReason.TAKEN_OVER: f"{address} was registered on another device before the message was fetched",
        FailedReason.DELETED: f"the account of {address} was deleted before the message was fetched",
    }
    sentence = sentences.get(reason or "", "the server has not accepted the message in 30 days")
    return Failure(Code.FAILED, sentence)
