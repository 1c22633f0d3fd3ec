"""`register --again`: new keys, the history and the outbox kept."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import Gap, KeyChanged, MessageFailed, MessageReceived, SentAgain, SentState
from tests.client.people import World

ALICE, BOB = "+15550100101", "+15550100102"


class RegisteredAgainTests(SynchronousTestCase):
    """Alice makes new keys in the same profile."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        for turn in range(3):
            self.alice.say(self.bob, f"a{turn}")
            self.bob.say(self.alice, f"b{turn}")
        self.alice.read()
        self.bob.read()

    def register_again(self) -> None:
        self.alice.stop()
        self.alice.register()
        self.alice.start()

    def test_both_directions_go_on_after_trust_without_gaps(self) -> None:
        self.register_again()
        self.assertIs(self.alice.say(self.bob, "new keys").state, SentState.DELIVERED)
        self.assertIsInstance(self.bob.unshown()[0], KeyChanged)
        self.assertEqual(self.bob.read(), ["new keys"])
        self.assertIs(self.bob.say(self.alice, "who is it?").state, SentState.QUEUED)
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.world.settle()
        self.assertEqual(self.alice.read(), ["who is it?"])
        self.world.wait(10)
        self.assertEqual(self.alice.heard(Gap) + self.bob.heard(Gap), [])

    def test_texts_of_before_do_not_count_as_received(self) -> None:
        """Else what is lost under their numbers would never be sent again."""
        self.register_again()
        self.alice.say(self.bob, "new keys")
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.bob.say(self.alice, "one")
        self.alice.say(self.bob, "confirms one")
        for text in ("two", "three"):
            self.bob.say(self.alice, text)
        self.assertEqual(self.alice.read(), ["one", "two", "three"])
        self.assertEqual(self.alice.heard(Gap), [])
        self.assertEqual([have for (have,) in self.bob.look("SELECT have_up_to FROM contact")], [1])

    def test_texts_of_before_are_neither_asked_for_nor_sent_again(self) -> None:
        self.register_again()
        self.alice.say(self.bob, "new keys")
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.bob.say(self.alice, "one")
        self.world.wait(3600)
        for turn in range(3):
            self.bob.say(self.alice, f"bob {turn}")
            self.alice.say(self.bob, f"alice {turn}")
        self.world.wait(10)
        seen = self.alice.seen() + self.bob.seen()
        self.assertEqual([one for one in seen if isinstance(one, Gap | SentAgain)], [])
        self.assertEqual([one.text for one in seen if isinstance(one, MessageReceived) and one.late], [])

    def test_history_and_what_waited_are_kept(self) -> None:
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "waits")
        self.register_again()
        self.assertEqual(self.bob.read(), ["waits"])
        history = self.alice.past()
        self.assertEqual([one.text for one in history], ["a0", "b0", "a1", "b1", "a2", "b2", "waits"])

    def test_who_wrote_to_the_old_keys_is_told_that_it_is_lost(self) -> None:
        self.alice.link.disconnect()
        sent = self.bob.say(self.alice, "to the old device")
        self.assertIs(sent.state, SentState.STORED)
        self.register_again()
        (event,) = self.bob.heard(MessageFailed)
        self.assertEqual((event.message_id, event.reason.value), (sent.message_id, "taken_over"))
