"""Work that runs by itself: coroutines that belong to something that can be stopped.

Knows a clock. A defect inside a task is logged and ends that task only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

_log = Logger()


class Tasks:
    """Coroutines and timers that end together."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._running: set[Deferred[None]] = set()
        self._sleeping: set[Deferred[None]] = set()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `finish` was called: nothing new is begun."""
        return self._stopped

    def spawn(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run this by itself, at once up to its first wait."""
        if self._stopped:
            work.close()
            return
        task = Deferred.fromCoroutine(work)
        self._running.add(task)
        task.addErrback(self._ended_badly)
        task.addBoth(lambda _: self._running.discard(task))

    async def sleep(self, seconds: float) -> None:
        """Wait; CancelledError, which ends the task quietly, if all of them end meanwhile."""
        if self._stopped:
            raise CancelledError
        sleeping: Deferred[None] = deferLater(self._clock, seconds)
        self._sleeping.add(sleeping)
        try:
            await sleeping
        finally:
            self._sleeping.discard(sleeping)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call this after a while unless all ends before; returns what takes it back."""
        delayed = deferLater(self._clock, seconds, call)
        self._sleeping.add(delayed)
        delayed.addErrback(self._ended_badly).addBoth(lambda _: self._sleeping.discard(delayed))
        return delayed.cancel

    async def finish(self) -> None:
        """End what waits for time, and wait for the rest."""
        self._stopped = True
        for sleeping in tuple(self._sleeping):
            sleeping.cancel()
        while self._running:
            await DeferredList(tuple(self._running))

    def _ended_badly(self, reason: TwistedFailure) -> None:
        if not reason.check(CancelledError):
            _log.failure("a task of the client failed", failure=reason)
