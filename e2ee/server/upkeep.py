"""What has to be done now and then: mail, codes and limits expire, unused prekeys go.

Knows when, not how. A task that fails is tried again at its next turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

LONGEST_SECONDS = 600.0
SHORTEST_SECONDS = 1.0


def interval(life_seconds: float) -> float:
    """How often to look for things that live this long: late by a twentieth, within reason."""
    return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, life_seconds / 20))


class Upkeep:
    """Runs each task at its interval; a task never overlaps itself."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._loops: list[LoopingCall] = []

    def every(self, seconds: float, name: str, task: Callable[[], Awaitable[object]]) -> None:
        """Run `task` now and every so many seconds. The log calls it `name`."""

        async def attempt() -> None:
            try:
                await task()
            except Exception as error:
                self._log.warn("{task} failed: {kind}", task=name, kind=type(error).__name__)

        loop = LoopingCall(lambda: Deferred.fromCoroutine(attempt()))
        loop.clock = self._clock
        loop.start(seconds)
        self._loops.append(loop)

    def stop(self) -> None:
        """Nothing is begun any more, until `every` is called again."""
        loops, self._loops = self._loops, []
        for loop in loops:
            if loop.running:
                loop.stop()
