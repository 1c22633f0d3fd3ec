"""Contacts from a file in the address book: all or nothing, and never more than names."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from e2ee.client.contacts.contact_values import Imported, NamedNumber
from e2ee.client.contacts.lookalikes import look_alike
from e2ee.client.events import Contact
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.wire import messages as m
from tests.client.contacts.test_address_book import ALICE, BOB, CAROL, People

DAVE = "+15550100104"


def entry(number: str, name: str | None) -> NamedNumber:
    return NamedNumber(Address(number), name)


class ImportTests(People):
    """docs/command-line.md, "Contacts in files"."""

    def take_in(self, *entries: NamedNumber, skip: bool = False) -> Imported:
        return self.alice.run(self.alice.messenger.book.take_in(entries, skip=skip))

    def refused(self, *entries: NamedNumber) -> str:
        before = self.contacts(self.alice)
        with self.assertRaises(Failure) as caught:
            self.take_in(*entries)
        self.assertIs(caught.exception.code, Code.USAGE)
        self.assertEqual(self.contacts(self.alice), before)
        return str(caught.exception.sentence)

    def test_they_are_named_and_accepted_and_nobody_is_told(self) -> None:
        before = len(self.world.relay.requests)
        self.assertEqual(self.take_in(entry(BOB, "Bob"), entry(CAROL, None)), Imported(2, 0))
        self.world.settle()
        self.assertEqual(
            self.contacts(self.alice),
            [Contact(Address(one), name, True, False, False) for one, name in ((BOB, "Bob"), (CAROL, None))],
        )
        asked = [one for _, one in self.world.relay.requests[before:] if not isinstance(one, m.SetPresence)]
        self.assertEqual(asked, [])

    def test_again_changes_nothing(self) -> None:
        self.take_in(entry(BOB, "Bob"), entry(CAROL, None))
        before = self.contacts(self.alice)
        self.assertEqual(self.take_in(entry(BOB, "Bob"), entry(CAROL, None)), Imported(0, 2))
        self.assertEqual(self.contacts(self.alice), before)

    def test_an_imported_contact_gets_the_token_with_the_next_text(self) -> None:
        self.take_in(entry(BOB, "Bob"))
        self.alice.say(self.bob, "hello")
        self.assertIn(ALICE, self.watched(self.bob))

    def test_a_request_is_accepted_by_it(self) -> None:
        self.bob.say(self.alice, "hello")
        self.assertEqual(self.take_in(entry(BOB, None)), Imported(1, 0))
        self.assertFalse(self.contacts(self.alice)[0].request)

    def test_names_that_are_here_stay(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        done = self.take_in(entry(BOB, "Mallory"), entry(CAROL, "Carol"))
        self.assertEqual((done.added, done.known, [one.what for one in done.kept]), (1, 0, [BOB]))
        self.assertEqual([one.name for one in self.contacts(self.alice)], ["Bob", "Carol"])

    def test_whoever_is_blocked_stays_so(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.take_in(entry(BOB, "Bob"))
        (bob,) = self.contacts(self.alice)
        self.assertEqual((bob.name, bob.blocked, bob.accepted), ("Bob", True, False))

    def test_nobody_is_verified_by_it(self) -> None:
        self.bob.say(self.alice, "hello")
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        self.take_in(entry(BOB, "Bob"))
        self.assertFalse(self.contacts(self.alice)[0].verified)
        self.alice.run(self.alice.messenger.confirm(self.bob.address, number.digits))
        self.take_in(entry(BOB, "Bob"))
        self.assertTrue(self.contacts(self.alice)[0].verified)

    def test_what_adding_refuses_refuses_all(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        for wrong in (
            [entry(DAVE, "B0b")],
            [entry(DAVE, "me")],
            [entry(DAVE, "a\nb")],
            [entry(ALICE, "Alice")],
            [entry(DAVE, "Dave"), entry(DAVE, "David")],
            [entry(DAVE, "Dave"), entry("+15550100105", "dave")],
        ):
            with self.subTest(wrong):
                self.assertIn("nothing imported", self.refused(entry(CAROL, "Carol"), *wrong))

    def test_with_skip_it_is_left_out(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        done = self.take_in(entry(CAROL, "B0b"), entry(ALICE, None), entry(DAVE, "Dave"), skip=True)
        self.assertEqual((done.added, [one.what for one in done.left_out]), (1, [CAROL, ALICE]))
        self.assertEqual([one.name for one in self.contacts(self.alice)], ["Bob", "Dave"])

    def test_no_two_names_look_alike_afterwards(self) -> None:
        letters = st.text(st.sampled_from("boB0о l1I"), min_size=1, max_size=4)
        numbers = st.integers(10, 19).map(lambda last: f"+155501001{last}")

        @given(st.lists(st.builds(entry, numbers, st.none() | letters), max_size=8))
        @settings(deadline=None, max_examples=40)
        def never(entries: list[NamedNumber]) -> None:
            self.take_in(*entries, skip=True)
            names = [one.name for one in self.contacts(self.alice) if one.name is not None]
            for at, one in enumerate(names):
                self.assertFalse(any(look_alike(one, other) for other in names[:at]), names)

        never()
