"""Takes what the server pushes into the vault, and acknowledges it once it is on disk.

Knows connections, timers and the order of things; what happens to one envelope stands in `incoming`,
the order of a sender's texts in `sequence`. See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from e2ee.client.context import Context
from e2ee.client.directory import Directory
from e2ee.client.events import ContactTyping, Drained, Event, KeyChanged, MessageSent
from e2ee.client.receiving.gaps import Gaps
from e2ee.client.receiving.incoming import Incoming, Unconfirmed
from e2ee.client.receiving.keeping import Pushed, Taken
from e2ee.client.recovery.healing import Healer
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.sending.receipts import Receipts
from e2ee.client.shown import describe, sent_state
from e2ee.client.trust import Served
from e2ee.errors import StoreError
from e2ee.ids import Address, DeviceId, EnvelopeId
from e2ee.store.client import messages
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

ATTEMPTS = 3
"""An envelope over which the client has failed this often, without dying, is set aside."""

_log = Logger()


class Receiver:
    """One profile's. `changed` is called with each number to whom something may be to be sent, `learned`
    when a contact token is another."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        incoming: Incoming,
        gaps: Gaps,
        healer: Healer,
        receipts: Receipts,
        *,
        changed: Callable[[Address], None],
        learned: Callable[[], None],
        stock_unknown: Callable[[], None],
        drained: Callable[[], None],
    ) -> None:
        self._context = context
        self._directory = directory
        self._incoming = incoming
        self._gaps = gaps
        self._healer = healer
        self._receipts = receipts
        self._changed = changed
        self._learned = learned
        self._stock_unknown = stock_unknown
        self._on_drained = drained
        self._taking = 0
        self._drained_push = False

    def connected(self) -> None:
        """A new connection: until it says so, the mailbox is not drained."""
        self._taking = 0
        self._drained_push = False
        self._gaps.wait_for_drained()
        self._healer.wait_for_drained()
        self._receipts.wait_for_drained()

    def push(self, push: m.Push) -> None:
        """An envelope."""
        self._taking += 1
        self._context.tasks.spawn(self._receive(push))

    def drained(self) -> None:
        """The server says that everything that waited was pushed."""
        self._drained_push = True
        self._finish_draining()

    def _finish_draining(self) -> None:
        if self._drained_push and not self._taking:
            self._drained_push = False
            self._context.tasks.spawn(self._drain())

    async def _drain(self) -> None:
        await self._gaps.drained()
        await self._healer.drained()
        self._receipts.drained()
        self._on_drained()
        self._context.listeners.tell([Drained()])

    async def _receive(self, push: m.Push) -> None:
        connection = self._context.connection
        pushed = Pushed(
            Address(push.number),
            DeviceId(push.device),
            push.envelope,
            EnvelopeId.of(push.envelope),
            self._context.now,
        )
        try:
            taken, events = await self._take(pushed)
            self._acknowledge(connection, push, pushed, taken)
            self._tell(pushed, taken, events)
        except (LinkLost, Refusal) as error:
            # Not acknowledged: it will be pushed again. Where the connection has gone before the directory
            # answered, what is behind it is not missing, and no gap may be marked.
            if isinstance(error, LinkLost) and connection == self._context.connection:
                self._drained_push = False
        finally:
            if connection == self._context.connection:
                self._taking -= 1
                self._finish_draining()

    def _acknowledge(self, connection: int, push: m.Push, pushed: Pushed, taken: Taken) -> None:
        if connection == self._context.connection and self._context.is_up:
            verdict = m.Verdict.OPENED if taken.opened else m.Verdict.SET_ASIDE
            self._context.link.send(m.Acknowledge(push.push, bytes(pushed.envelope_id), verdict))

    def _tell(self, pushed: Pushed, taken: Taken, events: list[Event]) -> None:
        if taken.held:
            self._gaps.begun(pushed.address, pushed.device)
        if taken.stock_unknown:
            self._stock_unknown()
        self._context.listeners.tell(events)
        if taken.typing:
            self._context.listeners.tell([ContactTyping(pushed.address)])
        if taken.wake or any(isinstance(event, KeyChanged) for event in events):
            self._changed(pushed.address)
        if taken.learned:
            self._learned()
        if taken.heal:
            self._healer.look()
        if taken.owed:
            self._receipts.owed()

    # --- taking one -------------------------------------------------------------------------

    async def _take(self, pushed: Pushed) -> tuple[Taken, list[Event]]:
        for _ in range(ATTEMPTS):
            try:
                return await self._take_believed(pushed)
            except (LinkLost, Refusal, StoreError, CancelledError):
                raise
            except Exception:
                _log.failure("an envelope could not be taken")
        return await self._set_aside(pushed)

    async def _take_believed(self, pushed: Pushed) -> tuple[Taken, list[Event]]:
        """Take it; where its account key is new, only after the directory was asked."""
        try:
            return await self._commit(pushed, None)
        except Unconfirmed:
            served = await self._directory.look_up(pushed.address)
            return await self._commit(pushed, served)

    async def _commit(self, pushed: Pushed, served: Served | None) -> tuple[Taken, list[Event]]:
        def take(tx: Connection) -> tuple[Taken, list[Event]]:
            with self._context.opening.of(pushed.envelope_id):
                return self._with_events(tx, self._incoming.take(tx, pushed, served))

        return await self._context.write(take)

    async def _set_aside(self, pushed: Pushed) -> tuple[Taken, list[Event]]:
        return await self._context.write(
            lambda tx: self._with_events(tx, self._incoming.set_aside(tx, pushed))
        )

    def _with_events(self, tx: Connection, taken: Taken) -> tuple[Taken, list[Event]]:
        events: list[Event] = list(describe(tx, taken.arrivals))
        changed = (messages.message_by_row(tx, row) for row in taken.changed)
        events += [MessageSent(sent_state(tx, text, self._context.now)) for text in changed]
        return taken, events
