"""Prints what the vault has unshown: in order, each once, even if the process is killed meanwhile.

Knows the order of marking, printing and marking; not how an event looks, nor when there is something new.
One event at a time is marked as *printing*, so that a kill puts one line in doubt at the most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import DeferredLock

from e2ee.client.events import FileFacts, MessageReceived, Selection, ShownEvent
from e2ee.ids import Address, MessageId
from e2ee.ui.waiting import Task, to_its_end


class Wanting(Protocol):
    """The part of `SharedFiles` that a reader needs."""

    async def want(
        self, address: Address, message_id: MessageId, folder: str | None = None
    ) -> FileFacts | None: ...


class Unshown(Protocol):
    """The part of the conversations that a reader needs."""

    @property
    def files(self) -> Wanting: ...

    async def take(self, most: int | None, selection: Selection | None = None) -> list[ShownEvent]: ...

    async def mark_printing(self, events: Sequence[ShownEvent]) -> list[ShownEvent]: ...

    async def mark_shown(self, events: Sequence[ShownEvent]) -> None: ...


class Reader:
    """One reader of a profile. `print_event` returns when the event has been flushed. `folder` is where the
    files of messages go, None: the profile's own."""

    def __init__(
        self,
        unshown: Unshown,
        print_event: Callable[[ShownEvent], Awaitable[None]],
        folder: str | None = None,
    ) -> None:
        self._unshown = unshown
        self._folder = folder
        self._print_event = print_event
        self._turn = DeferredLock()
        self._flushed: list[ShownEvent] = []

    async def show(
        self,
        maximum: int | None = None,
        selection: Selection | None = None,
    ) -> int:
        """Print what is unshown, at the most `maximum` messages, and return how many messages that were.

        `selection` leaves the others unshown. Raises what printing raises; what was flushed is marked
        then, too.
        """
        async with self._turn:
            shown = 0
            while maximum is None or shown < maximum:
                left = None if maximum is None else maximum - shown
                events = await self._unshown.take(left, selection)
                if not events:
                    break
                shown += await self._print(events)
            return shown

    async def _print(self, events: Sequence[ShownEvent]) -> int:
        texts = 0
        try:
            for event in events:
                if await to_its_end(self._print_one(event)):
                    texts += isinstance(event, MessageReceived)
        finally:
            # Who ends the reading does not take back what was printed.
            await to_its_end(self._mark_flushed())
        return texts

    async def _print_one(self, event: ShownEvent) -> bool:
        """Whether it was still to be printed."""
        # Asked for together, so that both marks cost one commit.
        marking = Task(self._mark_flushed())
        granted = await self._unshown.mark_printing([event])
        await marking.result()
        if not granted:
            return False
        await self._print_event(await self._with_file_wanted(event))
        self._flushed.append(event)
        return True

    async def _with_file_wanted(self, event: ShownEvent) -> ShownEvent:
        """What is about to be shown, after its file was asked for, if it has one."""
        if not isinstance(event, MessageReceived) or event.file is None:
            return event
        facts = await self._unshown.files.want(event.address, event.message_id, self._folder)
        return replace(event, file=facts or event.file)

    async def _mark_flushed(self) -> None:
        flushed, self._flushed = self._flushed, []
        if flushed:
            await self._unshown.mark_shown(flushed)
