"""Looks when there is something to heal, and begins it as soon as it may be.

Knows connections and timers: what waits in the mailbox is taken first, for it may be what seems to be
missing, and what has to wait is looked at again when its time has come. What is needed, and how often,
stands in `need`; what is sent then, in `resuming`. See `docs/cryptography.md`, "Healing".
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.recovery.need import begin_due
from e2ee.ids import Address


class Healer:
    """One profile's. `wake` is called with each number for whom something has been put into the outbox."""

    def __init__(self, context: Context, wake: Callable[[Address], None]) -> None:
        self._context = context
        self._wake = wake
        self._draining = True
        self._take_back_timer: Callable[[], None] | None = None

    def wait_for_drained(self) -> None:
        """A new connection: first what waits in the mailbox."""
        self._draining = True

    async def drained(self) -> None:
        """Everything that waited is here. What is to be healed waits in the outbox when this returns."""
        self._draining = False
        await self._look()

    def look(self) -> None:
        """Something may be missing."""
        if not self._draining:
            self._context.tasks.spawn(self._look())

    async def _look(self) -> None:
        now = self._context.now
        due = await self._context.write(lambda tx: begin_due(tx, now))
        for address in due.begun:
            self._wake(address)
        if due.again_in is not None:
            self._look_again(due.again_in / 1000)

    def _look_again(self, seconds: float) -> None:
        if self._take_back_timer is not None:
            self._take_back_timer()
        self._take_back_timer = self._context.tasks.later(seconds, self._time_has_come)

    def _time_has_come(self) -> None:
        self._take_back_timer = None
        self.look()
