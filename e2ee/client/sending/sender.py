"""The outbox at work: queues texts, wakes the lanes of those to whom something waits, tells who waits.

Knows one lane for each contact (`lane`); the vault's side of it stands in `outgoing`. See
`docs/protocol.md`, section 6, "Sender".
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from e2ee.client.context import Context
from e2ee.client.deadline import Deadline
from e2ee.client.events import Event, FailedReason, MessageSent, SentMessage, SentState
from e2ee.client.link import LinkPhase
from e2ee.client.sending.lane import Lane
from e2ee.client.sending.outbox_plan import fail_overdue
from e2ee.client.sending.outgoing import Outgoing, check_text, note_envelope_lost
from e2ee.client.shown import CANCELLED, describe, sent_state
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.store.client import arrivals, messages, outbox
from e2ee.store.client.authorities import trusts_any
from e2ee.store.client.state_counter import note_all_sent
from e2ee.store.connection import Connection
from e2ee.wire import messages as m


class Sender:
    """One profile's. `timed` is called when the time of a failed text may run now."""

    def __init__(self, context: Context, outgoing: Outgoing, timed: Callable[[], None]) -> None:
        self._context = context
        self._outgoing = outgoing
        self._timed = timed
        self._lanes: dict[Address, Lane] = {}
        self._waiting: list[tuple[Address | None, Deferred[None]]] = []
        context.listeners.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        """Whoever changes the state of a text tells it here: contacts do, too."""
        if isinstance(event, MessageSent):
            self.changed(event.message.to)

    # --- going on ---------------------------------------------------------------------------

    def wake(self, address: Address) -> None:
        """Something may have changed for what waits for this number."""
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = Lane(self._context, self._outgoing, address, self.changed)
        lane.wake()

    def wake_all(self) -> None:
        """Go on with everything that waits, such as on a new connection."""
        self._context.tasks.spawn(self._wake_all())

    async def _wake_all(self) -> None:
        for address in await self._context.vault.read(outbox.waiting_addresses):
            self.wake(address)

    async def fail_overdue(self) -> None:
        """Fail what has waited for 30 days, with a connection or without."""
        now = self._context.now

        def fail(tx: Connection) -> list[Event]:
            return [
                event for one in outbox.waiting_addresses(tx) for event in fail_overdue(tx, one, now)
            ]

        self._context.listeners.tell(await self._context.write(fail))
        self.changed(None)

    def changed(self, address: Address | None) -> None:
        """The state of something that waits for this number (None: for anybody) may be another."""
        due = [(to, one) for to, one in self._waiting if address is None or to is None or to == address]
        self._waiting = [one for one in self._waiting if one not in due]
        for _, one in due:
            one.callback(None)

    # --- queueing ---------------------------------------------------------------------------

    async def queue(self, to: Address, text: str, message_id: MessageId | None) -> SentMessage:
        """Commit a text to the outbox and begin to send it. Raises Failure(USAGE), nothing kept then."""
        context = self._context
        check_text(context.own.address, to, text)
        if not text:
            raise Failure(Code.USAGE, "the text is empty")
        chosen = message_id or MessageId(context.entropy(MessageId.SIZE))
        now = context.now

        def operation(tx: Connection) -> SentMessage:
            self._outgoing.queue_text(tx, to, text, chosen, now)
            if context.is_up:
                note_all_sent(tx)
            return _sent(tx, chosen, now)

        sent = await context.vault.write(operation)
        self.wake(to)
        return sent

    async def cancel(self, message_id: MessageId) -> SentMessage:
        """Take a text out of the outbox; what may have left already ends as failed all the same."""
        now = self._context.now

        def operation(tx: Connection) -> SentMessage:
            sent = _sent(tx, message_id, now)
            record = messages.sent_message(tx, message_id)
            waiting = None if record is None else outbox.waiting_message(tx, record.row)
            if record is None or waiting is None:
                return sent
            outbox.remove_from_outbox(tx, waiting.position)
            messages.set_sent_state(tx, record.row, SentState.FAILED, CANCELLED)
            return _sent(tx, message_id, now)

        sent = await self._context.write(operation)
        self.changed(sent.to)
        return sent

    # --- asking -----------------------------------------------------------------------------

    async def sent(self, message_id: MessageId) -> SentMessage:
        """An own text as it stands. Raises Failure(USAGE) for an unknown id."""
        now = self._context.now
        return await self._context.vault.read(lambda tx: _sent(tx, message_id, now))

    async def note_told(self, message_id: MessageId) -> None:
        """Somebody was told that this one has failed. Raises Failure(USAGE) for an unknown id."""
        await self._context.write(lambda tx: _note_told(tx, message_id))
        self._timed()

    async def outbox(self) -> list[SentMessage]:
        """All texts that wait, in order."""
        now = self._context.now

        def load(tx: Connection) -> list[SentMessage]:
            rows = outbox.waiting_texts(tx)
            return [sent_state(tx, messages.message_by_row(tx, row), now) for _, row in rows]

        return await self._context.vault.read(load)

    async def reached(
        self, message_id: MessageId, wanted: SentState, timeout: float | None
    ) -> SentMessage:
        """Wait until a text has come so far, or the server has said what waiting within `timeout` does not
        mend.

        Whoever gets a failed one has been told of it: no reader is told again. At `timeout` the state
        is what it is, without error. Raises the link's last Failure when it is given up.
        """
        deadline = Deadline(self._context.clock, timeout)
        while True:
            sent, trusts = await self._sent_and_trusting(message_id)
            if sent.state is SentState.FAILED:
                await self.note_told(message_id)
                return sent
            final = _is_final(sent.error, deadline) and not (trusts and self._may_be_certified(sent))
            if sent.state.reaches(wanted) or final or deadline.passed:
                return sent
            state = self._context.link_state
            if state.phase is LinkPhase.STOPPED and state.failure is not None:
                raise state.failure
            await self._wait(sent.to, deadline)

    async def _sent_and_trusting(self, message_id: MessageId) -> tuple[SentMessage, bool]:
        """As `sent`, and whether an authority is trusted: read at once, or a change in between, which
        somebody then waits for, has been missed."""
        now = self._context.now
        return await self._context.vault.read(lambda tx: (_sent(tx, message_id, now), trusts_any(tx)))

    def _may_be_certified(self, sent: SentMessage) -> bool:
        """Whether it waits for a word about a changed key that the directory may still bring."""
        lane = self._lanes.get(sent.to)
        if sent.error is None or sent.error.code is not Code.KEY_CHANGED or lane is None:
            return False
        return lane.asks_about_key

    async def has_sent(self, timeout: float | None) -> None:
        """Wait until the server has answered to all that can be sent now, as long as it is connected."""
        deadline = Deadline(self._context.clock, timeout)
        await self._wake_all()
        while self._context.is_up and not deadline.passed:
            if not any(lane.at_work for lane in self._lanes.values()):
                return
            await self._wait(None, deadline)

    async def _wait(self, address: Address | None, deadline: Deadline) -> None:
        """Until something changes for this number (None: for anybody), or until the deadline."""
        change: Deferred[None] = Deferred()
        entry = (address, change)
        self._waiting.append(entry)
        left = deadline.left()
        timer = None if left is None else self._context.clock.callLater(left, self._time_up, entry)
        try:
            await change
        finally:
            if timer is not None and timer.active():
                timer.cancel()
            if entry in self._waiting:
                self._waiting.remove(entry)

    def _time_up(self, entry: tuple[Address | None, Deferred[None]]) -> None:
        self._waiting.remove(entry)
        entry[1].callback(None)

    # --- notices ----------------------------------------------------------------------------

    async def notice(self, notice: m.Notice) -> None:
        """Envelopes that the server had will not be delivered: their messages have failed."""
        connection = self._context.connection
        now = self._context.now
        reason = FailedReason(notice.reason.value)

        def fail(tx: Connection) -> list[Event]:
            events: list[Event] = []
            for envelope_id in notice.envelope_ids:
                lost = note_envelope_lost(tx, envelope_id, reason, now)
                if lost is not None:
                    text, arrival = lost
                    events.extend(describe(tx, [arrival]))
                    events.append(MessageSent(sent_state(tx, text, now)))
            return events

        events = await self._context.write(fail)
        if connection == self._context.connection and self._context.is_up:
            self._context.link.send(m.AcknowledgeNotice(notice.notice))
        self._context.listeners.tell(events)
        self.changed(None)


def _is_final(error: Failure | None, deadline: Deadline) -> bool:
    """Whether what a message waits for does not end by itself in time."""
    if error is None:
        return False
    return error.retry_after is None or not deadline.allows(error.retry_after)


def _sent(tx: Connection, message_id: MessageId, now: int) -> SentMessage:
    record = messages.sent_message(tx, message_id)
    if record is None:
        raise Failure(Code.USAGE, f"there is no message with the id {message_id}")
    return sent_state(tx, record, now)


def _note_told(tx: Connection, message_id: MessageId) -> None:
    record = messages.sent_message(tx, message_id)
    if record is not None:
        arrivals.forget_failed(tx, record.row)
