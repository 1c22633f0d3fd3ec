"""Sends receipts: a little later than they are owed, many in one, and never more than half of what the
server lets an account send.

Knows connections and timers; whom a receipt is owed, and what one tells, stands in `receipting`. What is
owed is kept in the vault, so that it outlives the process. See `docs/protocol.md`, section 6, "Receipts".
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.events import Event, MessageSent, SentState
from e2ee.client.sending.receipting import Queued, forget_receipts, queue_owed
from e2ee.ids import Address

RECEIPT_SECONDS = 0.3
"""So long after a text is kept it has mostly been read, too, and one receipt tells both."""
AT_ONCE = 20
"""Receipts that are put into the outbox together."""
PAUSE_SECONDS = 0.1
"""After each of them, before the next are: ten a second leave the other half of the rate to texts."""
ROUNDS_AT_THE_END = 5
"""At the end of a process; what is still owed then is sent on the next connection."""


class Receipts:
    """One profile's. `wake` is called with each number for whom one has been put into the outbox."""

    def __init__(self, context: Context, wake: Callable[[Address], None]) -> None:
        self._context = context
        self._wake = wake
        self._draining = True
        self._busy = False
        self._wanted = False
        self._behind_texts = False
        context.listeners.subscribe(self._hear)

    async def begin(self) -> None:
        """Where the user has switched receipts off since, none of what waits is sent."""
        if not self._context.receipts:
            await self._context.vault.write(forget_receipts)

    def wait_for_drained(self) -> None:
        """A new connection: first what waits in the mailbox."""
        self._draining = True

    def drained(self) -> None:
        """Everything that waited has been taken."""
        self._draining = False
        self.owed()

    def owed(self) -> None:
        """Somebody is to be told something."""
        self._wanted = True
        self._look_in(RECEIPT_SECONDS)

    def _look_in(self, seconds: float) -> None:
        if not (self._busy or self._draining) and self._context.receipts:
            self._busy = True
            self._context.tasks.later(seconds, self._look)

    async def flush(self) -> None:
        """Put into the outbox what is owed, since the connection is about to end."""
        for _ in range(ROUNDS_AT_THE_END):
            if not self._context.is_up or not self._context.receipts:
                return
            if not (await self._queue()).addresses:
                return

    def _hear(self, event: Event) -> None:
        """Receipts wait behind texts to the same contact."""
        sent = isinstance(event, MessageSent) and event.message.state is not SentState.QUEUED
        if sent and self._behind_texts:
            self.owed()

    def _look(self) -> None:
        self._wanted = False
        self._context.tasks.spawn(self._queue_some())

    async def _queue_some(self) -> None:
        queued = Queued()
        try:
            if self._context.is_up and not self._draining:
                queued = await self._queue()
        finally:
            self._busy = False
        if queued.addresses or self._wanted:
            self._look_in(max(RECEIPT_SECONDS, len(queued.addresses) * PAUSE_SECONDS))

    async def _queue(self) -> Queued:
        now = self._context.now
        queued = await self._context.write(lambda tx: queue_owed(tx, now, AT_ONCE))
        self._behind_texts = queued.left and not queued.addresses
        for address in queued.addresses:
            self._wake(address)
        return queued
