"""A sender who was restored from a backup, as his contacts see him: docs/protocol.md, section 6."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.sequence import mark_gaps, pass_over, take_text
from e2ee.ids import Address, DeviceId, MessageId
from e2ee.store.client import messages
from e2ee.store.client.arrivals import ArrivalKind, unshown_arrivals
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
        record = MessageRecord(
            "in", BOB, DEVICE, MessageId(sequence.to_bytes(16, "big")), sequence, 1, 1, str(sequence),
            False, False, RELEASED,
        )  # fmt: skip
        return take_text(self.tx, record, DEVICE)[1]

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
        for number in (NEW, NEW + 1):
            self.assertEqual(pass_over(self.tx, BOB, DEVICE, number), [])
        self.assertFalse(self.take(NEW + 2))
        self.assertEqual(self.shown(), ["1", "2", "3", "n3"])
        self.assertEqual(self.received_up_to(), NEW + 2)

    def test_what_waited_for_it_is_passed_on(self) -> None:
        self.assertTrue(self.take(NEW + 1))
        self.assertEqual(len(pass_over(self.tx, BOB, DEVICE, NEW)), 1)
        self.assertEqual(self.shown(), ["1", "2", "3", "n2"])

    def test_a_repeat_under_its_own_number_changes_nothing(self) -> None:
        self.take(5)
        before = messages.load_stream(self.tx, BOB, DEVICE)
        for number in (1, 3, 5, 7):
            self.assertEqual(pass_over(self.tx, BOB, DEVICE, number), [])
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
