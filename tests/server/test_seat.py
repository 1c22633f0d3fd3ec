"""The seat, step by step: docs/protocol.md, "Delivery", one sentence each, both sides of each bound."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId
from e2ee.server.policy import BATCH_BYTES, BATCH_MESSAGES, SEAT_QUEUE_BYTES, SEAT_QUEUE_MESSAGES
from e2ee.server.seat import Seat
from e2ee.server.seat_terms import (
    Answer,
    Append,
    Attach,
    Batch,
    Effect,
    Outcome,
    PushDrained,
    PushItem,
    Read,
    Remove,
    State,
    WrongAcknowledgement,
)
from e2ee.server.window import key_of
from e2ee.store.server.ports import Appended, AppendRefused, MailItem, MailRow
from e2ee.wire.limits import WINDOW_BYTES, WINDOW_MESSAGES
from tests.server.seat_model import SENDERS, Ticket, entry, envelope_item


def answer(name: int | str, outcome: Outcome) -> Answer:
    """What becomes of the submit of this name."""
    return Answer(Ticket(True, name), outcome)


def pushes(push: int, item: MailItem) -> PushItem:
    return PushItem(push, item.sender, item.envelope)


def writes(*items: MailItem) -> Append:
    return Append(Batch(items))


def begin(effects: list[Effect]) -> list[MailItem]:
    """The mailbox begins the append that was ordered last: nothing joins it any more."""
    append = effects[-1]
    assert isinstance(append, Append)
    return list(append.items)


class SeatCase(SynchronousTestCase):
    """One seat; `send` submits with the message's number as its ticket."""

    def setUp(self) -> None:
        self.seat = Seat()

    def item(self, number: int, size: int = 40, sender: int = 0) -> MailItem:
        return envelope_item(SENDERS[sender], number, size)

    def send(
        self, number: int, may_know: bool = True, size: int = 40, sender: int = 0, now: float = 0.0
    ) -> list[Effect]:
        return self.seat.submit(entry(self.item(number, size, sender), Ticket(may_know, number)), now)

    def acknowledge(self, push: int, number: int, opened: bool = True, size: int = 40) -> list[Effect]:
        return self.seat.acknowledge(push, self.item(number, size).envelope_id, opened)

    def go_live(self) -> None:
        self.assertEqual(self.seat.attach(), [Attach()])
        self.assertIs(self.seat.state, State.SETTLING)
        self.assertEqual(self.seat.attached(1, 0), [PushDrained()])
        self.assertIs(self.seat.state, State.LIVE)


