"""Who else is connected, as a client sees it: docs/protocol.md, "Presence"."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.client import presence
from e2ee.client.events import PresenceChanged
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.wire import messages as m
from tests.client.contacts.test_address_book import BOB, CAROL, People


class PresenceTests(People):
    """Three people who are connected."""

    def test_all_pages_are_asked_for_and_names_are_added(self) -> None:
        self.add(self.alice, self.carol, "Carol")
        online = self.alice.run(self.alice.messenger.online())
        self.assertEqual(online, [(BOB, None), (CAROL, "Carol")])

    def test_nobody_is_asked_without_a_connection(self) -> None:
        self.alice.link.disconnect()
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.online())
        self.assertIs(caught.exception.code, Code.UNREACHABLE)

    def test_changes_are_told_to_those_who_watch_and_watched_again_on_a_new_connection(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.watch_presence())
        self.alice.link.push(m.PresenceChanged(BOB, False))
        self.world.settle()
        self.assertEqual(self.alice.heard(PresenceChanged), [PresenceChanged(Address(BOB), "Bob", False)])
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        watches = [one for _, one in self.world.relay.requests if isinstance(one, m.Watch) and not one.after]
        self.assertEqual([one.subscribe for one in watches], [True, True])

    def test_who_asks_while_he_watches_watches_on_from_the_last_answer(self) -> None:
        """Another question in between would end the subscription, and who came then would stay unseen."""
        self.alice.run(self.alice.messenger.watch_presence())
        before = len(self.world.relay.requests)
        self.alice.run(self.alice.messenger.online())
        asked = [one for _, one in self.world.relay.requests[before:] if isinstance(one, m.Watch)]
        self.assertEqual([(one.after, one.subscribe) for one in asked], [("", True), (BOB, True)])

    def leave_after_the_last_answer(self, message: m.Message) -> None:
        if isinstance(message, m.Watch) and message.after:
            self.world.clock.callLater(0, self.alice.link.push, m.PresenceChanged(BOB, False))

    def test_whoever_comes_after_the_answer_is_heard_of_after_it(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.watch_presence())
        told: list[object] = []
        self.alice.messenger.subscribe(
            lambda event: told.append(event) if isinstance(event, PresenceChanged) else None
        )
        self.world.relay.intercept[self.alice.address] = self.leave_after_the_last_answer
        asked = Deferred.fromCoroutine(self.alice.messenger.online())
        asked.addCallback(told.append)
        self.world.settle()
        self.assertEqual(told, [[(BOB, "Bob"), (CAROL, None)], PresenceChanged(Address(BOB), "Bob", False)])

    def test_whoever_gives_a_token_and_is_here_already_is_told_once(self) -> None:
        self.world.relay.everyone = False
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.watch_presence())
        self.assertEqual(self.alice.run(self.alice.messenger.online()), [])
        for _ in range(2):
            self.add(self.bob, self.alice, "Alice")
            self.bob.say(self.alice, "hello")
        self.assertEqual(self.alice.heard(PresenceChanged), [PresenceChanged(Address(BOB), "Bob", True)])

    def test_so_is_whoever_gave_it_before_he_was_a_contact(self) -> None:
        self.world.relay.everyone = False
        self.alice.run(self.alice.messenger.watch_presence())
        self.bob.run(self.bob.messenger.book.accept(self.alice.address))
        self.bob.say(self.alice, "hello")
        self.assertEqual(self.alice.heard(PresenceChanged), [])
        self.add(self.alice, self.bob, "Bob")
        self.assertEqual(self.alice.heard(PresenceChanged), [PresenceChanged(Address(BOB), "Bob", True)])

    def test_whoever_is_known_to_be_here_is_not_told_again(self) -> None:
        self.alice.run(self.alice.messenger.watch_presence())
        self.add(self.alice, self.bob, "Bob")
        self.assertEqual(self.alice.heard(PresenceChanged), [])

    def test_nor_whoever_has_come_since_the_answer(self) -> None:
        self.world.relay.everyone = False
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.watch_presence())
        self.alice.link.push(m.PresenceChanged(BOB, True))
        self.add(self.bob, self.alice, "Alice")
        self.assertEqual(self.alice.heard(PresenceChanged), [PresenceChanged(Address(BOB), "Bob", True)])

    def test_whoever_leaves_after_the_answer_is_told_after_it(self) -> None:
        """Several are here whom nobody knew of, and one of them goes while it is told."""
        for one, name in ((self.bob, "Bob"), (self.carol, "Carol")):
            self.add(self.alice, one, name)
        self.world.relay.intercept[self.alice.address] = self.nobody_is_here
        self.alice.run(self.alice.messenger.watch_presence())
        del self.world.relay.intercept[self.alice.address]
        self.world.relay.intercept[self.alice.address] = self.carol_leaves_after_the_last_answer
        self.look_again()
        bob, carol = (self.bob.address, "Bob"), (self.carol.address, "Carol")
        told = [PresenceChanged(*bob, True), PresenceChanged(*carol, True), PresenceChanged(*carol, False)]
        self.assertEqual(self.alice.heard(PresenceChanged), told)

    def test_what_one_has_asked_for_is_told_to_all_others_who_watch(self) -> None:
        """Two may use one messenger, and an answer is one's own."""
        self.world.relay.everyone = False
        self.add(self.alice, self.bob, "Bob")
        self.alice.run(self.alice.messenger.watch_presence())
        self.world.relay.everyone = True
        self.alice.run(self.alice.messenger.online())
        self.world.relay.everyone = False
        self.add(self.bob, self.alice, "Alice")
        self.assertEqual(self.alice.heard(PresenceChanged), [PresenceChanged(Address(BOB), "Bob", True)])

    def nobody_is_here(self, message: m.Message) -> m.Message | None:
        return m.Online(0, (), more=False) if isinstance(message, m.Watch) else None

    def carol_leaves_after_the_last_answer(self, message: m.Message) -> None:
        later = self.world.clock.callLater
        if isinstance(message, m.Watch) and message.after:
            later(0, later, 0, self.alice.link.push, m.PresenceChanged(CAROL, False))

    def look_again(self) -> None:
        """Something about a contact is new."""
        self.alice.run(self.alice.messenger.book.set_timer(self.carol.address, 0))
        self.world.settle()

    def test_whoever_leaves_between_two_answers_is_told_when_he_is_seen_again(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.world.relay.intercept[self.alice.address] = self.bob_leaves_before_the_last_answer
        self.alice.run(self.alice.messenger.watch_presence())
        del self.world.relay.intercept[self.alice.address]
        for _ in range(2):
            self.look_again()
        bob = self.bob.address, "Bob"
        self.assertEqual(self.alice.heard(PresenceChanged),
                         [PresenceChanged(*bob, False), PresenceChanged(*bob, True)])

    def bob_leaves_before_the_last_answer(self, message: m.Message) -> None:
        if isinstance(message, m.Watch) and message.after:
            self.alice.link.push(m.PresenceChanged(BOB, False))

    def test_nothing_is_told_of_whom_one_has_blocked(self) -> None:
        self.alice.run(self.alice.messenger.watch_presence())
        self.alice.run(self.alice.messenger.book.block(self.bob.address))
        self.alice.link.push(m.PresenceChanged(BOB, True))
        self.world.settle()
        self.assertEqual(self.alice.heard(PresenceChanged), [])

    def test_of_more_than_may_be_watched_the_rest_is_asked_for_first(self) -> None:
        self.patch(presence, "WATCHED_TARGETS", 1)
        self.world.relay.everyone = False
        for one, name in ((self.bob, "Bob"), (self.carol, "Carol")):
            self.add(self.alice, one, name)
            self.add(one, self.alice, "Alice")
        self.alice.run(self.alice.messenger.watch_presence())
        before = len(self.world.relay.requests)
        online = self.alice.run(self.alice.messenger.online())
        self.assertEqual([address for address, _ in online], [BOB, CAROL])
        asked = [one for _, one in self.world.relay.requests[before:] if isinstance(one, m.Watch)]
        self.assertEqual(
            [([target.number for target in one.targets], one.subscribe) for one in asked],
            [([CAROL], False), ([BOB], True)],
        )

    def test_nobody_is_asked_about_a_token_by_one_who_does_not_watch(self) -> None:
        self.add(self.alice, self.bob, "Bob")
        self.add(self.bob, self.alice, "Alice")
        self.assertEqual(self.world.relay.count(self.alice.address, m.Watch), 0)
