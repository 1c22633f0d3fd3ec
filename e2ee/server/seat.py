"""The state machine of one recipient device: what is pushed, held, written and answered, and when.

Pure: events in, effects out. Knows envelopes by their ids and the window of `e2ee.wire.limits`; not
connections, clocks, databases or who may see whom: `courier` feeds it and carries its effects out,
in their order. The rules and the five invariants are those of `docs/protocol.md`, "Delivery".

An entry is *held* (pushed, in memory alone), *queued* (waiting for the write before it), *writing* (in the
one append that is in flight), or a row of the mailbox, of which only the pushed ones are remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from e2ee.ids import DeviceAddress, EnvelopeId
from e2ee.server.policy import SEAT_QUEUE_BYTES, SEAT_QUEUE_MESSAGES
from e2ee.server.seat_terms import (
    Answer,
    Append,
    Attach,
    Batch,
    Effect,
    Entry,
    Outcome,
    PushDrained,
    PushItem,
    Read,
    Remove,
    State,
    Waiter,
    WrongAcknowledgement,
)
from e2ee.server.window import Key, Row, Window
from e2ee.store.server.ports import Appended, AppendRefused, MailRow
from e2ee.wire.limits import ACKNOWLEDGE_SECONDS

# By its class, Python 3.11 calls a function for it: too dear for every message.
_DELIVERED = Outcome.DELIVERED


@dataclass(slots=True)
class Seat:
    """One recipient device. Every method is an event and returns the effects, in order."""

    _held: dict[Key, Entry] = field(default_factory=dict)
    _queue: dict[Key, Entry] = field(default_factory=dict)
    _queued_bytes: int = 0
    _writing: dict[Key, Entry] = field(default_factory=dict)
    _batch: Batch | None = None
    _window: Window = field(default_factory=Window)
    _connected: bool = False
    _attached: bool = False
    _attach_waits: bool = False
    _stopping: bool = False
    _epoch: int = 0
    _turn: int = 0  # counts connections, so that late answers of the mailbox are recognised
    _reading: bool = False
    _read_target: int = 0
    _pushed_to: int = 0  # every row up to here has been pushed on this connection
    _highest: int = 0  # the last row known to be in the mailbox
    _drained_at: int | None = None

    @property
    def state(self) -> State:
        """See State."""
        if not self._connected:
            return State.AWAY
        if not self._attached:
            return State.SETTLING
        return State.LIVE if self._live() else State.DRAINING

    def _live(self) -> bool:
        """Whether this is its state, for every message."""
        return self._attached and self._pushed_to >= self._highest and not self._writing and not self._queue

    @property
    def settled(self) -> bool:
        """Nothing is in memory alone."""
        return not (self._held or self._queue or self._writing)

    @property
    def deadline(self) -> float | None:
        """When `timer` has something to do."""
        for entry in self._held.values():
            return entry.pushed_at + ACKNOWLEDGE_SECONDS
        return None

    # --- senders ------------------------------------------------------------------------------

    def submit(self, entry: Entry, now: float) -> list[Effect]:
        """An envelope for this device. Pushed at once only if its one waiter may know; else written."""
        (waiter,) = entry.waiters
        if self._stopping:
            return [Answer(waiter, Outcome.UNAVAILABLE)]
        key, held = entry.key, self._held
        if waiter.may_know and key not in held and self._live():
            # The fast path: acknowledged in time, the envelope never touches a disk. No earlier entry is
            # unpushed or being inserted, and this one is not on its way already.
            push = self._window.push_entry(entry, len(entry.envelope))
            if push is not None:
                held[key], entry.push, entry.pushed_at = entry, push, now
                return [PushItem(push, entry.sender, entry.envelope)]
        if self._joined(key, waiter):
            return self._fall_back() if key in held and not waiter.may_know else []
        if len(self._queue) >= SEAT_QUEUE_MESSAGES or self._queued_bytes >= SEAT_QUEUE_BYTES:
            return [Answer(waiter, Outcome.BUSY)]
        self._queue[key] = entry
        self._queued_bytes += len(entry.envelope)
        return self._fall_back()

    def _joined(self, key: Key, waiter: Waiter) -> bool:
        """Whether the envelope is on its way already: then there is a second waiter."""
        entry = self._held.get(key) or self._writing.get(key) or self._queue.get(key)
        if entry is not None:
            entry.waiters += (waiter,)
        return entry is not None

    # --- writing ------------------------------------------------------------------------------

    def _fall_back(self) -> list[Effect]:
        """Write all that is held, oldest first, then what is queued: one append at a time, which takes more
        until it is begun."""
        ordered: list[Effect] = []
        if self._batch is None and (self._held or self._queue):
            self._writing, self._held = self._held, {}
            self._batch = Batch(entry.item for entry in self._writing.values())
            ordered.append(Append(self._batch))
        while self._queue and self._batch is not None:
            key, entry = next(iter(self._queue.items()))
            if not self._batch.add(entry.item):
                break
            self._writing[key] = self._queue.pop(key)
            self._queued_bytes -= len(entry.envelope)
        return ordered

    def appended(self, results: Sequence[Appended | AppendRefused] | None) -> list[Effect]:
        """The append is committed, one result for each item; None: there was no room for any."""
        batch, self._writing, self._batch = self._writing, {}, None
        effects: list[Effect] = []
        removed: list[int] = []
        refused: set[DeviceAddress] = set()
        for index, entry in enumerate(batch.values()):
            result = None if results is None else results[index]
            if isinstance(result, Appended):
                effects += self._stored(entry, result.seq, removed)
            else:
                outcome = Outcome.UNAVAILABLE if result is None else Outcome(result.value)
                effects += self._refused(entry, outcome, refused)
        effects += self._held_back(refused) if refused else []
        if removed:
            effects.append(Remove(self._epoch, tuple(removed)))
        if self._attach_waits:
            effects += self._attach()
        return self._advance(effects + self._fall_back())

    def _stored(self, entry: Entry, seq: int, removed: list[int]) -> list[Effect]:
        """An entry has become a row, which goes at once if it was acknowledged meanwhile."""
        self._highest = max(self._highest, seq)
        if entry.push is not None:
            # Pushed entries lead their batch, and before it nothing was unpushed.
            self._pushed_to = max(self._pushed_to, seq)
        if entry.acknowledged:
            removed.append(seq)
        elif entry.push is not None:
            self._window.settle(entry.push, len(entry.envelope), seq)
        return [Answer(waiter, Outcome.STORED) for waiter in entry.waiters]

    def _refused(self, entry: Entry, outcome: Outcome, refused: set[DeviceAddress]) -> list[Effect]:
        """An entry was not stored; if it was pushed, its acknowledgement is still to be expected."""
        if entry.push is not None and not entry.acknowledged:
            self._window.settle(entry.push, len(entry.envelope), None)
        if entry.waiters:
            refused.add(entry.sender)
        return [Answer(waiter, outcome) for waiter in entry.waiters]

    def _held_back(self, senders: set[DeviceAddress]) -> list[Effect]:
        """No later message passes a refused one: what these senders have queued is refused, too."""
        effects: list[Effect] = []
        for key in [key for key, entry in self._queue.items() if entry.sender in senders]:
            entry = self._queue.pop(key)
            self._queued_bytes -= len(entry.envelope)
            effects += [Answer(waiter, Outcome.HELD) for waiter in entry.waiters]
        return effects

    # --- the recipient ------------------------------------------------------------------------

    def attach(self) -> list[Effect]:
        """A new connection; an older one is displaced and counts no more."""
        effects = self.lost()
        self._connected = True
        if self._writing:
            self._attach_waits = True
            return effects
        return effects + self._attach()

    def _attach(self) -> list[Effect]:
        self._attach_waits = False
        self._highest = 0  # from here on every row is either in the answer or appended later
        return [Attach()]

    def attached(self, epoch: int, end: int) -> list[Effect]:
        """The mailbox's answer for the present connection: `end` is its last row, 0 for none."""
        self._attached = True
        self._epoch = epoch
        self._pushed_to = 0
        self._highest = max(self._highest, end)
        self._drained_at = end
        return self._advance([])

    def lost(self) -> list[Effect]:
        """The connection is gone: what was pushed and not acknowledged goes out again later."""
        if not self._connected:
            return []
        self._connected = self._attached = self._reading = self._attach_waits = False
        self._drained_at = None
        self._turn += 1
        self._window = Window()
        for entry in (*self._held.values(), *self._writing.values()):
            entry.push = None
        return self._fall_back()

    def rows_read(self, turn: int, rows: Sequence[MailRow]) -> list[Effect]:
        """The rows asked for by the Read of this `turn`."""
        if turn != self._turn or self._stopping:
            return []
        self._reading = False
        effects: list[Effect] = []
        for row in rows:
            if row.seq > self._highest:
                # Committed, but not reported yet: it may be an entry that has been pushed.
                self._pushed_to = self._highest
                break
            item = row.item
            if not self._window.takes(len(item.envelope)):
                self._window.needs = len(item.envelope)
                break
            effects.append(PushItem(self._window.push_row(row), item.sender, item.envelope))
            self._pushed_to = row.seq
        if not rows:
            self._pushed_to = max(self._pushed_to, self._read_target)
        return self._advance(effects)

    def acknowledge(self, push: int, envelope_id: bytes, opened: bool) -> list[Effect]:
        """The recipient's vault has kept this push; raises WrongAcknowledgement."""
        window = self._window
        pushed = window.get(push)
        if pushed is None:
            if not 0 < push <= window.last_push:
                raise WrongAcknowledgement("an acknowledgement of what was never pushed")
            return []
        if pushed.key[-EnvelopeId.SIZE :] != envelope_id:
            raise WrongAcknowledgement("an acknowledgement of another envelope")
        effects: list[Effect] = []
        if isinstance(pushed, Entry):
            # Those who may know are answered now, the others after the commit.
            window.free(push, len(pushed.envelope))
            self._held.pop(pushed.key, None)
            pushed.acknowledged = True
            waiters, pushed.waiters = pushed.waiters, ()
            for waiter in waiters:
                if waiter.may_know:
                    effects.append(Answer(waiter, _DELIVERED if opened else Outcome.SET_ASIDE))
                else:
                    pushed.waiters += (waiter,)
        elif isinstance(pushed, Row):
            window.free_row(push, pushed)
            if pushed.seq is not None:
                effects.append(Remove(self._epoch, (pushed.seq,)))
        return self._advance(effects)

    def _advance(self, effects: list[Effect]) -> list[Effect]:
        """Say `drained` when it is due, and read on while something is unpushed and there is room: after
        these effects."""
        if not self._attached or self._stopping:
            return effects
        if self._drained_at is not None and self._pushed_to >= self._drained_at:
            self._drained_at = None
            effects.append(PushDrained())
        if self._pushed_to < self._highest and not self._reading and self._window.open:
            self._reading = True
            self._read_target = self._highest
            window = self._window
            effects.append(Read(self._turn, self._pushed_to, window.free_messages, window.free_bytes))
        return effects

    # --- time and the end ---------------------------------------------------------------------

    def timer(self, now: float) -> list[Effect]:
        """Something held was not acknowledged in time: all of it is written."""
        deadline = self.deadline
        return self._fall_back() if deadline is not None and deadline <= now else []

    def stop(self) -> list[Effect]:
        """The server ends: everything in memory is written, nothing more is taken or pushed."""
        self._stopping = True
        return self._fall_back()
