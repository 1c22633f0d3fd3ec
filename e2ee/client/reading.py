"""What readers ask the vault: the unshown, and the state of things.

Works without a connection. Knows no way of printing.
"""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.client.context import Context
from e2ee.client.events import ShownEvent, Status
from e2ee.client.shown import positions_of, unshown_events
from e2ee.store.client import arrivals, outbox, prekeys
from e2ee.store.client.prekeys import PreKeyKind
from e2ee.store.connection import Connection


class Reading:
    """One profile's."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def unshown(self, limit: int | None) -> list[ShownEvent]:
        """What no reader has shown, oldest first; `limit` counts texts."""
        return await self._context.vault.read(lambda tx: unshown_events(tx, limit))

    async def unshown_count(self) -> int:
        """How many texts no reader has shown."""
        return await self._context.vault.read(arrivals.count_unshown)

    async def mark_printing(self, events: Sequence[ShownEvent]) -> None:
        """These are about to be printed."""
        positions = positions_of(events)
        await self._context.write(lambda tx: arrivals.mark_printing(tx, positions))

    async def mark_shown(self, events: Sequence[ShownEvent]) -> None:
        """These were printed and flushed."""
        positions = positions_of(events)
        await self._context.write(lambda tx: arrivals.mark_shown(tx, positions))

    async def status(self) -> Status:
        """What vault and link know."""
        state, up = self._context.link_state, self._context.is_up

        def load(tx: Connection) -> tuple[int, int, int, int]:
            return (
                outbox.count_waiting(tx),
                arrivals.count_unshown(tx),
                prekeys.count_prekeys(tx, PreKeyKind.ONE_TIME),
                prekeys.count_prekeys(tx, PreKeyKind.KEM_ONE_TIME),
            )

        waiting, unshown, one_time, kem_one_time = await self._context.vault.read(load)
        return Status(
            connected=up,
            key_exchange=state.key_exchange if up else None,
            peer_pin=state.peer_pin if up else None,
            outbox=waiting,
            unshown=unshown,
            one_time_prekeys=one_time,
            kem_one_time_prekeys=kem_one_time,
            failure=None if up else state.failure,
        )
