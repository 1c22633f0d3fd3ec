"""The state of the link, for those who wait for a connection or for the end of the mailbox.

Knows states; not what is done with a connection.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from e2ee.client.context import Context
from e2ee.client.deadline import Deadline
from e2ee.client.events import Event, LinkDown, LinkEnded, LinkUp
from e2ee.client.link import LinkPhase, LinkState
from e2ee.errors import Code, Failure
from e2ee.wire.messages import LoggedIn


class LinkWatch:
    """Counts connections, and wakes who waits. `connected` is called with each login."""

    def __init__(
        self, context: Context, connected: Callable[[LoggedIn], None], changed: Callable[[], None]
    ) -> None:
        self._context = context
        self._connected = connected
        self._changed = changed
        self._drained_connection = 0
        self._waiting: list[Deferred[None]] = []

    def entered(self, state: LinkState) -> None:
        """The link has a new state."""
        self._context.link_state = state
        events: list[Event] = []
        if state.phase is LinkPhase.UP and state.logged_in is not None:
            self._context.connection += 1
            self._connected(state.logged_in)
            events.append(LinkUp(state.logged_in.waiting))
        elif state.failure is not None:
            ended = state.phase is LinkPhase.STOPPED
            events.append(LinkEnded(state.failure) if ended else LinkDown(state.failure))
        self._context.listeners.tell(events)
        self._changed()
        self._wake()

    def note_drained(self) -> None:
        """Everything that waited at the login of this connection is in the vault."""
        self._drained_connection = self._context.connection
        self._wake()

    @property
    def given_up(self) -> Failure | None:
        """Why the link has ended for good, if it has."""
        state = self._context.link_state
        return state.failure if state.phase is LinkPhase.STOPPED else None

    async def connected(self, timeout: float | None, *, once: bool = False) -> None:
        """Until logged in; with `once` not through a second attempt. Raises Failure."""
        await self._until(lambda: self._context.is_up, timeout, once=once)

    async def drained(self, timeout: float | None) -> None:
        """Until drained on the present connection. Raises Failure."""
        await self._until(self._is_drained, timeout)

    def _is_drained(self) -> bool:
        return self._context.is_up and self._drained_connection == self._context.connection

    async def _until(
        self, reached: Callable[[], bool], timeout: float | None, *, once: bool = False
    ) -> None:
        deadline = Deadline(self._context.clock, timeout)
        while not reached():
            state = self._context.link_state
            if state.phase is LinkPhase.STOPPED:
                raise state.failure or Failure(Code.UNREACHABLE, "the connection was ended")
            if once and state.phase is LinkPhase.DOWN and state.failure is not None:
                raise state.failure
            if deadline.passed:
                raise self._not_in_time()
            await self._next_change(deadline.left())

    def _not_in_time(self) -> Failure:
        failure = self._context.link_state.failure
        if self._context.is_up:
            return Failure(Code.TIMEOUT, "the mailbox was not drained in time")
        sentence = "no connection within the time" if failure is None else failure.sentence
        return Failure(Code.UNREACHABLE, f"the server cannot be reached: {sentence}")

    async def _next_change(self, seconds: float | None) -> None:
        change: Deferred[None] = Deferred()
        self._waiting.append(change)
        timer = None
        if seconds is not None:
            timer = self._context.clock.callLater(seconds, self._time_up, change)
        try:
            await change
        finally:
            if timer is not None and timer.active():
                timer.cancel()
            if change in self._waiting:
                self._waiting.remove(change)

    def _time_up(self, change: Deferred[None]) -> None:
        self._waiting.remove(change)
        change.callback(None)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            change.callback(None)
