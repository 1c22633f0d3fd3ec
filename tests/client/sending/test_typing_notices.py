"""Typing notices: who gets one, and that nothing is left of them."""

from __future__ import annotations

from e2ee.client.config import Config
from e2ee.client.contacts.contact_values import NamedNumber
from e2ee.client.events import ContactTyping, MessageReceived
from e2ee.client.sending.typing_notices import PAUSE_SECONDS
from e2ee.crypto.limits import TYPING_MS
from e2ee.ids import Address
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.history.test_disappearing import TimerCase
from tests.client.people import Person


class TypingTests(TimerCase):
    """Alice writes to Bob, who has accepted her."""

    def type(self, one: Person | None = None, to: Person | None = None) -> int:
        """Press a key; how many envelopes that has sent."""
        one, to = one or self.alice, to or self.bob
        before = len(self.world.relay.sends(one.address))
        one.run(one.messenger.typing.tell(to.address))
        self.world.settle()
        return len(self.world.relay.sends(one.address)) - before

    def told(self) -> list[ContactTyping]:
        return self.bob.heard(ContactTyping)

    def nothing_is_left(self) -> None:
        for one in (self.alice, self.bob):
            self.assertEqual(one.look("SELECT * FROM outbox"), [])
            self.assertEqual(one.look("SELECT * FROM arrival"), [])
            self.assertEqual(one.look("SELECT count(*) FROM message"), [(2,)])

    def test_the_contact_hears_of_it_and_nothing_is_kept(self) -> None:
        self.assertEqual(self.type(), 1)
        self.assertEqual(self.told(), [ContactTyping(Address(self.alice.address))])
        self.assertEqual(self.bob.unshown(), [])
        self.nothing_is_left()

    def test_at_most_one_in_five_seconds_to_each(self) -> None:
        self.assertEqual([self.type() for _ in range(5)], [1, 0, 0, 0, 0])
        self.world.wait(PAUSE_SECONDS - 0.5)
        self.assertEqual(self.type(), 0)
        self.world.wait(0.5)
        self.assertEqual(self.type(), 1)

    def test_texts_that_follow_come_in_order(self) -> None:
        self.type()
        self.alice.say(self.bob, "one")
        self.world.wait(PAUSE_SECONDS)
        self.type()
        self.alice.say(self.bob, "two")
        self.assertEqual([one.text for one in self.bob.heard(MessageReceived)], ["one", "two"])

    def test_it_can_be_switched_off(self) -> None:
        self.alice.stop()
        self.alice.config = Config(receipts=False, typing=False)
        self.alice.start()
        self.assertEqual(self.type(), 0)

    def test_none_to_strangers(self) -> None:
        carol = self.world.person("+15550100103").start()
        carol.say(self.bob, "hello")
        self.assertEqual(self.type(self.bob, carol), 0)
        self.bob.say(carol, "hello")
        self.assertEqual(self.type(self.bob, carol), 1)

    def test_none_from_strangers_is_heeded(self) -> None:
        self.bob.run(self.bob.messenger.remove_contact(self.alice.address))
        self.assertEqual(self.type(), 1)
        self.assertEqual(self.told(), [])

    def test_none_to_nor_from_the_blocked(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        self.world.settle()
        self.assertEqual(self.type(self.bob, self.alice), 0)
        self.type()
        self.assertEqual(self.told(), [])

    def test_none_where_a_text_waits(self) -> None:
        """Over a connection that is there: without one nothing goes anyway."""

        def refuse(message: m.Message) -> m.Message | None:
            return refused(m.RefusalCode.RATE_LIMITED, 60.0) if isinstance(message, m.Send) else None

        self.world.relay.intercept[self.alice.address] = refuse
        self.alice.queue(self.bob, "waits")
        self.world.settle()
        self.assertEqual(self.type(), 0)
        self.assertEqual(self.alice.look("SELECT count(*) FROM outbox"), [(1,)])
        self.world.relay.intercept.clear()
        self.world.wait(60.0)
        self.assertEqual((self.bob.read(), self.type()), (["waits"], 1))

    def test_none_without_a_session_and_nobody_is_looked_up_for_it(self) -> None:
        carol = self.world.person("+15550100103").start()
        entry = NamedNumber(carol.address, "Carol")
        self.alice.run(self.alice.messenger.book.take_in([entry], skip=False))
        self.alice.run(self.alice.messenger.safety_number(carol.address))
        before = len(self.world.relay.requests)
        self.assertEqual(self.type(to=carol), 0)
        self.assertEqual(len(self.world.relay.requests), before)
        self.nothing_is_left()

    def test_none_without_a_connection_and_none_later(self) -> None:
        self.alice.link.disconnect()
        self.type()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.told(), [])
        self.nothing_is_left()

    def test_what_was_under_way_when_the_connection_was_lost_is_dropped(self) -> None:
        self.world.relay.lose_answers = True
        self.type()
        self.world.relay.lose_answers = False
        before = len(self.world.relay.sends(self.alice.address))
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(len(self.world.relay.sends(self.alice.address)), before)
        self.nothing_is_left()
        self.alice.say(self.bob, "text")
        self.assertEqual(self.bob.read(), ["text"])

    def test_one_that_the_server_refuses_is_dropped_and_keeps_nothing_up(self) -> None:
        answers = [refused(m.RefusalCode.RATE_LIMITED, 60.0)]

        def refuse(message: m.Message) -> m.Message | None:
            return answers.pop() if isinstance(message, m.Send) and answers else None

        self.world.relay.intercept[self.alice.address] = refuse
        self.assertEqual(self.type(), 1)
        self.alice.say(self.bob, "at once")
        self.assertEqual((self.bob.read(), self.told()), (["at once"], []))

    def test_one_that_cannot_be_sealed_takes_no_other_away(self) -> None:
        carol = self.world.person("+15550100103").start()
        self.alice.run(self.alice.messenger.book.take_in([NamedNumber(carol.address, "Carol")], skip=False))
        self.alice.run(self.alice.messenger.safety_number(carol.address))
        self.world.relay.lose_answers = True
        self.type()
        self.assertEqual(self.type(to=carol), 0)
        self.assertEqual(self.alice.look("SELECT address FROM outbox"), [(self.bob.address,)])
        self.world.relay.lose_answers = False

    def test_a_stale_one_is_dropped(self) -> None:
        self.bob.link.disconnect()
        self.type()
        self.leap(TYPING_MS / 1000 + 1)
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.told(), [])
        self.nothing_is_left()

    def test_one_from_the_future_is_dropped(self) -> None:
        self.alice.messenger._context.wall = lambda: self.world.clock.seconds() + 3600
        self.assertEqual(self.type(), 1)
        self.assertEqual(self.told(), [])

    def test_one_that_waited_for_a_moment_counts(self) -> None:
        self.bob.link.disconnect()
        self.type()
        self.leap(TYPING_MS / 1000)
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(len(self.told()), 1)
