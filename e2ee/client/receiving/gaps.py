"""How long a gap in a sender's texts is waited for: until the mailbox is drained, else five seconds.

Knows timers; what is passed on stands in `sequence`.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.events import Event, Gap
from e2ee.client.receiving.sequence import mark_gaps
from e2ee.client.recovery.healing import Healer
from e2ee.client.shown import describe
from e2ee.ids import Address, DeviceId
from e2ee.store.client.messages import held_streams
from e2ee.store.connection import Connection

GAP_SECONDS = 5.0


class Gaps:
    """One profile's. What is held without a connection stays held until one has been drained."""

    def __init__(self, context: Context, healer: Healer) -> None:
        self._context = context
        self._healer = healer
        self._draining = True
        self._timers: dict[tuple[Address, DeviceId], Callable[[], None]] = {}

    def wait_for_drained(self) -> None:
        """A new connection: what is missing may be in the mailbox."""
        self._draining = True
        for take_back in tuple(self._timers.values()):
            take_back()
        self._timers.clear()

    def begun(self, address: Address, device: DeviceId) -> None:
        """A text of this sender waits for those before it."""
        self._wait(address, device, GAP_SECONDS)

    def _wait(self, address: Address, device: DeviceId, seconds: float) -> None:
        key = address, device
        if not self._draining and key not in self._timers:
            self._timers[key] = self._context.tasks.later(seconds, lambda: self._due(*key))

    async def drained(self) -> None:
        """Everything that waited is here: what is missing now will not come soon."""
        self._draining = False
        for address, device in await self._context.vault.read(held_streams):
            await self._mark(address, device, self._context.now)

    def _due(self, address: Address, device: DeviceId) -> None:
        self._timers.pop((address, device), None)
        before = self._context.now - int(1000 * GAP_SECONDS) + 1  # the clock's fractions are rounded
        self._context.tasks.spawn(self._mark(address, device, before))

    async def _mark(self, address: Address, device: DeviceId, received_before: int) -> None:
        now = self._context.now

        def mark(tx: Connection) -> tuple[list[Event], int | None]:
            positions, oldest = mark_gaps(tx, address, device, now, received_before)
            return list(describe(tx, positions)), oldest

        events, oldest = await self._context.write(mark)
        self._context.listeners.tell(events)
        if any(isinstance(event, Gap) for event in events):
            self._healer.look()
        if oldest is not None:
            waited = (self._context.now - oldest) / 1000
            self._wait(address, device, min(GAP_SECONDS, max(0.0, GAP_SECONDS - waited)))