class LiveTests(SeatCase):
    """Connected, nothing unpushed, no insert in flight."""

    def setUp(self) -> None:
        super().setUp()
        self.go_live()

    def test_who_may_know_is_pushed_at_once(self) -> None:
        self.assertEqual(self.send(1), [pushes(1, self.item(1))])
        self.assertEqual(self.acknowledge(1, 1), [answer(1, Outcome.DELIVERED)])
        self.assertTrue(self.seat.settled)

    def test_every_other_submit_is_written_with_all_that_is_held_before_it(self) -> None:
        self.send(1)
        self.send(2)
        self.assertEqual(self.send(3, may_know=False), [writes(self.item(1), self.item(2), self.item(3))])
        self.assertIs(self.seat.state, State.DRAINING)
        effects = self.seat.appended([Appended(1), Appended(2), Appended(3)])
        self.assertEqual(effects[:3], [answer(n, Outcome.STORED) for n in (1, 2, 3)])
        read = effects[3]
        assert isinstance(read, Read)
        self.assertEqual(read.after, 2)
        self.assertEqual(self.seat.rows_read(read.turn, [MailRow(3, self.item(3))]),
                         [pushes(3, self.item(3))])
        self.assertIs(self.seat.state, State.LIVE)

    def test_one_second_and_all_that_is_held_is_written(self) -> None:
        self.send(1, now=10.0)
        self.send(2, now=10.5)
        self.assertEqual((self.seat.deadline, self.seat.timer(10.99)), (11.0, []))
        self.assertEqual(self.seat.timer(11.0), [writes(self.item(1), self.item(2))])
        self.assertIsNone(self.seat.deadline)

    def test_the_window_of_messages(self) -> None:
        for number in range(1, WINDOW_MESSAGES + 1):
            self.assertIsInstance(self.send(number)[0], PushItem)
        batch = begin(self.send(WINDOW_MESSAGES + 1))
        self.assertEqual(len(batch), WINDOW_MESSAGES + 1)

    def test_the_window_of_bytes(self) -> None:
        size = WINDOW_BYTES // 8
        for number in range(1, 9):
            self.assertIsInstance(self.send(number, size=size)[0], PushItem)
        self.assertIsInstance(self.send(9)[0], Append)

    def test_a_full_window_is_read_on_when_there_is_room(self) -> None:
        size = WINDOW_BYTES // 8
        for number in range(1, 9):
            self.send(number, size=size)
        self.send(9, size=size)
        written = self.seat.appended([Appended(number) for number in range(1, 10)])
        self.assertFalse(any(isinstance(effect, Read) for effect in written))
        effects = self.acknowledge(1, 1, size=size)
        self.assertEqual(effects, [Remove(1, (1,)), Read(0, 8, WINDOW_MESSAGES - 7, size)])

    def test_what_is_acknowledged_makes_room_for_as_many_bytes(self) -> None:
        size = WINDOW_BYTES // 8
        for number in range(1, 9):
            self.send(number, size=size)
        self.acknowledge(1, 1, size=size)
        self.assertIsInstance(self.send(9, size=size)[0], PushItem)
        self.assertIsInstance(self.send(10)[0], Append)

    def test_all_of_an_envelope_is_written_that_was_held(self) -> None:
        item = self.item(1)._replace(known=True, state_token=b"s" * 40)
        self.seat.submit(entry(item, Ticket(True, 1)), 0.0)
        self.assertEqual(self.seat.timer(1.0), [writes(item)])

    def test_a_stranger_who_repeats_a_held_envelope_learns_nothing(self) -> None:
        self.send(1)
        again = self.seat.submit(entry(self.item(1), Ticket(False, "stranger")), 0.0)
        self.assertEqual(again, [writes(self.item(1))])
        self.assertEqual(self.acknowledge(1, 1), [answer(1, Outcome.DELIVERED)])
        self.assertEqual(self.seat.appended([Appended(1)]),
                         [answer("stranger", Outcome.STORED), Remove(1, (1,))])

    def test_the_same_bytes_from_another_are_another_envelope(self) -> None:
        self.send(1)
        copy = MailItem(self.item(1).to, SENDERS[1], self.item(1).envelope_id, self.item(1).envelope)
        self.assertEqual(self.seat.submit(entry(copy, Ticket(True, "copy")), 0.0), [pushes(2, copy)])

    def test_no_two_envelopes_have_one_key_wherever_a_number_ends(self) -> None:
        short, long = Address("+1555010010"), Address("+15550100101")
        one = key_of(DeviceAddress(short, DeviceId(b"1device1")), EnvelopeId(b"e" * 16))
        other = key_of(DeviceAddress(long, DeviceId(b"device1e")), EnvelopeId(b"e" * 16))
        self.assertNotEqual(one, other)
        self.assertNotEqual(len(one), len(other))

    def test_acknowledgements(self) -> None:
        self.send(1)
        for push, number in ((0, 1), (2, 1), (1, 2)):
            self.assertRaises(WrongAcknowledgement, self.acknowledge, push, number)
        self.assertEqual(self.acknowledge(1, 1, opened=False), [answer(1, Outcome.SET_ASIDE)])
        self.assertEqual(self.acknowledge(1, 1), [])

    def test_no_room_on_the_disk(self) -> None:
        self.send(1)
        begin(self.seat.timer(1.0))
        self.send(2)
        self.send(3, sender=1)
        effects = self.seat.appended(None)
        self.assertEqual(effects, [
            answer(1, Outcome.UNAVAILABLE), answer(2, Outcome.HELD), writes(self.item(3, sender=1)),
        ])  # fmt: skip
        self.assertEqual(self.acknowledge(1, 1), [])

    def test_no_room_for_an_append_that_was_never_begun(self) -> None:
        self.send(1)
        self.seat.timer(1.0)
        self.send(2)
        self.assertEqual(self.seat.appended(None), [answer(n, Outcome.UNAVAILABLE) for n in (1, 2)])
        self.assertEqual(self.send(3), [pushes(2, self.item(3))])

    def test_refusals_of_the_mailbox(self) -> None:
        for refused in AppendRefused:
            self.send(1, may_know=False)
            self.assertEqual(self.seat.appended([refused]), [answer(1, Outcome(refused.value))])


