"""Shows in a chat what arrives, as it arrives, in each sender's order.

Knows the reader and whom the news came from; not the chat's commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from e2ee.client.events import MessageFailed, Selection, ShownEvent
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.ui.reader import Reader
from e2ee.ui.waiting import Task

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


DRAIN_SECONDS = 10.0
"""How long a mailbox may be silent before it counts as not drained; a full one takes minutes."""


async def drained(messenger: Conversations, heard: Callable[[], int], silence: float = DRAIN_SECONDS) -> None:
    """Wait until the mailbox is drained, however long that takes while something comes.

    `heard` counts what has come. Raises Failure(TIMEOUT) after `silence` seconds without news, and
    what `Conversations.drained` raises.
    """
    before = -1
    while True:
        try:
            return await messenger.drained(silence)
        except Failure as failure:
            if failure.code is not Code.TIMEOUT or heard() == before:
                raise
        before = heard()


def other_side(event: ShownEvent) -> Address:
    """Whom an event is about."""
    return event.to if isinstance(event, MessageFailed) else event.address


class Arrivals:
    """Silent until `begin`: what came before waits for the user to ask for it."""

    def __init__(self, reader: Reader, failed: Callable[[BaseException], None]) -> None:
        self._reader = reader
        self._failed = failed
        self._live = False
        self._news: set[Address] = set()
        self._affairs = False
        self._showing: Task[None] | None = None

    def begin(self) -> None:
        """Show what arrives from now on."""
        self._live = True
        self._wake()

    def arrived(self, event: ShownEvent) -> None:
        """There is news of somebody: all of his that is unshown is shown, for the order's sake."""
        self.look_at(other_side(event))

    def held_back(self) -> None:
        """There is news that waits for the user, unless no person wrote it."""
        self._affairs = True
        self._wake()

    def look_at(self, address: Address) -> None:
        """Show all of his that is unshown."""
        self._news.add(address)
        self._wake()

    def forget(self) -> None:
        """What has come until now belongs to what the user asks for himself."""
        self._news.clear()
        self._affairs = False

    async def end(self) -> None:
        """Show nothing more than what there has been news of, and wait until that is done."""
        was_live, self._live = self._live, False
        if self._showing is not None:
            await self._showing.result()
        if was_live and (self._news or self._affairs):
            await self._show()

    def _wake(self) -> None:
        if self._live and (self._news or self._affairs) and (self._showing is None or self._showing.done):
            self._showing = Task(self._show(), at_end=self._wake)

    async def _show(self) -> None:
        news, self._news = self._news, set()
        affairs, self._affairs = self._affairs, False
        try:
            if news:
                await self._reader.show(selection=Selection(people=tuple(news)))
            if affairs:
                await self._reader.show(selection=Selection(own_affairs=True))
        except BaseException as error:
            self._failed(error)
