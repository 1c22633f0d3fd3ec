"""Prints what the vault has unshown: in order, each once, even if the process is killed meanwhile.

Knows the order of marking, printing and marking; not how an event looks, nor when there is something new.
One event at a time is marked as *printing*, so that a kill puts one line in doubt at the most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock, gatherResults

from e2ee.client.events import MessageReceived, ShownEvent
from e2ee.ui.waiting import to_its_end

BATCH_MESSAGES = 100
"""Messages taken from the vault at once: enough to hide the look-up, few enough to hold."""


class Unshown(Protocol):
    """The part of the messenger that a reader needs."""

    async def unshown(self, limit: int | None = None) -> list[ShownEvent]: ...

    async def mark_printing(self, events: Sequence[ShownEvent]) -> None: ...

    async def mark_shown(self, events: Sequence[ShownEvent]) -> None: ...


class Reader:
    """One reader of a profile. `print_event` returns when the event has been flushed."""

    def __init__(self, unshown: Unshown, print_event: Callable[[ShownEvent], Awaitable[None]]) -> None:
        self._unshown = unshown
        self._print_event = print_event
        self._turn = DeferredLock()
        self._flushed: list[ShownEvent] = []

    async def show(
        self,
        maximum: int | None = None,
        only: Callable[[ShownEvent], bool] | None = None,
    ) -> int:
        """Print what is unshown, at the most `maximum` messages, and return how many messages that were.

        `only` leaves the others unshown. Raises what printing raises; what was flushed is marked then, too.
        """
        async with self._turn:
            if only is not None:
                return await self._print([event for event in await self._unshown.unshown() if only(event)])
            shown = 0
            while maximum is None or shown < maximum:
                limit = BATCH_MESSAGES if maximum is None else min(BATCH_MESSAGES, maximum - shown)
                events = await self._unshown.unshown(limit)
                if not events:
                    break
                shown += await self._print(events)
            return shown

    async def _print(self, events: Sequence[ShownEvent]) -> int:
        try:
            for event in events:
                await to_its_end(self._print_one(event))
        finally:
            await self._mark_flushed()
        return sum(isinstance(event, MessageReceived) for event in events)

    async def _print_one(self, event: ShownEvent) -> None:
        # Asked for together, so that both marks cost one commit.
        await gatherResults(
            [
                Deferred.fromCoroutine(self._mark_flushed()),
                Deferred.fromCoroutine(self._unshown.mark_printing([event])),
            ],
            consumeErrors=True,
        )
        await self._print_event(event)
        self._flushed.append(event)

    async def _mark_flushed(self) -> None:
        flushed, self._flushed = self._flushed, []
        if flushed:
            await self._unshown.mark_shown(flushed)
