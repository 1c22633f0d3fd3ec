"""Deletes texts when their time is over, as long as this process has the vault.

Knows the clock; what is deleted, and how, stands in `disappearing`.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.events import Event, MessageSent, SentState
from e2ee.client.history.disappearing import forget_expired
from e2ee.store.client.timers import next_expiry, sent_without_start, start_sent

LOOK_SECONDS = 0.2
"""Where many are sent or shown, it is looked once."""
LONGEST_SECONDS = 60 * 60.0
"""Then the clock is looked at again: somebody may have set it."""


class Expiring:
    """One profile's. `forgotten` is called after texts were deleted."""

    def __init__(self, context: Context, forgotten: Callable[[], None]) -> None:
        self._context = context
        self._forgotten = forgotten
        self._take_back: Callable[[], None] | None = None
        self._due = 0
        self._looking = False
        context.listeners.subscribe(self._hear)

    async def begin(self) -> None:
        """Delete what should have gone while nobody had the vault: nobody is shown it."""
        await self._forget()

    def look(self) -> None:
        """The time of a text may run from now on."""
        if not self._looking:
            self._looking = True
            self._context.tasks.later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looking = False
        self._context.tasks.spawn(self._wait())

    def _hear(self, event: Event) -> None:
        if isinstance(event, MessageSent) and event.message.state is not SentState.QUEUED:
            self.look()

    async def _forget(self) -> None:
        now = self._context.now
        if await self._context.write(lambda tx: forget_expired(tx, now)):
            self._forgotten()
        await self._wait()

    async def _wait(self) -> None:
        """Be there when the next one's time is over."""
        if await self._context.vault.read(sent_without_start):
            now = self._context.now
            await self._context.write(lambda tx: start_sent(tx, now))
        due = await self._context.vault.read(next_expiry)
        if due is None or (self._take_back is not None and self._due <= due):
            return
        if self._take_back is not None:
            self._take_back()
        self._due = due
        seconds = min(LONGEST_SECONDS, max(0.0, (due - self._context.now) / 1000))
        self._take_back = self._context.tasks.later(seconds, self._over)

    def _over(self) -> None:
        self._take_back = None
        self._context.tasks.spawn(self._forget())
