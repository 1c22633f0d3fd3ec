"""Sequence numbers over restorations: docs/protocol.md, section 6, "Recipient"."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.store.client import contacts
from e2ee.store.client.numbering import (
    COUNT_BITS,
    begin_numbering,
    begins_numbering,
    first_of,
    follows,
    missing_between,
    numbering_of,
)
from e2ee.store.connection import connect
from e2ee.store.upgrade import schema_files, upgrade

ALICE, BOB = Address("+15550100101"), Address("+15550100102")
NOON_MS = 1_700_000_000_000
COUNTERS = 2**53
numberings = st.integers(0, (COUNTERS >> COUNT_BITS) - 1)
counts = st.integers(1, 2**COUNT_BITS)


class NumberTests(SynchronousTestCase):
    """The arithmetic."""

    def test_a_new_device_counts_from_one(self) -> None:
        self.assertEqual(first_of(0), 1)
        self.assertTrue(follows(0, 1))
        self.assertFalse(follows(0, 2))
        self.assertEqual(missing_between(0, 5), 4)

    @settings(deadline=None)
    @given(numberings, counts)
    def test_within_a_numbering_it_is_plain_counting(self, numbering: int, count: int) -> None:
        sequence = first_of(numbering) + count - 1
        self.assertEqual(numbering_of(sequence), numbering)
        self.assertEqual(missing_between(first_of(numbering), sequence), count - 2)
        self.assertEqual(follows(sequence, sequence + 1), True)

    @settings(deadline=None)
    @given(numberings, numberings, counts, counts)
    def test_a_later_numbering_follows_from_its_first_number_on(
        self, one: int, other: int, count: int, late: int
    ) -> None:
        one, other = sorted((one, other))
        before, first = first_of(one) + count - 1, first_of(other)
        self.assertEqual(begins_numbering(before, first), one < other)
        if one < other:
            self.assertTrue(follows(before, first))
            self.assertLessEqual(missing_between(before, first + late - 1), late - 1)
            self.assertGreaterEqual(missing_between(before, first + late - 1), 0)

    def test_a_full_numbering_goes_on_without_a_gap(self) -> None:
        last = first_of(1) - 2
        for step in range(3):
            self.assertTrue(follows(last + step, last + step + 1))
            self.assertEqual(missing_between(last + step, last + step + 1), 0)

    def test_there_is_room_for_seconds_until_long_after_us(self) -> None:
        in_2200 = 7_258_118_400
        self.assertLess(first_of(in_2200), COUNTERS)


class RestoredTests(SynchronousTestCase):
    """A vault that was put back."""

    def setUp(self) -> None:
        self.tx = connect(Path(self.mktemp()), b"k" * 32)
        self.addCleanup(self.tx.close)
        upgrade(self.tx, schema_files("client"))
        for address in (ALICE, BOB):
            contacts.touch_contact(self.tx, address, accepted=True)
        self.used = [contacts.next_sequence(self.tx, ALICE) for _ in range(3)]

    def test_numbers_go_on_above_all_that_were_used_for_every_contact(self) -> None:
        begin_numbering(self.tx, NOON_MS)
        for address in (ALICE, BOB):
            first = contacts.next_sequence(self.tx, address)
            self.assertTrue(begins_numbering(max(self.used), first))
            self.assertEqual(contacts.next_sequence(self.tx, address), first + 1)

    def test_each_restoration_is_above_the_one_before_whatever_the_clock_says(self) -> None:
        seen = max(self.used)
        for now in (NOON_MS, NOON_MS, 0, NOON_MS + 5000):
            begin_numbering(self.tx, now)
            first = contacts.next_sequence(self.tx, ALICE)
            self.assertTrue(begins_numbering(seen, first))
            seen = first

    def test_even_where_the_mark_is_missing(self) -> None:
        begin_numbering(self.tx, NOON_MS)
        seen = contacts.next_sequence(self.tx, ALICE)
        self.tx.execute("DELETE FROM mark")
        begin_numbering(self.tx, 0)
        self.assertTrue(begins_numbering(seen, contacts.next_sequence(self.tx, ALICE)))

    def test_a_new_account_of_a_contact_begins_with_a_first_number(self) -> None:
        begin_numbering(self.tx, NOON_MS)
        contacts.next_sequence(self.tx, ALICE)
        contacts.restart_sequence(self.tx, ALICE)
        self.assertTrue(follows(0, contacts.next_sequence(self.tx, ALICE)))

    def test_a_new_own_device_begins_with_one(self) -> None:
        begin_numbering(self.tx, NOON_MS)
        contacts.restart_all_sequences(self.tx)
        self.assertEqual(contacts.next_sequence(self.tx, ALICE), 1)
