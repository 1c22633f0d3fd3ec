"""What a program is told without asking: messages and the like, each once, and what has changed.

What people and keys do waits in the vault until it has been told, so a program that reads slowly fills no
memory. States of own messages, of the connection and of others' presence are only news: of each the latest
is kept until it can be told. See `docs/scripting.md`, "Notifications".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.events import (
    ContactTyping,
    Event,
    LinkDown,
    LinkEnded,
    LinkUp,
    MessageSent,
    PresenceChanged,
    ShownEvent,
)
from e2ee.errors import Code, Failure
from e2ee.ui import event_render, render
from e2ee.ui.reader import Reader
from e2ee.ui.rpc.jsonrpc import notification_text
from e2ee.ui.streams import OutputClosed
from e2ee.ui.waiting import Bell

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

CHANGES_KEPT = 1000
"""Of a program that does not read; the oldest are let go then."""


class News:
    """One program's. `write` returns when what it is given has been taken. Raises OutputClosed."""

    def __init__(
        self, conversations: Conversations, clock: IReactorTime, write: Callable[[str], Awaitable[None]]
    ) -> None:
        self._conversations = conversations
        self._clock = clock
        self._write = write
        self._reader = Reader(conversations, self._tell)
        self._arrivals = Bell(clock)
        self._changed = Bell(clock)
        self._changes: dict[tuple[str, str], str] = {}
        self._acknowledging = False
        self._unacknowledged: Deferred[bool] | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._telling: list[Deferred[None]] = []
        self._taken_for: object | None = None
        self._held_up = False
        """Whether what was taken waits for the other answers of its batch."""
        self._passed_over: list[Bell] = []
        self._failed: Callable[[TwistedFailure], None] = lambda _: None

    # --- subscriptions ------------------------------------------------------------------------

    @property
    def subscribed(self) -> bool:
        """Whether anything is told."""
        return self._unsubscribe is not None

    def on_failure(self, failed: Callable[[TwistedFailure], None]) -> None:
        """Whom to tell when nothing can be told any more."""
        self._failed = failed

    async def subscribe(self, *, acknowledge: bool, presence: bool) -> None:
        """Everything from now on is to be told, once this has been answered: `begin`. Raises Failure, for
        `presence` without a connection, too."""
        if presence:
            await self._conversations.watch_presence()
        self._acknowledging = acknowledge
        if self._unsubscribe is None:
            self._unsubscribe = self._conversations.subscribe(self.hear)

    async def begin(self) -> None:
        """Tell it, the backlog first."""
        if self.subscribed and not self._telling:
            self._telling = [
                Deferred.fromCoroutine(self._tell_arrivals()),
                Deferred.fromCoroutine(self._tell_changes()),
            ]
            for telling in self._telling:
                telling.addErrback(self._ended)
            self._arrivals.ring()

    def unsubscribe(self) -> None:
        """Tell nothing more; what was not acknowledged stays unshown."""
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        self._changes.clear()
        self._settle(acknowledged=False)
        telling, self._telling = self._telling, []
        for one in telling:
            one.cancel()

    def acknowledge(self) -> None:
        """The arrival that was told last has been dealt with. Raises Failure(USAGE) if there is none."""
        if self._unacknowledged is None:
            raise Failure(Code.USAGE, "there is nothing to acknowledge")
        self._settle(acknowledged=True)

    def _settle(self, *, acknowledged: bool) -> None:
        waiting, self._unacknowledged = self._unacknowledged, None
        if waiting is not None:
            waiting.callback(acknowledged)

    def _ended(self, reason: TwistedFailure) -> None:
        if self.subscribed:
            self.unsubscribe()
            self._failed(reason)

    # --- what happens -------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """What the conversations tell."""
        match event:
            case MessageSent(message):
                self._change(("sent", str(message.message_id)), render.sent_object(message))
            case PresenceChanged(address, name, online):
                shown = {"type": "presence", "address": str(address), "name": name, "online": online}
                self._change(("presence", str(address)), shown)
            case ContactTyping(address):
                self._change(("typing", str(address)), {"type": "typing", "from": str(address)})
            case LinkUp():
                self._change(("connection", ""), connection_object(None, ended=False))
            case LinkDown(failure):
                self._change(("connection", ""), connection_object(failure, ended=False))
            case LinkEnded(failure):
                self._change(("connection", ""), connection_object(failure, ended=True))
            case _ if isinstance(event, ShownEvent):
                self._arrivals.ring()

    def notice(self, sentence: str) -> None:
        """Something that stands beside an answer."""
        if self.subscribed:
            self._change(("notice", sentence), {"type": "notice", "message": sentence})

    def _change(self, key: tuple[str, str], shown: Mapping[str, Any]) -> None:
        """The latest of each counts, and comes last."""
        self._changes.pop(key, None)
        self._changes[key] = notification_text(key[0], render.as_json(shown))
        if len(self._changes) > CHANGES_KEPT:
            del self._changes[next(iter(self._changes))]
        self._changed.ring()

    # --- telling ------------------------------------------------------------------------------

    async def _tell_arrivals(self) -> None:
        while True:
            await self._arrivals.rung()
            # What a `receive` has taken is unshown in the vault until it has been told and marked, and what
            # is told here is so for a `receive` after `unsubscribe`: each would tell the other's again.
            while self._taken_for is not None:
                await self._another_look()
            self._taken_for = self
            try:
                await self._reader.show()
            finally:
                self.give_back()

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.rung()
            while self._changes:
                await self._write(self._changes.pop(next(iter(self._changes))))

    async def _tell(self, event: ShownEvent) -> None:
        """Returns when it counts as shown. Raises OutputClosed if it will not."""
        shown = event_render.event_object(event)
        waiting: Deferred[bool] | None = None
        if self._acknowledging:
            waiting = self._unacknowledged = Deferred()
        await self._write(notification_text(shown["type"], render.as_json(shown)))
        if waiting is not None and not await waiting:
            raise OutputClosed

    # --- asking for it ------------------------------------------------------------------------

    async def take(self, most: int | None, line: object, seconds: float) -> list[ShownEvent]:
        """The first of what is unshown, marked as being told; then `shown` or `give_back`.

        Waits until what was taken before has been told and marked, or both would be given the same: the
        program may have read that answer long before we hear that it was taken. What was taken for the same
        `line` is told only when all of that is answered. Raises Failure(USAGE) then, and while subscribed,
        and Failure(TIMEOUT) if the batch of what was taken before is not answered in so many seconds.
        """
        until = self._clock.seconds() + seconds
        self._refuse_in_vain(line)
        while self._taken_for is not None:
            await self._another_look(until)
            self._refuse_in_vain(line)
        self._taken_for = line
        events: list[ShownEvent] = []
        try:
            events = await self._conversations.mark_printing(await self._conversations.take(most))
        finally:
            if not events:
                self.give_back()
        if events:
            self._held_up = True
            self._wake_passed_over()
        return events

    async def first(self, most: int | None, line: object, seconds: float) -> list[ShownEvent]:
        """The same, waiting for it, and for those who wait already. Raises Failure(TIMEOUT) after so many
        seconds."""
        until = self._clock.seconds() + seconds
        bell = Bell(self._clock)
        unsubscribe = self._conversations.subscribe(
            lambda event: bell.ring() if isinstance(event, ShownEvent) else None
        )
        try:
            while True:
                self._refuse_in_vain(line)
                if self._taken_for is not None:
                    if bell not in self._passed_over:
                        self._passed_over.append(bell)
                elif events := await self.take(most, line, until - self._clock.seconds()):
                    return events
                if not await bell.rung(until - self._clock.seconds()):
                    raise Failure(Code.TIMEOUT, "no message came in time")
        finally:
            unsubscribe()

    def _refuse_in_vain(self, line: object) -> None:
        """Raises Failure(USAGE) for who would wait for himself, or for what is told as it comes."""
        if self.subscribed:
            raise Failure(Code.USAGE, "what comes is told already: this program has subscribed")
        if self._taken_for is line:
            raise Failure(Code.USAGE, "an earlier receive of this batch has not been answered yet")

    async def _another_look(self, until: float | None = None) -> None:
        """Wait until it may stand differently with what is taken. Raises Failure(TIMEOUT) if that is held up
        at `until`. Otherwise it waits for our vault, or for the program, which could not be told anything
        else before it.
        """
        bell = Bell(self._clock)
        self._passed_over.append(bell)
        seconds = None if until is None or not self._held_up else until - self._clock.seconds()
        if not await bell.rung(seconds) and self._held_up:
            raise Failure(Code.TIMEOUT, "an earlier batch with a receive has not been answered yet")

    def answering(self, line: object) -> None:
        """All of the line is being told now."""
        if self._taken_for is line:
            self._held_up = False

    async def shown(self, events: Sequence[ShownEvent]) -> None:
        """The program has these."""
        try:
            await self._conversations.mark_shown(events)
        finally:
            self.give_back()

    def give_back(self) -> None:
        """What was taken has been told, or will not be: the next may take."""
        self._taken_for = None
        self._held_up = False
        self._wake_passed_over()

    def _wake_passed_over(self) -> None:
        passed_over, self._passed_over = self._passed_over, []
        for bell in passed_over:
            bell.ring()


def connection_object(failure: Failure | None, *, ended: bool) -> dict[str, Any]:
    """How the connection stands; `ended`: it is given up for good."""
    error = None
    if failure is not None:
        error = {"code": failure.code.value, "message": failure.sentence, "retry_after": failure.retry_after}
    return {"type": "connection", "connected": failure is None, "ended": ended, "error": error}

