"""`e2ee receive`: prints what waits, and goes on if asked to.

Knows when to wait and when to end; the order of printing and marking is the reader's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2ee.client.events import (
    Event,
    FileProgress,
    LinkDown,
    LinkEnded,
    LinkUp,
    Selection,
    ShownEvent,
)
from e2ee.errors import Code, Failure
from e2ee.ui.arrivals import drained
from e2ee.ui.exit_codes import DONE
from e2ee.ui.files import Patience
from e2ee.ui.invocation import Invocation
from e2ee.ui.reader import Reader
from e2ee.ui.waiting import Bell, Task

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; `maximum` counts messages, `folder` is where their files go."""

    follow: bool = False
    maximum: int | None = None
    wait_first: bool = False
    folder: str | None = None


async def receive(call: Invocation, wanted: Wanted) -> int:
    """Print the unshown and what comes until the mailbox is drained, or longer. The exit code.

    Raises Failure: UNREACHABLE, TIMEOUT, or why the connection was given up.
    """
    async with call.conversations(lasting=wanted.follow, patient=wanted.follow) as messenger:
        receiving = _Receiving(call, messenger, wanted)
        unsubscribe = messenger.subscribe(receiving.hear)
        try:
            await (receiving.follow() if wanted.follow else receiving.drain())
        finally:
            unsubscribe()
    return DONE


class _Receiving:
    """One run of `receive`."""

    def __init__(self, call: Invocation, messenger: Conversations, wanted: Wanted) -> None:
        self._call = call
        self._messenger = messenger
        self._wanted = wanted
        self._reader = Reader(messenger, call.show_event, wanted.folder)
        self._patience = Patience(call)
        self._bell = Bell(call.reactor)
        self._shown = 0
        self._heard = 0
        self._ended: Failure | None = None
        self._lost = False

    def hear(self, event: Event) -> None:
        """What the messenger tells."""
        self._patience.hear(event)
        match event:
            case LinkEnded(failure):
                self._ended = failure
                self._bell.ring()
            case LinkDown(failure) if self._wanted.follow and not self._lost:
                self._lost = True
                self._call.mention(f"no connection: {failure.sentence}; trying again")
            case LinkUp() if self._lost:
                self._lost = False
                self._call.mention("connected again")
            case FileProgress():
                self._bell.ring()
            case _ if isinstance(event, ShownEvent):
                self._heard += 1
                self._bell.ring()

    async def follow(self) -> None:
        """Print as it comes, until enough messages have been printed or the connection is given up."""
        await self._show()
        if self._call.options.timeout is not None and not self._full:
            await self._messenger.connected(self._call.left())
        while not self._full:
            if self._ended is not None:
                raise self._ended
            await self._bell.rung()
            await self._show()

    async def drain(self) -> None:
        """Print until the mailbox is drained, and, if asked to, until there has been a message; then
        until all files are here."""
        await self._drain()
        while self._messenger.was_connected and await self._messenger.files.fetching():
            if self._ended is not None:
                raise self._ended
            if not await self._bell.rung(self._patience.left()):
                raise Failure(Code.TIMEOUT, "a file is not here yet; the next connection goes on with it")
            await self._reader.show(selection=Selection(own_affairs=True))
        # The last one may have come between the last look and the question for it.
        await self._reader.show(selection=Selection(own_affairs=True))

    async def _drain(self) -> None:
        await self._show()
        if self._full:
            return
        draining = Task(self._until_drained(), at_end=self._bell.ring)
        while not (draining.done or self._full):
            await self._bell.rung()
            await self._show()
        if self._full:
            return
        await draining.result()
        await self._show()
        while self._wanted.wait_first and not self._shown:
            await self._wait_for_one()

    async def _until_drained(self) -> None:
        await self._messenger.connected(self._call.left())
        await drained(self._messenger, lambda: self._heard, self._call.left())

    async def _wait_for_one(self) -> None:
        if self._ended is not None:
            raise self._ended
        if not await self._bell.rung(self._call.left()):
            raise Failure(Code.TIMEOUT, "no message came in time")
        await self._show()

    @property
    def _full(self) -> bool:
        return self._wanted.maximum is not None and self._shown >= self._wanted.maximum

    async def _show(self) -> None:
        if not self._full:
            left = None if self._wanted.maximum is None else self._wanted.maximum - self._shown
            self._shown += await self._reader.show(left)
