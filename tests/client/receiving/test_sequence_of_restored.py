"""A sender who was restored from a backup, as his contacts see him: docs/protocol.md, section 6."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.receiving import sequence as sequence_module
from e2ee.client.receiving.keeping import Opened, Pushed, keep
from e2ee.client.receiving.sequence import mark_gaps, pass_over, take_text
from e2ee.crypto.content import Text
from e2ee.ids import Address, DeviceId, EnvelopeId, MessageId
from e2ee.store.client import contacts, messages
from e2ee.store.client.arrivals import ArrivalKind, unshown_arrivals
from e2ee.store.client.holes import holes
from e2ee.store.client.messages import RELEASED, MessageRecord
from e2ee.store.client.numbering import first_of
from e2ee.store.connection import connect
from e2ee.store.upgrade import schema_files, upgrade

BOB = Address("+15550100102")
DEVICE = DeviceId(b"\x01" * 8)
NEW = first_of(1_700_000_000)


class RestoredSenderTests(SynchronousTestCase):
    """Bob's texts 1, 2, 3 are here; then he was restored from a backup made after 1."""

    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.tx = connect(Path(self.mktemp()), b"k" * 32)
        self.addCleanup(self.tx.close)
        upgrade(self.tx, schema_files("client"))
        self.held = [self.take(number) for number in (1, 2, 3)]

    def take(self, sequence: int) -> bool:
        return self.take_as(sequence, sequence)

    def take_as(self, first: int, sequence: int) -> bool:
        """A text whose first number, by which it is known, is perhaps another."""
        record = MessageRecord(
            "in", BOB, DEVICE, MessageId(first.to_bytes(16, "big")), sequence, 1, 1, str(first),
            False, False, RELEASED,
        )  # fmt: skip
        return take_text(self.tx, record, DEVICE)[1]

    def again(self, first: int, sequence: int) -> list[int]:
        """The text that has come under one number comes under another."""
        return pass_over(self.tx, BOB, DEVICE, MessageId(first.to_bytes(16, "big")), sequence)

    def shown(self) -> list[str]:
        """What a reader sees: texts, and gaps as their size in brackets."""
        found = []
        for arrival in unshown_arrivals(self.tx, 0, 100):
            if arrival.kind is ArrivalKind.GAP:
                found.append(f"({arrival.missing})")
            elif arrival.message is not None:
                record = messages.message_by_row(self.tx, arrival.message)
                number = record.sequence - NEW + 1 if record.sequence >= NEW else record.sequence
                found.append(f"{'n' * (record.sequence >= NEW)}{number}{' late' * record.late}")
        return found

    def received_up_to(self) -> int:
        return messages.load_stream(self.tx, BOB, DEVICE).received_up_to

    def test_his_new_texts_are_neither_late_nor_behind_a_gap(self) -> None:
        self.assertEqual([self.take(NEW), self.take(NEW + 1)], [False, False])
        self.assertEqual(self.shown(), ["1", "2", "3", "n1", "n2"])
        self.assertEqual(self.received_up_to(), NEW + 1)

    def test_a_gap_within_the_new_numbering_is_counted(self) -> None:
        self.assertTrue(self.take(NEW + 3))
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        self.assertEqual(self.shown(), ["1", "2", "3", "(3)", "n4"])
        self.assertEqual(self.received_up_to(), 3)
        self.take(NEW)
        self.assertEqual(self.shown()[-1], "n1 late")
        self.assertEqual(self.received_up_to(), NEW)

    def test_what_is_held_of_the_old_numbering_comes_first(self) -> None:
        self.assertEqual([self.take(5), self.take(NEW), self.take(NEW + 1)], [True, True, True])
        self.take(4)
        self.assertEqual(self.shown(), ["1", "2", "3", "4", "5", "n1", "n2"])
        self.assertEqual(self.received_up_to(), NEW + 1)

    def test_nothing_waits_for_ever_for_the_old_numbering(self) -> None:
        self.assertEqual([self.take(5), self.take(NEW)], [True, True])
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        self.assertEqual(self.shown(), ["1", "2", "3", "(1)", "5", "n1"])

    def test_old_texts_that_come_later_are_late(self) -> None:
        self.take(NEW)
        self.take(4)
        self.assertEqual(self.shown()[-2:], ["n1", "4 late"])

    def test_a_text_that_is_here_already_leaves_no_gap_under_its_new_number(self) -> None:
        """He did not know that 2 and 3 had been accepted, and sends them again as the first two."""
        for place in (0, 1):
            self.assertEqual(self.again(2 + place, NEW + place), [])
        self.assertFalse(self.take(NEW + 2))
        self.assertEqual(self.shown(), ["1", "2", "3", "n3"])
        self.assertEqual(self.received_up_to(), NEW + 2)

    def test_what_waited_for_it_is_passed_on(self) -> None:
        self.assertTrue(self.take(NEW + 1))
        self.assertEqual(len(self.again(3, NEW)), 1)
        self.assertEqual(self.shown(), ["1", "2", "3", "n2"])

    def test_it_leaves_no_gap_either_where_something_else_is_waited_for(self) -> None:
        self.assertEqual([self.take(5), self.take(6)], [True, True])
        for place in (0, 1):
            self.assertEqual(self.again(5 + place, NEW + place), [])
        self.assertTrue(self.take(NEW + 2))
        self.assertFalse(self.take(4))
        self.assertEqual(self.shown(), ["1", "2", "3", "4", "5", "6", "n3"])
        self.assertEqual(self.received_up_to(), NEW + 2)

    def test_what_is_still_missing_before_it_is_counted_without_it(self) -> None:
        self.assertTrue(self.take(5))
        self.again(5, NEW + 1)
        self.assertTrue(self.take(NEW + 3))
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        self.assertEqual(self.shown(), ["1", "2", "3", "(1)", "5", "(2)", "n4"])
        stream = messages.load_stream(self.tx, BOB, DEVICE)
        self.assertEqual(holes(self.tx, stream, 9), [(4, 4), (6, NEW), (NEW + 2, NEW + 2)])

    def test_what_is_held_under_its_higher_number_has_its_place_under_the_lower(self) -> None:
        """4 was sent again as the first of a new numbering, and overtook itself, as 5 did."""
        self.assertTrue(self.take(5))
        record_of_4 = self.take_as(4, NEW)
        self.assertTrue(record_of_4)
        self.again(5, NEW + 1)
        self.assertEqual(len(self.again(4, 4)), 2)
        self.assertFalse(self.take(NEW + 2))
        self.assertEqual(self.shown(), ["1", "2", "3", "4", "5", "n3"])
        self.assertEqual(self.received_up_to(), NEW + 2)
        self.assertEqual(self.tx.execute("SELECT count(*) FROM passed").fetchone()[0], 0)

    def passed(self) -> int:
        return int(self.tx.execute("SELECT count(*) FROM passed").fetchone()[0])

    def test_a_gap_in_the_old_numbering_hides_none_in_the_new(self) -> None:
        self.again(3, 6)
        self.assertTrue(self.take(NEW + 1))
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        self.assertEqual(self.shown(), ["1", "2", "3", "(1)", "n2"])

    def test_of_more_numbers_than_may_be_behind_gaps_one_more_is_a_gap(self) -> None:
        self.patch(sequence_module, "PASSED_NUMBERS", 3)
        for place in (2, 4, 6):
            self.again(3, 3 + place)
        self.assertEqual(self.passed(), 3)
        self.again(3, 3 + 8)
        self.assertEqual(self.passed(), 3)
        self.assertTrue(self.take(3 + 9))
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        self.assertEqual(self.shown(), ["1", "2", "3", "(5)", "12"])

    def test_whoever_is_blocked_leaves_nothing_behind_with_repeats(self) -> None:
        contacts.touch_contact(self.tx, BOB, accepted=False)
        contacts.block_contact(self.tx, BOB)
        for place in (2, 4, 6):
            text = Text(MessageId(bytes(15) + b"\3"), 1, 0, 1, 1, None, 3 + place, "3")
            pushed = Pushed(BOB, DEVICE, b"", EnvelopeId.of(bytes([place])), 9)
            taken = keep(self.tx, pushed, Opened(b"k" * 32, text), receipts=True)
            self.assertEqual((taken.opened, taken.arrivals), (False, []))
        self.assertEqual(self.passed(), 0)

    def test_a_repeat_under_its_own_number_changes_nothing(self) -> None:
        self.take(5)
        before = messages.load_stream(self.tx, BOB, DEVICE)
        for number in (1, 3, 5):
            self.assertEqual(self.again(number, number), [])
        self.assertEqual(messages.load_stream(self.tx, BOB, DEVICE), before)

    @settings(deadline=None, max_examples=40)
    @given(st.permutations([4, 5, 6, NEW, NEW + 1, NEW + 2]))
    def test_in_any_order_each_is_shown_once_and_gaps_are_within_reason(self, order: list[int]) -> None:
        self.begin()
        for sequence in order:
            self.take(sequence)
        mark_gaps(self.tx, BOB, DEVICE, 9, 9)
        shown = self.shown()
        texts = [one.removesuffix(" late") for one in shown if not one.startswith("(")]
        self.assertEqual(sorted(texts), sorted(["1", "2", "3", "4", "5", "6", "n1", "n2", "n3"]))
        for gap in set(shown) - set(texts) - {f"{one} late" for one in texts}:
            self.assertLessEqual(int(gap.strip("()")), 2)
        self.assertEqual(self.received_up_to(), NEW + 2)
