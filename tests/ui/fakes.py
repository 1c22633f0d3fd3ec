"""A messenger and a console in memory, for the interface's tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.agent import Conversations
from e2ee.client.events import (
    Contact,
    Event,
    FileFacts,
    Forgotten,
    HistoryEntry,
    HistoryQuery,
    MessageFailed,
    MessageReceived,
    MessageSent,
    ReceiptReceived,
    SafetyNumber,
    Selection,
    SentMessage,
    SentState,
    ShownEvent,
    Status,
    TrustChange,
    UnreadOf,
)
from e2ee.client.shown import event_selected
from e2ee.errors import Code, Failure, InvalidAddress
from e2ee.ids import Address, DeviceId, MessageId
from e2ee.ui.event_render import event_object
from e2ee.ui.invocation import Invocation
from e2ee.ui.options import Options
from e2ee.ui.printer import report
from e2ee.ui.progress import ProgressBar
from tests.ui.described import check_printed

T = TypeVar("T")

ALICE = Address("+15550100101")
BOB = Address("+15550100102")
CAROL = Address("+15550100103")
DEVICE = DeviceId(bytes(8))
DIGITS = "0123456789" * 6
NOON = 1_700_049_600_000
"""2023-11-15 12:00:00 UTC."""


def message(
    text: str, sender: Address = BOB, name: str | None = None, number: int = 1, *, request: bool = False
) -> MessageReceived:
    """A message that came in at noon; `number` makes it another one."""
    return MessageReceived(
        message_id=MessageId(number.to_bytes(16, "big")),
        address=sender,
        name=name,
        device=DEVICE,
        sent_at=NOON,
        received_at=NOON + 5,
        text=text,
        verified=False,
        position=number,
        request=request,
    )


def receipt(message_id: MessageId, state: SentState, number: int = 1) -> ReceiptReceived:
    """What Bob says of an own message."""
    return ReceiptReceived(message_id, BOB, "bob", state, NOON, position=number)


class FakeFiles:
    """The files of a fake messenger: what was sent, and what was wanted."""

    def __init__(self, messenger: FakeMessenger) -> None:
        self._messenger = messenger
        self.sent: list[tuple[Address, str, str]] = []
        self.wanted: list[tuple[Address, MessageId, str | None]] = []
        self.facts: FileFacts | None = None
        self.under_way = 0

    async def queue(
        self, to: Address, path: str, text: str = "", message_id: MessageId | None = None
    ) -> SentMessage:
        self.sent.append((to, path, text))
        return await self._messenger.queue(to, f"file {path}", message_id)

    async def want(
        self, address: Address, message_id: MessageId, folder: str | None = None
    ) -> FileFacts | None:
        self.wanted.append((address, message_id, folder))
        return self.facts

    async def fetching(self) -> int:
        return self.under_way


class FakeMessenger:
    """What the interface needs of a messenger; a test plays the server."""

    def __init__(self) -> None:
        self.own_address = ALICE
        self.was_connected = True
        self.is_connected = True
        self.connection: Failure | None = None
        self.undrained: Failure | None = None
        self.people: dict[Address, str] = {}
        self.timers: dict[Address, int] = {}
        self.strangers: set[Address] = set()
        self.marks: dict[Address, tuple[bool, str | None]] = {}
        """Whether the digits of somebody were compared, and who certifies him."""
        self.present: list[tuple[Address, str | None]] = []
        self.waiting: list[ShownEvent] = []
        self.page = 100
        self.shown_elsewhere: set[int] = set()
        self.calls: list[tuple[str, list[int]]] = []
        self.queued: list[SentMessage] = []
        self.texts: list[tuple[Address, str]] = []
        self.typed: list[str] = []
        self.told_typing: list[Address] = []
        self.past: list[HistoryEntry] = []
        self.queries: list[HistoryQuery] = []
        self.forgotten: list[MessageId | Address] = []
        self.answer: SentMessage | Failure | None = None
        self.waits: list[SentState] = []
        self.cancelled: SentMessage | None = None
        self.state: Status | None = None
        self._listeners: list[Callable[[Event], None]] = []
        self.files = FakeFiles(self)

    def as_messenger(self) -> Conversations:
        """For what wants the real one."""
        return cast(Conversations, self)

    # --- a test's side ------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Something happened."""
        for listener in tuple(self._listeners):
            listener(event)

    def arrive(self, event: ShownEvent) -> None:
        """Something came in."""
        self.waiting.append(event)
        self.tell(event)

    def accept(self, index: int = 0, state: SentState = SentState.STORED) -> None:
        """The server has an own message."""
        self.tell(MessageSent(replace(self.queued[index], state=state)))

    def refuse(self, failure: Failure, index: int = 0, state: SentState = SentState.QUEUED) -> None:
        """The server does not want an own message."""
        changed = replace(self.queued[index], state=state, error=failure)
        self.tell(MessageSent(changed))

    # --- the messenger's side -----------------------------------------------------------------

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def connected(self, timeout: float | None, *, once: bool | None = None) -> None:
        if self.connection is not None:
            raise self.connection

    async def drained(self, timeout: float | None) -> None:
        if self.undrained is not None:
            raise self.undrained

    async def resolve(self, text: str) -> Address:
        for address, name in self.people.items():
            if name == text:
                return address
        try:
            return Address.parse(text)
        except InvalidAddress as error:
            raise Failure(Code.USAGE, str(error)) from error

    async def queue(self, to: Address, text: str, message_id: MessageId | None = None) -> SentMessage:
        made = message_id or MessageId(len(self.queued).to_bytes(16, "big"))
        self.queued.append(SentMessage(made, to, SentState.QUEUED))
        self.texts.append((to, text))
        return self.queued[-1]

    async def accepted(self, message_id: MessageId, timeout: float | None) -> SentMessage:
        return await self.reached(message_id, SentState.STORED, timeout)

    async def reached(
        self, message_id: MessageId, state: SentState, timeout: float | None
    ) -> SentMessage:
        self.waits.append(state)
        if isinstance(self.answer, Failure):
            raise self.answer
        known = await self.sent(message_id)
        return known if self.answer is None else replace(self.answer, message_id=message_id, to=known.to)

    async def sent(self, message_id: MessageId) -> SentMessage:
        return next(known for known in self.queued if known.message_id == message_id)

    async def take(self, most: int | None, selection: Selection | None = None) -> list[ShownEvent]:
        found: list[ShownEvent] = []
        texts = 0
        for event in self.waiting:
            if (most is not None and texts >= most) or len(found) == self.page:
                break
            if selection is not None and not event_selected(event, selection):
                continue
            texts += isinstance(event, MessageReceived)
            found.append(event)
        return found

    async def mark_printing(self, events: Sequence[ShownEvent]) -> list[ShownEvent]:
        self.calls.append(("printing", [event.position for event in events]))
        granted = [event for event in events if event.position not in self.shown_elsewhere]
        self.waiting = [event for event in self.waiting if event not in events or event in granted]
        return granted

    async def mark_shown(self, events: Sequence[ShownEvent]) -> None:
        self.calls.append(("shown", [event.position for event in events]))
        self.waiting = [event for event in self.waiting if event not in events]

    async def unread(self) -> list[UnreadOf]:
        texts = [event for event in self.waiting if isinstance(event, MessageReceived)]
        counts = Counter((event.address, event.name) for event in texts)
        return [UnreadOf(address, name, count) for (address, name), count in counts.items()]

    async def tell_typing(self, address: Address) -> None:
        self.told_typing.append(address)
        if self.connection is not None:
            raise self.connection

    async def typed_lines(self) -> list[str]:
        return self.typed

    async def remember_line(self, line: str) -> None:
        self.typed.append(line)

    async def watch_presence(self) -> None:
        self.calls.append(("watch_presence", []))
        if self.connection is not None:
            raise self.connection

    async def note_told(self, message_id: MessageId) -> None:
        self.waiting = [
            event
            for event in self.waiting
            if not (isinstance(event, MessageFailed) and event.message_id == message_id)
        ]

    async def online(self) -> list[tuple[Address, str | None]]:
        return self.present

    async def contacts(self) -> list[Contact]:
        strangers = [Contact(one, None, False, False, False, request=True) for one in self.strangers]
        return [
            Contact(address, name, True, False, *self.marks.get(address, (False, None)))
            for address, name in self.people.items()
        ] + strangers

    async def accept_contact(self, address: Address) -> Contact:
        self.strangers.discard(address)
        return Contact(address, self.people.get(address), True, False, False)

    async def set_timer(self, address: Address, seconds: int | None) -> Contact:
        if seconds is not None:
            self.timers[address] = seconds
        now = self.timers.get(address, 0)
        return Contact(address, self.people.get(address), True, False, False, timer=now)

    async def block_contact(self, address: Address) -> Contact:
        self.strangers.discard(address)
        return Contact(address, self.people.get(address), False, True, False)

    async def safety_number(self, address: Address) -> SafetyNumber:
        return SafetyNumber(address, DIGITS, False)

    async def confirm(self, address: Address, digits: str) -> SafetyNumber:
        if digits != DIGITS:
            raise Failure(Code.SAFETY_NUMBER, "the safety number is another one")
        return SafetyNumber(address, DIGITS, True)

    async def trust(self, address: Address) -> TrustChange:
        return TrustChange(None, None)

    async def outbox(self) -> list[SentMessage]:
        return self.queued

    async def outbox_sent(self, timeout: float | None) -> None:
        self.calls.append(("outbox_sent", []))

    async def cancel(self, message_id: MessageId) -> SentMessage:
        assert self.cancelled is not None
        return self.cancelled

    async def status(self) -> Status:
        assert self.state is not None
        return self.state

    @property
    def certificates(self) -> FakeIdentities:
        return FakeIdentities()

    @property
    def archive(self) -> FakeArchive:
        return FakeArchive(self)