class SettlingTests(SeatCase):
    """A new connection waits until the old one's batch is written."""

    def test_it_waits(self) -> None:
        self.go_live()
        self.send(1)
        self.assertEqual(self.seat.attach(), [writes(self.item(1))])
        self.assertIs(self.seat.state, State.SETTLING)
        self.assertEqual(self.seat.appended([Appended(1)]), [answer(1, Outcome.STORED), Attach()])
        self.assertEqual(self.seat.attached(2, 1), [Read(1, 0, WINDOW_MESSAGES, WINDOW_BYTES)])
        self.assertEqual(self.seat.rows_read(1, [MailRow(1, self.item(1))]),
                         [pushes(1, self.item(1)), PushDrained()])

    def test_a_row_is_not_pushed_before_its_commit_is_reported(self) -> None:
        self.seat.attach()
        self.seat.attached(1, 1)
        self.send(2)
        rows = [MailRow(1, self.item(1)), MailRow(2, self.item(2))]
        self.assertEqual(self.seat.rows_read(0, rows), [pushes(1, self.item(1)), PushDrained()])
        self.assertIs(self.seat.state, State.DRAINING)

    def test_what_is_written_between_the_epoch_and_its_report_is_pushed(self) -> None:
        self.seat.attach()
        self.send(1)
        self.seat.appended([Appended(5)])
        self.assertEqual(self.seat.attached(1, 0),
                         [PushDrained(), Read(0, 0, WINDOW_MESSAGES, WINDOW_BYTES)])

    def test_an_empty_mailbox_is_not_read_again_after_a_reconnect(self) -> None:
        self.go_live()
        self.send(1)
        self.seat.timer(1.0)
        self.seat.appended([Appended(7)])
        self.acknowledge(1, 1)
        self.seat.attach()
        self.assertEqual(self.seat.attached(2, 0), [PushDrained()])
        self.assertIs(self.seat.state, State.LIVE)

    def test_drained_comes_even_if_the_rows_have_expired(self) -> None:
        self.seat.attach()
        self.seat.attached(1, 7)
        self.assertEqual(self.seat.rows_read(0, []), [PushDrained()])
        self.assertIs(self.seat.state, State.LIVE)

    def test_an_envelope_that_waits_twice_is_on_its_way_until_its_last_push_is_acknowledged(self) -> None:
        self.seat.attach()
        self.seat.attached(1, 2)
        rows = [MailRow(seq, self.item(1)) for seq in (1, 2)]
        pushed = [pushes(push, self.item(1)) for push in (1, 2)]
        self.assertEqual(self.seat.rows_read(0, rows), [*pushed, PushDrained()])
        self.assertEqual(self.acknowledge(1, 1), [Remove(1, (1,))])
        self.assertEqual(self.send(1), [writes(self.item(1))])

    def test_and_whoever_sends_it_again_and_again_is_answered_each_time(self) -> None:
        self.seat.attach()
        self.seat.attached(1, 2)
        self.seat.rows_read(0, [MailRow(seq, self.item(1)) for seq in (1, 2)])
        self.acknowledge(2, 1)
        self.assertEqual(self.send(1), [pushes(3, self.item(1))])
        self.assertEqual(self.acknowledge(1, 1), [Remove(1, (1,))])
        self.assertEqual(self.send(1), [])
        self.assertEqual(self.acknowledge(3, 1), [answer(1, Outcome.DELIVERED)] * 2)

    def test_rows_of_an_older_connection_are_ignored(self) -> None:
        self.seat.attach()
        self.seat.attached(1, 1)
        self.seat.attach()
        self.assertEqual(self.seat.rows_read(0, [MailRow(1, self.item(1))]), [])


class BoundTests(SeatCase):
    """Every queue is bounded, and so is what one append takes."""

    def test_the_queue_behind_a_slow_disk(self) -> None:
        begin(self.send(0))
        for number in range(1, SEAT_QUEUE_MESSAGES + 1):
            self.assertEqual(self.send(number), [])
        self.assertEqual(self.send(SEAT_QUEUE_MESSAGES + 1), [answer(SEAT_QUEUE_MESSAGES + 1, Outcome.BUSY)])
        self.assertEqual(len(begin(self.seat.appended([Appended(1)]))), BATCH_MESSAGES)

    def test_the_bytes_behind_a_slow_disk(self) -> None:
        begin(self.send(0))
        size = SEAT_QUEUE_BYTES // 4
        for number in (1, 2, 3, 4):
            self.assertEqual(self.send(number, size=size), [])
        self.assertEqual(self.send(5), [answer(5, Outcome.BUSY)])
        self.seat.appended([Appended(1)])
        self.assertEqual(self.send(6), [])

    def test_an_append_takes_what_comes_until_it_is_begun(self) -> None:
        ordered = self.send(1)
        self.assertEqual([self.send(2), self.send(3, sender=1)], [[], []])
        self.assertEqual(begin(ordered), [self.item(1), self.item(2), self.item(3, sender=1)])
        self.send(4)
        effects = self.seat.appended([Appended(n) for n in (1, 2, 3)])
        stored = [answer(n, Outcome.STORED) for n in (1, 2, 3)]
        self.assertEqual(effects, [*stored, writes(self.item(4))])

    def test_an_append_that_is_not_begun_takes_so_many(self) -> None:
        ordered = self.send(1)
        for number in range(2, BATCH_MESSAGES + 3):
            self.send(number)
        first = begin(ordered)
        self.assertEqual(len(first), BATCH_MESSAGES)
        second = begin(self.seat.appended([Appended(n) for n in range(1, BATCH_MESSAGES + 1)]))
        self.assertEqual(second, [self.item(BATCH_MESSAGES + 1), self.item(BATCH_MESSAGES + 2)])

    def test_an_append_that_is_not_begun_takes_so_many_bytes(self) -> None:
        size = BATCH_BYTES // 2
        ordered = self.send(1, size=size)
        self.send(2, size=size)
        self.send(3)
        self.assertEqual([item.envelope[:20] for item in begin(ordered)],
                         [self.item(n).envelope[:20] for n in (1, 2)])
        self.assertEqual(begin(self.seat.appended([Appended(1), Appended(2)])), [self.item(3)])

    def test_stop_writes_what_is_held_and_takes_no_more(self) -> None:
        self.go_live()
        self.send(1)
        self.assertEqual(self.seat.stop(), [writes(self.item(1))])
        self.assertEqual(self.send(2), [answer(2, Outcome.UNAVAILABLE)])
        self.assertFalse(self.seat.settled)
        self.seat.appended([Appended(1)])
        self.assertTrue(self.seat.settled)
