"""The way from a command to its vault, kept up: when one holder ends, the next is found.

Knows access and requests as such (`agent` has the calls), and repeats what was not answered. So whoever
asks does not know which process answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.deadline import Deadline
from e2ee.client.events import Event, LinkEnded, ShownEvent
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.borrowed import HolderSilent
from e2ee.client.holding.frame_protocol import HolderLost
from e2ee.client.holding.way import Access, Way
from e2ee.client.listeners import Listeners
from e2ee.errors import Code, Failure
from e2ee.ids import Address

T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""How long a holder may say nothing to what needs no other machine, where no time is given."""
LEAST_SECONDS = 5.0
"""The same when there is no time left; and what is added where he was asked to wait himself."""

_log = Logger()


class Roaming:
    """One command's access to a profile, from `start` to `close`.

    `connect`: a connection to the server is wanted; `once`: a single attempt is enough.
    """

    def __init__(
        self, way: Way, clock: IReactorTime, *, connect: bool = True, once: bool = False
    ) -> None:
        self._way = way
        self._clock = clock
        self._connect = connect
        self._once = once
        self._access: Access | None = None
        self._entering = DeferredLock()
        self._going_on: Deferred[object] | None = None
        self._deadline = Deadline(clock, None)
        self._listeners = Listeners()
        self._subscribed = False
        self._kept_up = False
        self._position: int | None = None
        self._was_connected = False
        self._closed = False
        self._own_address: Address | None = None

    # --- life -------------------------------------------------------------------------------

    async def start(self, timeout: float | None) -> None:
        """Find the vault, within so many seconds, which also bound the search for a next holder.

        Raises Failure: NOT_REGISTERED, PASSPHRASE, PROFILE_BUSY, USAGE for a wrong `config.toml`.
        """
        self._deadline = Deadline(self._clock, timeout)
        await self._reached()

    async def outbox_sent(self, timeout: float | None) -> None:
        """Wait until the server has answered to all in the outbox that does not have to wait.

        Returns early without a connection, at the timeout, and where another process holds the vault.
        """
        if self._access is not None:
            await self._access.outbox_sent(timeout)

    async def close(self) -> None:
        """Go. A process that holds the vault finishes what it has accepted from others."""
        self._closed = True
        if self._going_on is not None:
            self._going_on.cancel()
        access, self._access = self._access, None
        if access is not None:
            await access.leave()

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `listener` of every event from now on; returns what ends that."""
        unsubscribe = self._listeners.subscribe(listener)
        if not self._subscribed:
            self._subscribed = True
            if self._access is not None:
                Deferred.fromCoroutine(self._listen(self._access)).addErrback(self._cannot_go_on)
        return unsubscribe

    def watch_link(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `listener` of LinkUp, LinkDown and LinkEnded, and be no reader of what comes."""
        self._kept_up = True
        return self._listeners.subscribe(listener)

    @property
    def own_address(self) -> Address:
        """The own number; known once started."""
        if self._own_address is None:
            raise HolderLost
        return self._own_address

    @property
    def is_connected(self) -> bool:
        """Whether the link is logged in now."""
        return self._access is not None and self._access.connected_now

    @property
    def was_connected(self) -> bool:
        """Whether it was logged in at least once since the start."""
        return self._was_connected or (self._access is not None and self._access.was_connected)

    def busy(self) -> Failure:
        """Whoever holds the vault has kept this command waiting for too long."""
        return self._way.busy()

    # --- the way to the vault ---------------------------------------------------------------

    async def ask(self, make: Callable[[], h.Request[T]], waits: Deadline | None = None) -> T:
        """Ask whoever holds the vault, and the next one if he ends before he has answered."""
        while True:
            access = await self._reached()
            try:
                return await access.ask(make(), self._patience(waits))
            except HolderLost:
                self._lost(access)
            except HolderSilent:
                raise self.busy() from None

    def _patience(self, waits: Deadline | None) -> float | None:
        if waits is not None:
            left = waits.left()
            return None if left is None else left + LEAST_SECONDS
        left = None if self._way.lasting else self._deadline.left()
        return ANSWER_SECONDS if left is None else max(LEAST_SECONDS, left)

    async def _reached(self) -> Access:
        while self._access is None:
            async with self._entering:
                if self._closed:
                    raise CancelledError
                if self._access is None:
                    self._access = await self._enter()
        return self._access

    async def _enter(self) -> Access:
        deadline = self._deadline if self._own_address is None else self._next_deadline()
        while True:
            access = await self._way.enter(deadline, self._hear, self._lost)
            try:
                await self._settle_in(access)
                return access
            except HolderLost:
                continue
            except BaseException:
                await access.leave()
                raise

    def _next_deadline(self) -> Deadline:
        """For the search after the first one."""
        left = self._deadline.left()
        if left is not None:
            left = ANSWER_SECONDS if self._way.lasting else max(LEAST_SECONDS, left)
        return Deadline(self._clock, left)

    async def _settle_in(self, access: Access) -> None:
        self._own_address = access.own_address
        if self._connect:
            await access.ask(h.Connect(self._once), self._patience(None))
        if self._subscribed:
            await self._listen(access)

    async def _listen(self, access: Access) -> None:
        found = await access.ask(h.Subscribe(self._position), self._patience(None))
        self._position = max(self._position or 0, found.position)
        self._listeners.tell(told.event for told in found.missed)

    def _hear(self, event: Event) -> None:
        if isinstance(event, ShownEvent):
            self._position = max(self._position or 0, event.position)
        self._listeners.tell([event])

    def _lost(self, access: Access) -> None:
        """Go on with the next holder, at once if there is somebody who listens."""
        if access is not self._access:
            return
        self._was_connected = self._was_connected or access.was_connected
        self._access = None
        if (self._subscribed or self._kept_up) and not self._closed:
            self._going_on = Deferred.fromCoroutine(self._reached())
            self._going_on.addErrback(self._cannot_go_on)

    def _cannot_go_on(self, reason: TwistedFailure) -> None:
        if reason.check(CancelledError, HolderLost):
            return
        failure = reason.value
        if not isinstance(failure, Failure):
            _log.failure("the vault was lost", failure=reason)
            failure = Failure(Code.FAILED, "the vault was lost")
        self._listeners.tell([LinkEnded(failure)])