class FakeIdentities:
    """Nobody has a certificate."""

    async def is_open(self, address: Address) -> bool:
        return False


class FakeArchive:
    """The past, as a test has put it there."""

    def __init__(self, messenger: FakeMessenger) -> None:
        self._messenger = messenger

    async def pages(self, query: HistoryQuery) -> AsyncIterator[list[HistoryEntry]]:
        self._messenger.queries.append(query)
        for entry in self._messenger.past:
            yield [entry]

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        return [entry async for page in self.pages(query) for entry in page]

    async def forget_message(self, message_id: MessageId) -> Forgotten:
        self._messenger.forgotten.append(message_id)
        return Forgotten(1)

    async def forget_conversation(self, address: Address) -> Forgotten:
        self._messenger.forgotten.append(address)
        return Forgotten(12, 1)


class FakeConsole:
    """Records instead of a screen; lines are typed by the test."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.prompts: list[str] = []
        self.broken: BaseException | None = None
        self._typed: list[str | BaseException | None] = []
        self._reading: Deferred[None] | None = None

    def type(self, *lines: str | BaseException | None) -> None:
        """What comes from the user: lines, None for the end, or an error of reading."""
        self._typed.extend(lines)
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.callback(None)

    @property
    def waits(self) -> bool:
        """Whether the next line is asked for."""
        return self._reading is not None

    async def print(self, *records: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.printed.extend(records)

    async def read_line(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        if not self._typed:
            self._reading = Deferred()
            await self._reading
        typed = self._typed.pop(0)
        if isinstance(typed, BaseException):
            raise typed
        return typed


class CoroutineTestCase(SynchronousTestCase):
    """Runs coroutines that need no reactor."""

    def start(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Begin it."""
        return Deferred.fromCoroutine(coroutine)

    def result(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """What it returns; fails if it waits for something."""
        return self.successResultOf(self.start(coroutine))

    def failure(self, coroutine: Coroutine[Deferred[Any], Any, Any]) -> Failure:
        """The Failure that it raises."""
        found = self.failureResultOf(self.start(coroutine), Failure).value
        assert isinstance(found, Failure)
        return found


def failed(number: int, to: Address, reason: Any) -> MessageFailed:
    """An own message that failed."""
    return MessageFailed(MessageId(number.to_bytes(16, "big")), to, None, reason, False, number)


class FakeCall:
    """An invocation whose messenger, clock and output are a test's."""

    def __init__(self, messenger: FakeMessenger, options: Options | None = None) -> None:
        self.options = options or Options(json=True)
        self.reactor = Clock()
        self.messenger = messenger
        self.printed: list[str] = []
        self.mentioned: list[str] = []
        self.broken: BaseException | None = None
        self.connected: list[bool] = []
        self.person: Any = None
        self.profile = self.passphrases = None
        self.interruption: Any = None
        self.on_broken = lambda error: None
        self.progress = ProgressBar(drawn=False)

    def as_invocation(self) -> Invocation:
        """For what wants the real one."""
        return cast(Invocation, self)

    def left(self) -> float:
        return max(0.0, (self.options.timeout or 30.0) - self.reactor.seconds())

    def now(self) -> int:
        return NOON

    async def show(self, records: list[str], *objects: Mapping[str, Any]) -> None:
        for one in objects:
            check_printed(one)
        self.printed.extend([str(one["type"]) for one in objects] if self.options.json else records)

    async def draw(self, lines: list[str]) -> None:
        self.printed.extend([] if self.options.json else lines)

    async def show_event(self, event: ShownEvent) -> None:
        check_printed(event_object(event))
        if self.broken is not None:
            raise self.broken
        self.printed.append(event.text if isinstance(event, MessageReceived) else type(event).__name__)

    def terminal(self) -> Any:
        return self.person

    def in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        async def at_once() -> T:
            return work()

        return at_once()

    def mention(self, sentence: str) -> None:
        self.mentioned.append(sentence)

    def report(self, failure: Failure) -> int:
        return report(failure, self.options.json)

    @asynccontextmanager
    async def conversations(self, *, connect: bool = True, **_: bool) -> AsyncIterator[FakeMessenger]:
        self.connected.append(connect)
        yield self.messenger
