"""Small ways to wait that the interface is made of. Knows Deferreds and a clock, nothing of messages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure as TwistedFailure

T = TypeVar("T")


class Bell:
    """Rung by events, heard by one waiter; a ring that nobody waits for is kept for the next one."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._rung = False
        self._waiter: Deferred[None] | None = None

    def ring(self) -> None:
        """Wake the waiter, or let the next one pass at once."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self._rung = True
        else:
            waiter.callback(None)

    async def rung(self, timeout: float | None = None) -> bool:
        """Wait for a ring, at the most `timeout` seconds; whether it has rung."""
        if self._rung:
            self._rung = False
            return True
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiter = waiter
        timer = None if timeout is None else self._clock.callLater(max(timeout, 0.0), self._expire, waiter)
        try:
            await waiter
        except TimeoutError:
            return False
        finally:
            if timer is not None and timer.active():
                timer.cancel()
        return True

    def _forget(self, _: Deferred[None]) -> None:
        self._waiter = None

    def _expire(self, waiter: Deferred[None]) -> None:
        self._waiter = None
        waiter.errback(TimeoutError())


class Task(Generic[T]):
    """A coroutine that runs by itself. Several may wait for it; cancelling a wait leaves it running."""

    def __init__(
        self, coroutine: Coroutine[Deferred[Any], Any, T], at_end: Callable[[], None] = lambda: None
    ) -> None:
        self._outcome: T | TwistedFailure | None = None
        self._waiters: list[Deferred[None]] = []
        self._at_end = at_end
        self.done = False
        Deferred.fromCoroutine(coroutine).addBoth(self._finish)

    def _finish(self, outcome: T | TwistedFailure) -> None:
        self._outcome = outcome
        self.done = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)
        self._at_end()

    async def result(self) -> T:
        """What the coroutine returned; raises what it raised."""
        if not self.done:
            waiter: Deferred[None] = Deferred(self._waiters.remove)
            self._waiters.append(waiter)
            await waiter
        if isinstance(self._outcome, TwistedFailure):
            self._outcome.raiseException()
        return cast(T, self._outcome)


async def to_its_end(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Run it; if the waiting is cancelled, let it finish first and then pass the cancellation on."""
    task = Task(coroutine)
    try:
        return await task.result()
    except CancelledError:
        await task.result()
        raise
