"""A world around one seat, small enough to take every step in any order.

A mailbox that commits late and fails, a recipient whose connection breaks anywhere, and senders
that repeat what was refused. Each step is taken by a number, so that a random list of numbers is a
history, and hypothesis can shorten it. The invariants of `docs/protocol.md` are checked at each step.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId
from e2ee.server.seat import Seat
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
)
from e2ee.server.window import key_of
from e2ee.store.server.ports import Appended, AppendRefused, MailItem, MailRow

BOB = DeviceAddress(Address("+15550100102"), DeviceId(b"bobs-dev"))
SENDERS = [
    DeviceAddress(Address("+15550100111"), DeviceId(b"sender-1")),
    DeviceAddress(Address("+15550100112"), DeviceId(b"sender-2")),
]
Key = tuple[DeviceAddress, EnvelopeId]


class Ticket(Waiter):
    """A waiter with a name, by which answers are compared."""

    name: int | str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ticket) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]


Results = Sequence[Appended | AppendRefused] | None


def envelope_item(sender: DeviceAddress, number: int, size: int = 40) -> MailItem:
    """The envelope number `number` of a sender."""
    envelope = f"{sender.address} {number} ".encode().ljust(size, b".")
    return MailItem(BOB, sender, EnvelopeId.of(envelope), envelope)


def entry(item: MailItem, waiter: Waiter) -> Entry:
    """What a seat is given of it."""
    key = key_of(item.sender, item.envelope_id)
    return Entry(key, item.to, item.sender, item.envelope, item.known, item.state_token, (waiter,))


class Job(NamedTuple):
    """Something that is under way; `what` says all about it, for whoever compares worlds."""

    what: object
    run: Callable[[], None]


@dataclass
class Sender:
    """Sends 0, 1, 2 … in order; after a refusal, all again from the first that was not accepted."""

    where: DeviceAddress
    next: int = 0
    total: int = 0
    accepted: set[int] = field(default_factory=set)
    waiting: dict[int, int] = field(default_factory=dict)  # ticket -> message
    holding: bool = False  # the server's mark: a refusal has not been followed by `restart`


class World:
    """`step(number)` takes one of the steps that are possible now."""

    def __init__(self, window_size: int = 40) -> None:
        self.seat = Seat()
        self.size = window_size
        self.now = 0.0
        self.senders = [Sender(where) for where in SENDERS]
        self.tickets: dict[int, tuple[Sender, int, bool]] = {}
        self.answered: set[int] = set()
        self.rows: dict[int, MailItem] = {}
        self.last_seq = 0
        self.epoch = 0
        self.orders: deque[Job] = deque()  # of the one writer, in order
        self.reports: deque[Job] = deque()  # its answers, in order
        self.found: deque[Job] = deque()  # the reader's, which may come before or after those
        self.reading: deque[Job] = deque()
        self.failing = 0  # how the next append ends
        self.connection = 0
        self.connected = False
        self.drained = False
        self.wire: deque[tuple[int, int, MailItem]] = deque()
        self.acknowledgements: deque[tuple[int, int, MailItem, bool]] = deque()
        self.vault: list[Key] = []
        self.noticed: set[Key] = set()
        self.order: list[Key] = []  # submitted, oldest first, not finished
        self.appending: Batch | None = None
        self.being_written: set[Key] = set()
        self.being_inserted: set[Key] = set()  # without the repeats of rows
        self.written: set[Key] = set()
        self.early: set[Key] = set()  # acknowledged while being written
        self.refused: set[tuple[int, int]] = set()  # pushes whose entry was refused
        self.pushed: set[Key] = set()  # on this connection
        self.joined = 0  # entries that an append took after it was ordered
        self.seen: Counter[State | Outcome] = Counter()
        self.steps: list[Callable[[int], None]] = [
            self.send, self.send, self.send, self.send, self.repeat, self.write, self.write, self.report,
            self.report, self.read, self.find, self.receive, self.receive, self.acknowledge, self.acknowledge,
            self.connect, self.lose, self.tick, self.fail, self.expire,
            self.progress, self.progress, self.progress,
        ]  # fmt: skip

    def step(self, number: int) -> None:
        """Take one step."""
        self.seen[self.seat.state] += 1
        choice, rest = number % len(self.steps), number // len(self.steps)
        self.steps[choice](rest)

    # --- what may happen ----------------------------------------------------------------------

    def send(self, number: int) -> None:
        sender = self.senders[number % len(self.senders)]
        restart = sender.holding
        if restart and sender.waiting:
            return
        if restart:
            sender.holding = False
            sender.next = min(set(range(sender.next)) - sender.accepted, default=sender.next)
        message, sender.next = sender.next, sender.next + 1
        sender.total = max(sender.total, sender.next)
        if message not in sender.accepted:
            self.submit(sender, message, may_know=bool(number // 2 % 4))

    def repeat(self, number: int) -> None:
        """A sender sends again what waits for its answer, as after a reconnect."""
        sender = self.senders[number % len(self.senders)]
        if sender.waiting and not sender.holding:
            self.submit(sender, min(sender.waiting.values()), may_know=bool(number // 2 % 2))
        elif sender.next and not sender.holding and self.seat.settled:
            self.submit(sender, sender.next - 1, may_know=bool(number // 2 % 4))

    def submit(self, sender: Sender, message: int, may_know: bool) -> None:
        item = envelope_item(sender.where, message, self.size)
        key = (item.sender, item.envelope_id)
        if key not in self.order:
            self.order.append(key)
        ticket = len(self.tickets) + 1
        self.tickets[ticket] = (sender, message, may_know)
        sender.waiting[ticket] = message
        self.carry_out(self.seat.submit(entry(item, Ticket(may_know, ticket)), self.now))

    def write(self, number: int) -> None:
        if self.orders:
            self.orders.popleft().run()

    def report(self, number: int) -> None:
        if self.reports:
            self.reports.popleft().run()

    def find(self, number: int) -> None:
        if self.found:
            self.found.popleft().run()

    def read(self, number: int) -> None:
        if self.reading:
            self.reading.popleft().run()

    def receive(self, number: int) -> None:
        """The recipient's client commits the next push and acknowledges."""
        if self.wire:
            connection, push, item = self.wire.popleft()
            key = (item.sender, item.envelope_id)
            if key not in self.vault:
                self.vault.append(key)
            self.acknowledgements.append((connection, push, item, bool(number % 4)))

    def acknowledge(self, number: int) -> None:
        """An acknowledgement arrives; those of a displaced connection are ignored."""
        if self.acknowledgements:
            connection, push, item, opened = self.acknowledgements.popleft()
            if connection == self.connection and self.connected:
                if (connection, push) not in self.refused:
                    self.note_acknowledged((item.sender, item.envelope_id))
                self.carry_out(self.seat.acknowledge(push, item.envelope_id, opened))

    def progress(self, number: int) -> None:
        """Several rounds in which all goes on, so that the seat comes to rest now and then."""
        for _ in range(number % 12):
            self.go_on()

    def go_on(self) -> None:
        """One round of all that goes on by itself."""
        for step in (self.write, self.report, self.read, self.find, self.receive, self.acknowledge):
            step(1)

    def note_acknowledged(self, key: Key) -> None:
        self.pushed.discard(key)
        if key in self.being_written:
            self.early.add(key)
        self.finish(key)

    def connect(self, number: int) -> None:
        """A login; sometimes while the last connection still stands."""
        if self.connected and number % 4:
            return
        self.new_wire()
        self.connected = True
        self.drained = False
        self.carry_out(self.seat.attach())

    def lose(self, number: int) -> None:
        """The connection breaks."""
        if self.connected and number % 3 == 0:
            self.new_wire()
            self.connected = False
            self.carry_out(self.seat.lost())

    def tick(self, number: int) -> None:
        self.now += 0.6
        self.carry_out(self.seat.timer(self.now))

    def expire(self, number: int) -> None:
        """A row goes, and its sender has a notice."""
        if self.rows and number % 4 == 0:
            self.orders.append(Job("drop", self.drop_oldest))

    def drop_oldest(self) -> None:
        if self.rows and self.appending is None:
            item = self.rows.pop(min(self.rows))
            self.noticed.add((item.sender, item.envelope_id))
            self.finish((item.sender, item.envelope_id))

    def fail(self, number: int) -> None:
        self.failing = number % 4

    def new_wire(self) -> None:
        self.connection += 1
        self.wire.clear()
        self.pushed.clear()

    # --- effects ------------------------------------------------------------------------------

    def carry_out(self, effects: Sequence[Effect]) -> None:
        self.check_append()
        for effect in effects:
            match effect:
                case PushItem(push, sender, envelope):
                    item = MailItem(BOB, sender, EnvelopeId.of(envelope), envelope)
                    self.check_push((item.sender, item.envelope_id))
                    self.wire.append((self.connection, push, item))
                case PushDrained():
                    assert self.connected
                    assert not self.drained, "drained once on a connection"
                    self.drained = True
                case Append(batch):
                    assert self.appending is None, "two appends in flight"
                    self.appending = batch
                    self.check_append()
                    self.orders.append(Job(effect, partial(self.commit, batch)))
                case Attach():
                    self.orders.append(Job(self.connection, partial(self.raise_epoch, self.connection)))
                case Remove(epoch, seqs):
                    self.orders.append(Job(effect, partial(self.remove, epoch, seqs)))
                case Read(turn, after, count, size):
                    self.reading.append(Job(effect, partial(self.rows_after, turn, after, count, size)))
                case Answer(Ticket(name=int(ticket)), outcome):
                    assert isinstance(ticket, int)
                    self.check_answer(ticket, outcome)

    def check_push(self, key: Key) -> None:
        """Invariant 3, and never twice on one connection."""
        assert key not in self.pushed, "pushed twice on one connection"
        if key in self.order:
            for earlier in self.order[: self.order.index(key)]:
                if earlier in self.early:
                    continue
                assert earlier in self.pushed, "pushed while an earlier entry is unpushed"
                assert earlier not in self.being_inserted, "pushed while an earlier entry is being inserted"
        self.pushed.add(key)

    def check_append(self) -> None:
        """Invariant 2: appended in the order of submission, what has joined the append as well."""
        if self.appending is None:
            return
        items = self.appending._items
        keys = [(item.sender, item.envelope_id) for item in items]
        unwritten = [key for key in self.order if key not in self.written]
        new = [key for key in keys if key not in self.written]
        assert new == unwritten[: len(new)], "not in the order of submission"
        self.joined += len(set(keys) - self.being_written) if self.being_written else 0
        self.being_written = set(keys)
        self.being_inserted = set(new)

    def check_answer(self, ticket: int, outcome: Outcome) -> None:
        """Invariant 4: once, and only after an acknowledgement or a commit."""
        sender, message, may_know = self.tickets[ticket]
        assert ticket not in self.answered, "answered twice"
        self.answered.add(ticket)
        self.seen[outcome] += 1
        del sender.waiting[ticket]
        item = envelope_item(sender.where, message, self.size)
        key = (item.sender, item.envelope_id)
        if outcome in (Outcome.DELIVERED, Outcome.SET_ASIDE):
            assert may_know, "a stranger learns that the recipient is online"
            assert key in self.vault
        elif outcome is Outcome.STORED:
            on_disk = any((row.sender, row.envelope_id) == key for row in self.rows.values())
            assert on_disk or key in self.vault or key in self.noticed, "answered before the commit"
        else:
            sender.holding = True
            if key not in self.being_written and key not in self.written:
                self.finish(key)
        if outcome in (Outcome.DELIVERED, Outcome.SET_ASIDE, Outcome.STORED):
            sender.accepted.add(message)

    def finish(self, key: Key) -> None:
        self.written.discard(key)
        if key in self.order and key not in self.being_written:
            self.order.remove(key)

    # --- the mailbox --------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        items = list(batch)
        results: Results = None if self.failing == 1 else [self.insert(item) for item in items]
        if results is not None and self.failing == 2:
            results = self.hold_back(items, results)
        self.failing = 0
        self.reports.append(Job((items, results), partial(self.appended, items, results)))

    def insert(self, item: MailItem) -> Appended:
        for seq, row in self.rows.items():
            if (row.sender, row.envelope_id) == (item.sender, item.envelope_id):
                return Appended(seq, repeated=True)
        self.last_seq += 1
        self.rows[self.last_seq] = item
        return Appended(self.last_seq)

    def hold_back(
        self, items: Sequence[MailItem], results: Sequence[Appended | AppendRefused]
    ) -> Sequence[Appended | AppendRefused]:
        """The first item is refused, and with it all of its sender; new rows of theirs are undone."""
        changed: list[Appended | AppendRefused] = []
        for index, (item, result) in enumerate(zip(items, results, strict=True)):
            if item.sender != items[0].sender:
                changed.append(result)
                continue
            if isinstance(result, Appended) and not result.repeated:
                del self.rows[result.seq]
            changed.append(AppendRefused.HELD if index else AppendRefused.FULL)
        return changed

    def appended(self, items: Sequence[MailItem], results: Results) -> None:
        self.appending = None
        self.being_written, self.being_inserted = set(), set()
        for index, item in enumerate(items):
            key = (item.sender, item.envelope_id)
            if results is not None and isinstance(results[index], Appended):
                self.written.add(key)
            elif key not in self.written:  # a refused repeat changes nothing about its row
                self.refuse(key)
                if key in self.order:
                    self.order.remove(key)
        self.forget_acknowledged()
        self.carry_out(self.seat.appended(results))

    def refuse(self, key: Key) -> None:
        """Sent again it is a new entry, and may be pushed again; the old push counts for nothing."""
        self.pushed.discard(key)
        under_way = [*self.wire, *(one[:3] for one in self.acknowledgements)]
        self.refused |= {one[:2] for one in under_way if (one[2].sender, one[2].envelope_id) == key}

    def forget_acknowledged(self) -> None:
        """What was acknowledged while it was written is finished now."""
        for key in self.early:
            self.finish(key)
        self.early.clear()

    def raise_epoch(self, connection: int) -> None:
        self.epoch += 1
        epoch, end = self.epoch, max(self.rows, default=0)
        self.reports.append(Job((connection, epoch, end), partial(self.attached, connection, epoch, end)))

    def attached(self, connection: int, epoch: int, end: int) -> None:
        if connection == self.connection and self.connected:
            # Rows acknowledged on an older connection come again: they are unfinished once more.
            waiting = [(row.sender, row.envelope_id) for row in self.rows.values()]
            known = [key for key in waiting if key not in self.order]
            self.order = known + self.order
            self.written |= set(known)
            self.carry_out(self.seat.attached(epoch, end))

    def remove(self, epoch: int, seqs: Sequence[int]) -> None:
        if epoch == self.epoch:
            for seq in seqs:
                self.rows.pop(seq, None)

    def rows_after(self, turn: int, after: int, count: int, size: int) -> None:
        found: list[MailRow] = []
        for seq in sorted(self.rows):
            if seq > after and len(found) < count:
                size -= len(self.rows[seq].envelope)
                if found and size < 0:
                    break
                found.append(MailRow(seq, self.rows[seq]))
        self.found.append(Job((turn, found), partial(self.rows_read, turn, found)))

    def rows_read(self, turn: int, found: Sequence[MailRow]) -> None:
        self.carry_out(self.seat.rows_read(turn, found))

    # --- the end ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything goes well from now on, until nothing is left to do."""
        self.failing = 0
        if not self.connected:
            self.connect(0)
        for _ in range(10_000):
            for index, sender in enumerate(self.senders):
                if sender.holding or sender.next < sender.total:
                    self.send(index + 2)
            jobs = self.orders, self.reports, self.reading, self.found, self.wire, self.acknowledgements
            if not any(jobs) and self.all_accepted():
                return
            self.go_on()
            self.tick(1)
        raise AssertionError("never at rest")

    def all_accepted(self) -> bool:
        """Whether every message of every sender was accepted."""
        return all(not s.waiting and s.accepted == set(range(s.total)) for s in self.senders)

    def check_at_rest(self) -> None:
        """Nothing lost, each sender's order kept, no row left, all tickets answered."""
        assert self.seat.settled
        assert self.seat.state is State.LIVE
        assert self.drained
        assert not self.rows, "rows that nobody removes"
        assert self.answered == set(self.tickets)
        for sender in self.senders:
            items = [envelope_item(sender.where, number, self.size) for number in range(sender.total)]
            seen = [key for key in self.vault if key[0] == sender.where]
            sent = [(item.sender, item.envelope_id) for item in items]
            lost = self.noticed - set(self.vault)
            assert seen == [key for key in sent if key not in lost], "lost or out of order"
