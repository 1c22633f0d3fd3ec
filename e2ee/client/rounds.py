"""Work that is done in rounds: whenever something may have changed, and once more if it changed meanwhile.

Knows connections and a timer; not what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.client.context import Context
from e2ee.client.refusals import LinkLost


class Rounds:
    """One kind of work, never two rounds at once. `work` does all that there is to do now; it may raise
    LinkLost, and goes on with the next connection then."""

    def __init__(self, context: Context, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._context = context
        self._work = work
        self._busy = False
        self._again = False
        self._stopped = False
        self._take_back_timer: Callable[[], None] | None = None

    @property
    def go_on(self) -> bool:
        """Whether there is a connection, and nobody has said to stop."""
        return self._context.is_up and not self._stopped

    def look(self) -> None:
        """Something may have changed: go on, after the present round if there is one."""
        if not self.go_on:
            return
        self._again = True
        if not self._busy:
            self._busy = True
            self._context.tasks.spawn(self._run())

    def look_in(self, seconds: float | None) -> None:
        """Look by itself after so long, and at no other time; None: not by itself."""
        if self._take_back_timer is not None:
            self._take_back_timer()
            self._take_back_timer = None
        if seconds is not None:
            self._take_back_timer = self._context.tasks.later(seconds, self._due)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True

    async def _run(self) -> None:
        try:
            while self._again and self.go_on:
                self._again = False
                await self._round()
        finally:
            self._busy = False

    async def _round(self) -> None:
        try:
            await self._work()
        except LinkLost:
            # Of the connection on which it was begun. Whoever looked on a later one is not forgotten.
            return

    def _due(self) -> None:
        self._take_back_timer = None
        self.look()
