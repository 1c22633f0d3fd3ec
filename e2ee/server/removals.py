"""What one device has acknowledged goes from its mailbox.

Knows the mailbox and a full disk; not seats, nor who acknowledges. Nothing is lost where a removal is:
what was not removed is pushed again after the next login, and recognised by the recipient's vault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from e2ee.errors import StoreUnavailable
from e2ee.ids import DeviceAddress
from e2ee.server.refusal import UNAVAILABLE_RETRY_SECONDS
from e2ee.server.seat_terms import Remove
from e2ee.store.server.ports import Mailbox


class Removals:
    """The rows of `where` that are to go."""

    __slots__ = ("_again", "_clock", "_connected", "_due", "_mailbox", "_where", "busy")

    def __init__(self, where: DeviceAddress, mailbox: Mailbox, clock: IReactorTime) -> None:
        self._where = where
        self._mailbox = mailbox
        self._clock = clock
        self._due: deque[Remove] = deque()
        self._again: IDelayedCall | None = None
        self._connected = False
        self.busy = False

    def add(self, order: Remove) -> bool:
        """These too. Whether to `run` now: else it runs already, or will be tried again."""
        self._due.append(order)
        return not self.busy and self._again is None

    async def run(self, again: Callable[[], None]) -> None:
        """One removal at a time, each of all that there is of one epoch. Without room on the disk, `again` is
        called when it is time to run once more."""
        self.busy = True
        try:
            while self._due:
                order = self._next()
                try:
                    await self._mailbox.remove(self._where, order.epoch, order.seqs)
                except StoreUnavailable:
                    self._put_off(order, again)
                    break
        finally:
            self.busy = False

    def arrived(self) -> None:
        """A connection has come."""
        self._connected = True

    def outdated(self) -> None:
        """A new epoch has begun: what was ordered in an older one would do nothing."""
        self._due.clear()

    def lost(self) -> None:
        """No connection is left: what could not be removed is left to the next login."""
        self._connected = False
        if self._again is not None:
            self._again.cancel()
            self._again = None
            self._due.clear()

    def _next(self) -> Remove:
        epoch = self._due[0].epoch
        seqs: list[int] = []
        while self._due and self._due[0].epoch == epoch:
            seqs += self._due.popleft().seqs
        return Remove(epoch, seqs)

    def _put_off(self, order: Remove, again: Callable[[], None]) -> None:
        """Not even the room that is set aside was left, or too much waits for the disk. It is kept while the
        connection lasts: never more than the mailbox has rows, since nothing is pushed twice."""
        if not self._connected:
            self._due.clear()
            return
        self._due.appendleft(order)
        self._again = self._clock.callLater(UNAVAILABLE_RETRY_SECONDS, self._try_again, again)

    def _try_again(self, again: Callable[[], None]) -> None:
        self._again = None
        again()
