"""The way of everything that waits for one contact: sealed, sent in order, settled with the answers.

Keeps a window of sends in flight on the present connection. After the first refusal nothing more is
sent until all answers are back, and then from the oldest on, with `restart`: a refusal never lets a
later message of the same pair pass. See `docs/protocol.md`, section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from e2ee.client.context import Context
from e2ee.client.events import Event, MessageSent, SentState
from e2ee.client.link import LinkPhase
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.sending import outbox_plan, settling
from e2ee.client.sending.outgoing import Outgoing, note_accepted
from e2ee.client.shown import sent_state
from e2ee.crypto.state_token import make_state_token
from e2ee.errors import Failure
from e2ee.ids import Address, ContactToken
from e2ee.store.client.outbox import OutboxRecord
from e2ee.store.client.timers import start_timers
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

WINDOW = 32
"""Sends in flight to one contact: enough to fill a slow line, little to send again."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """An entry that the server did not accept, and what it said."""

    entry: OutboxRecord
    answer: Refusal | m.StaleDevice


class Lane:
    """One contact's. `wake` it whenever something may have changed; it goes on by itself."""

    def __init__(
        self, context: Context, outgoing: Outgoing, address: Address, changed: Callable[[Address], None]
    ) -> None:
        self._context = context
        self._outgoing = outgoing
        self._address = address
        self._changed = changed
        self._connection = 0
        self._busy = False
        self._again = False
        self._in_flight: set[int] = set()
        self._sent_up_to = 0
        self._refused: _Refused | None = None
        self._restart = False
        self._stale = False
        self._looked_up = False
        self._take_back_timer: Callable[[], None] | None = None

    @property
    def at_work(self) -> bool:
        """Whether something is being done, or an answer is still to come on the present connection."""
        return self._busy or (bool(self._in_flight) and self._connection == self._context.connection)

    @property
    def asks_about_key(self) -> bool:
        """Whether the directory is still to say, on the present or the first connection, which account
        key this contact has."""
        if self._context.link_state.phase in (LinkPhase.DOWN, LinkPhase.STOPPED):
            return False
        asked = self._looked_up and self._connection == self._context.connection
        return self._busy or not asked

    def wake(self) -> None:
        """Look what there is to do, unless it is being done."""
        if not self._context.is_up:
            return
        self._again = True
        if not self._busy:
            self._busy = True
            self._context.tasks.spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._again and self._context.is_up:
                self._again = False
                self._begin_connection()
                await self._step()
        except LinkLost:
            self._again = False
        finally:
            self._busy = False
            if not self._in_flight:
                self._changed(self._address)

    def _begin_connection(self) -> None:
        if self._connection != self._context.connection:
            self._connection = self._context.connection
            self._looked_up = False
            self._start_over(restart=False)

    def _start_over(self, *, restart: bool) -> None:
        """From the oldest on; only when nothing of this connection is in flight."""
        self._in_flight = set()
        self._sent_up_to = 0
        self._refused = None
        self._restart = restart

    async def _step(self) -> None:
        if self._refused is not None:
            if not self._in_flight:
                refused, again = self._refused, self._restart
                self._start_over(restart=True)
                await self._settle(refused, again)
                self._again = True
            return
        plan = await self._context.write(self._plan)
        if self._connection != self._context.connection or not self._context.is_up:
            return
        self._tell(plan.events)
        for entry in plan.entries:
            self._send(entry, plan.token)
        if plan.key_changed:
            await self._look_up()
        elif plan.wait is not None:
            self._wait(plan.wait)
        elif plan.needs_bundle:
            settled = await settling.fetch_bundle(self._context, self._outgoing, self._address)
            self._tell(settled)
            self._again = True

    def _plan(self, tx: Connection) -> outbox_plan.Plan:
        return outbox_plan.make_plan(
            tx,
            self._outgoing,
            self._address,
            self._context.now,
            warn=self._context.warn,
            after=self._sent_up_to,
            room=WINDOW - len(self._in_flight),
        )

    async def _look_up(self) -> None:
        """Once on each connection: the directory may serve the trusted key again."""
        if not self._looked_up:
            self._looked_up = True
            self._again, news = await settling.look_up_again(self._context, self._address)
            self._tell(news)

    def _wait(self, seconds: float) -> None:
        if self._take_back_timer is not None:
            self._take_back_timer()
        self._take_back_timer = self._context.tasks.later(seconds, self._waited)

    def _waited(self) -> None:
        self._take_back_timer = None
        self.wake()

    # --- sending ----------------------------------------------------------------------------

    def _send(self, entry: OutboxRecord, token: ContactToken | None) -> None:
        self._sent_up_to = entry.position
        self._in_flight.add(entry.position)
        message = m.Send(
            n=0,
            number=str(entry.address),
            statement_hash=entry.statement_hash or b"",
            token=None if token is None else bytes(token),
            envelope=entry.envelope or b"",
            state_token=make_state_token(self._context.own, entry.state_counter or 0),
            restart=self._restart and len(self._in_flight) == 1,
        )
        self._context.tasks.spawn(self._deliver(entry, message))

    async def _deliver(self, entry: OutboxRecord, message: m.Send) -> None:
        connection = self._connection
        try:
            answer = await self._context.link.request(message)
        except LinkLost:
            return
        except Refusal as refusal:
            if connection == self._connection:
                self._note_refused(_Refused(entry, refusal))
        else:
            if isinstance(answer, m.Accepted):
                await self._accept(entry, answer)
            elif isinstance(answer, m.StaleDevice) and connection == self._connection:
                self._note_refused(_Refused(entry, answer))
        if connection == self._connection:
            self._in_flight.discard(entry.position)
            self.wake()

    def _note_refused(self, refused: _Refused) -> None:
        """Keep the first refusal; `held` only says that there was one."""
        known = self._refused
        if known is None or (_is_held(known.answer) and not _is_held(refused.answer)):
            self._refused = refused

    async def _accept(self, entry: OutboxRecord, answer: m.Accepted) -> None:
        self._restart = self._stale = False
        state = SentState.DELIVERED if answer.outcome is m.Outcome.DELIVERED else SentState.STORED
        now = self._context.now

        def accept(tx: Connection) -> list[Event]:
            text = note_accepted(tx, entry, state)
            start_timers(tx, [] if text is None else [text.row], now)
            return [] if text is None else [MessageSent(sent_state(tx, text, now))]

        self._tell(await self._context.write(accept))

    async def _settle(self, refused: _Refused, again: bool) -> None:
        """Do what the refusal asks for. `again`: it came in spite of `restart`."""
        context, entry, answer = self._context, refused.entry, refused.answer
        if isinstance(answer, m.StaleDevice):
            again, self._stale = self._stale, True
            self._tell(await settling.stale_device(context, entry, answer, again=again))
        elif _is_held(answer) and not again:
            return
        elif answer.refusal is m.RefusalCode.UNKNOWN_RECIPIENT:
            self._tell(await settling.unknown_recipient(context, entry))
        else:
            self._tell(await settling.note_waiting(context, entry, answer))

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._context.listeners.tell(events)
            self._changed(self._address)


def _is_held(answer: Failure | m.StaleDevice) -> bool:
    return isinstance(answer, Refusal) and answer.refusal is m.RefusalCode.HELD
