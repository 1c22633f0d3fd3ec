"""Contacts, blocking, tokens, and what readers ask."""

from __future__ import annotations

import hashlib
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.events import (
    Contact,
    HistoryQuery,
    MessageReceived,
    SentState,
    Undecryptable,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.wire import messages as m
from tests.client.fake_relay import Waiting
from tests.client.people import Person, World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class People(SynchronousTestCase):
    """Three people who are connected."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.carol = self.world.person(CAROL).start()

    def contacts(self, one: Person) -> list[Contact]:
        return one.run(one.messenger.contacts())

    def add(self, one: Person, other: Person, name: str) -> Contact:
        contact = one.run(one.messenger.add_contact(other.address, name))
        self.world.settle()
        return contact

    def watched(self, one: Person) -> dict[str, bytes]:
        """The targets of the last question who is there, with their tokens."""
        one.run(one.messenger.online())
        last = [
            message
            for who, message in self.world.relay.requests
            if who == one.address and isinstance(message, m.Watch)
        ][-1]
        return {target.number: target.token for target in last.targets}


class NameTests(People):
    """The address book."""

    def test_names_stand_for_numbers(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        resolve = self.alice.messenger.resolve
        for text in ("Bob", "+15550100102", "+1 (555) 010-0102", "tel:+1.555.010.0102"):
            self.assertEqual(self.alice.run(resolve(text)), BOB)
        for text in ("bob", "Nobody", "", "+1", "+1555x", "0155"):
            with self.assertRaises(Failure) as caught:
                self.alice.run(resolve(text))
            self.assertIs(caught.exception.code, Code.USAGE)

    def test_a_number_with_a_record_is_not_looked_up_in_the_numbering_plans_again(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        with patch.object(Address, "parse", side_effect=AssertionError("looked up")):
            self.assertEqual(self.alice.run(self.alice.messenger.resolve(BOB)), BOB)

    def test_names_that_are_refused(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        for name in ("Bob", "bob", "B\u043eb", "B0b", "me", "Bob: x", "+1", "", " ", " x", "a\nb", "n" * 101):
            with self.assertRaises(Failure) as caught:
                self.alice.run(self.alice.messenger.add_contact(self.carol.address, name))
            self.assertIs(caught.exception.code, Code.USAGE)
        with self.assertRaises(Failure):
            self.alice.run(self.alice.messenger.add_contact(self.alice.address, "me"))
        self.assertEqual(len(self.contacts(self.alice)), 1)

    def test_rename_and_remove(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        renamed = self.alice.run(self.alice.messenger.rename_contact(self.bob.address, "Robert"))
        self.assertEqual(renamed.name, "Robert")
        self.alice.run(self.alice.messenger.remove_contact(self.bob.address))
        self.assertEqual(self.contacts(self.alice), [])
        with self.assertRaises(Failure):
            self.alice.run(self.alice.messenger.rename_contact(self.bob.address, "Bob"))
        with self.assertRaises(Failure):
            self.alice.run(self.alice.messenger.remove_contact(self.bob.address))

    def test_removing_somebody_does_not_make_him_unverified_for_an_attacker(self) -> None:
        self.alice.say(self.bob, "hello")
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        self.alice.run(self.alice.messenger.remove_contact(self.bob.address))
        again = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        self.assertEqual(number.digits, again.digits)

    def test_who_only_wrote_is_listed_and_not_accepted(self) -> None:
        self.bob.say(self.alice, "hello")
        stranger = Contact(Address(BOB), None, False, False, False, request=True)
        self.assertEqual(self.contacts(self.alice), [stranger])
        self.alice.say(self.bob, "hello")
        self.assertTrue(self.contacts(self.alice)[0].accepted)

    def test_being_added_by_somebody_adds_nobody(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.assertEqual(self.contacts(self.bob), [])
        self.assertEqual(self.bob.unshown(), [])

    def test_both_see_the_same_safety_number_before_a_word_is_said(self) -> None:
        numbers = {
            one.run(one.messenger.safety_number(other.address)).digits
            for one, other in ((self.alice, self.bob), (self.bob, self.alice))
        }
        self.assertEqual([len(number) for number in numbers], [60])
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.safety_number(Address("+15550100199")))
        self.assertIs(caught.exception.code, Code.UNKNOWN_RECIPIENT)

    def test_verified_messages_say_so(self) -> None:
        self.bob.say(self.alice, "one")
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        spaced = " ".join(number.digits[at : at + 5] for at in range(0, 60, 5))
        self.alice.run(self.alice.messenger.confirm(self.bob.address, spaced))
        self.bob.say(self.alice, "two")
        self.assertEqual([one.verified for one in self.alice.heard(MessageReceived)], [False, True])
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.confirm(self.bob.address, "0" * 60))
        self.assertIs(caught.exception.code, Code.SAFETY_NUMBER)


class RequestTests(People):
    """What strangers write is marked until they are accepted."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.say(self.alice, "hello")

    def marks(self) -> tuple[list[bool], list[bool], list[bool]]:
        """Of what is unshown, of the history, and of the address book."""
        unshown = [one.request for one in self.alice.unshown() if isinstance(one, MessageReceived)]
        listed = [one.request for one in self.contacts(self.alice)]
        return unshown, [one.request for one in self.alice.past()], listed

    def test_every_text_of_a_stranger_is_marked(self) -> None:
        self.bob.say(self.alice, "it is me")
        self.assertEqual([one.request for one in self.alice.heard(MessageReceived)], [True, True])
        self.assertEqual(self.marks(), ([True, True], [True, True], [True]))

    def test_an_answer_accepts(self) -> None:
        self.alice.say(self.bob, "who are you?")
        self.bob.say(self.alice, "Bob")
        self.assertEqual(self.marks(), ([False, False], [False, False, False], [False]))

    def test_so_does_adding(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.assertEqual(self.marks(), ([False], [False], [False]))

    def test_and_accepting_which_gives_no_name_and_hands_the_token_over(self) -> None:
        self.assertNotIn(ALICE, self.watched(self.bob))
        contact = self.alice.run(self.alice.messenger.book.accept(self.bob.address))
        self.assertEqual(contact, Contact(Address(BOB), None, True, False, False))
        self.assertEqual(self.marks(), ([False], [False], [False]))
        self.world.settle()
        self.assertIn(ALICE, self.watched(self.bob))

    def test_the_own_number_is_not_accepted(self) -> None:
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.book.accept(self.alice.address))
        self.assertIs(caught.exception.code, Code.USAGE)

    def test_a_removed_contact_is_a_stranger_again(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.remove_contact(self.bob.address))
        self.bob.say(self.alice, "still here")
        self.assertEqual(self.marks()[0], [True, True])

    def test_of_a_blocked_stranger_nothing_is_shown_any_more_and_he_is_no_request(self) -> None:
        self.carol.say(self.alice, "and me")
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.assertEqual(self.alice.read(), ["and me"])
        self.assertEqual([one.request for one in self.contacts(self.alice)], [False, True])

    def test_what_failed_is_told_even_of_a_blocked_one(self) -> None:
        self.alice.link.disconnect()
        self.alice.say(self.bob, "hello")
        self.world.clock.advance(31 * 86_400)
        self.alice.link.connect()
        self.world.settle()
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.assertEqual([type(one).__name__ for one in self.alice.unshown()], ["MessageFailed"])


class BlockTests(People):
    """Acknowledged, never shown."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.say(self.alice, "before")
        self.alice.read()
        self.alice.events.clear()

    def test_a_blocked_contact_is_acknowledged_and_never_shown(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.bob.say(self.alice, "hidden")
        self.world.relay.accounts[self.alice.address].link.push_envelopes(  # type: ignore[union-attr]
            [Waiting(self.bob.address, self.bob.own.device, b"garbage" * 40)]
        )
        self.world.settle()
        self.assertEqual(self.alice.heard(MessageReceived) + self.alice.heard(Undecryptable), [])
        self.assertEqual(self.alice.unshown(), [])
        self.assertEqual(self.alice.stored.mailbox, [])
        self.assertEqual(self.alice.past()[1:], [])

    def test_the_relay_is_not_told_that_what_a_blocked_contact_sends_was_opened(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.assertIs(self.bob.say(self.alice, "hidden").state, SentState.STORED)

    def test_nor_when_it_comes_again(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.world.relay.lose_answers = True
        sent = self.bob.say(self.alice, "hidden")
        self.world.relay.lose_answers = False
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()
        self.assertIs(self.bob.run(self.bob.messenger.sent(sent.message_id)).state, SentState.STORED)

    def test_adding_somebody_again_shows_what_comes_then_without_a_gap(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.bob.say(self.alice, "hidden")
        self.add(self.alice, self.bob, "Bob")
        self.bob.say(self.alice, "seen")
        self.assertEqual(self.alice.read(), ["seen"])
        self.assertEqual(self.alice.unshown(), [])

    def test_writing_to_a_blocked_contact_gives_no_token(self) -> None:
        self.alice.say(self.bob, "hello")
        old = self.watched(self.bob)[ALICE]
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.alice.say(self.bob, "one more word")
        self.assertEqual(self.bob.read(), ["hello", "one more word"])
        self.assertEqual(self.watched(self.bob)[ALICE], old)

    def test_blocking_replaces_the_token_for_all_others(self) -> None:
        for other in (self.bob, self.carol):
            self.alice.say(other, "hello")
        old = self.watched(self.bob)[ALICE]
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.world.settle()
        new = self.watched(self.carol)[ALICE]
        self.assertNotEqual(old, new)
        self.assertEqual(self.watched(self.bob)[ALICE], old)
        self.assertEqual(self.alice.stored.presence, (hashlib.sha256(new).digest(), False))

    def test_who_was_removed_and_is_blocked_then_holds_no_token_either(self) -> None:
        self.alice.say(self.bob, "hello")
        shown = self.alice.stored.presence
        self.alice.run(self.alice.messenger.remove_contact(self.bob.address))
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.world.settle()
        self.assertNotEqual(self.alice.stored.presence, shown)


class TokenTests(People):
    """Writing, answering and adding accept somebody: he gets the own token."""

    def test_tokens_travel_with_texts_to_accepted_contacts_only(self) -> None:
        self.bob.say(self.alice, "hello")
        self.assertIn(BOB, self.watched(self.alice))
        self.assertNotIn(ALICE, self.watched(self.bob))
        self.alice.say(self.bob, "hello")
        token = self.watched(self.bob)[ALICE]
        self.assertEqual(self.alice.stored.presence, (hashlib.sha256(token).digest(), False))

    def test_adding_hands_the_token_over_without_a_text(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.add(self.bob, self.alice, "Alice")
        self.assertIn(ALICE, self.watched(self.bob))
        self.assertIn(BOB, self.watched(self.alice))

    def test_tokens_are_shown_when_sending_and_asking_for_keys(self) -> None:
        self.bob.say(self.alice, "hello")
        self.alice.say(self.bob, "hello")
        self.assertEqual(
            self.world.relay.sends(self.alice.address)[-1].token, self.watched(self.alice)[BOB]
        )
        self.assertEqual(self.world.relay.sends(self.bob.address)[0].token, None)

    def test_the_server_is_told_of_the_token_once(self) -> None:
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.world.relay.count(self.alice.address, m.SetPresence), 1)

    def test_who_hides_says_so(self) -> None:
        dave = self.world.person("+15550100104", Config(hidden=True)).start()
        assert dave.stored.presence is not None
        self.assertTrue(dave.stored.presence[1])


class ReadingTests(People):
    """History, unshown, status."""

    def test_history_has_both_directions_in_order_and_can_be_searched(self) -> None:
        self.alice.say(self.bob, "Straße one")
        self.world.wait(1)
        self.bob.say(self.alice, "two")
        self.alice.say(self.carol, "three")
        past = self.alice.past
        everything = past()
        self.assertEqual([one.text for one in everything], ["Straße one", "two", "three"])
        self.assertEqual([one.direction for one in everything], ["out", "in", "out"])
        with_bob = past(HistoryQuery(self.bob.address))
        self.assertEqual([(one.from_address, one.to) for one in with_bob], [(ALICE, BOB), (BOB, ALICE)])
        self.assertEqual([one.text for one in past(HistoryQuery(search="STRASSE"))], ["Straße one"])
        self.assertEqual([one.text for one in past(HistoryQuery(limit=2))], ["two", "three"])
        since = with_bob[1].received_at
        self.assertEqual(len(past(HistoryQuery(self.bob.address, since=since))), 1)

    def test_history_works_without_a_connection(self) -> None:
        self.alice.say(self.bob, "one")
        self.alice.stop()
        self.alice.start(connect=False)
        self.assertEqual(len(self.alice.past()), 1)

    def test_the_limit_of_the_unshown_counts_texts(self) -> None:
        for text in ("1", "2", "3"):
            self.bob.say(self.alice, text)
        some = self.alice.run(self.alice.reader.take(2, None))
        self.assertEqual(len(some), 2)
        self.alice.run(self.alice.reader.mark_shown(event.position for event in some))
        self.assertEqual(self.alice.read(), ["3"])
        self.assertEqual(sum(one.texts for one in self.alice.run(self.alice.reader.unread())), 0)

    def test_status(self) -> None:
        self.bob.say(self.alice, "1")
        status = self.alice.run(self.alice.messenger.status())
        self.assertEqual((status.connected, status.unshown, status.outbox), (True, 1, 0))
        self.assertEqual(status.key_exchange, "X25519MLKEM768")
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "waits")
        status = self.alice.run(self.alice.messenger.status())
        self.assertEqual((status.connected, status.outbox, status.key_exchange), (False, 1, None))
        assert status.failure is not None
        self.assertIs(status.failure.code, Code.UNREACHABLE)
