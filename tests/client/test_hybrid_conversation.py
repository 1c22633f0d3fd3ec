"""A conversation in two vaults takes post-quantum steps by itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.session import Session
from e2ee.store.client.sessions import session_to_send_on
from e2ee.store.connection import Connection
from tests.client.people import Person, World

ALICE, BOB = "+15550100101", "+15550100102"
DAY = 24 * 60 * 60


class HybridConversation(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.say_both("hello")

    def say_both(self, text: str) -> None:
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            one.say(other, text)
            self.assertEqual(other.read(), [text])

    def since(self, one: Person, other: Person) -> int:
        """When the last post-quantum secret came into the session."""

        def operation(tx: Connection) -> bytes:
            record = session_to_send_on(tx, other.address, other.own.statement_hash)
            assert record is not None
            return record.state

        state = self.world.result(one.vault.read(operation))
        since = Session.decode(state).ratchet.since
        assert since is not None
        return since

    def test_both_sides_have_a_new_secret_a_day_later(self) -> None:
        begun = self.since(self.alice, self.bob)
        self.world.wait(DAY)
        for number in range(2):
            self.say_both(str(number))
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            self.assertGreaterEqual(self.since(one, other) - begun, DAY * 1000)

    def test_after_50_messages_within_the_day(self) -> None:
        begun = self.since(self.alice, self.bob)
        self.world.wait(60)
        for number in range(27):
            self.say_both(str(number))
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            self.assertGreaterEqual(self.since(one, other) - begun, 60_000)

    def test_the_offer_outlives_a_restart_of_both(self) -> None:
        begun = self.since(self.alice, self.bob)
        self.world.wait(DAY)
        self.alice.say(self.bob, "with an offer")
        for person in (self.alice, self.bob):
            person.kill()
            person.start()
        self.bob.say(self.alice, "with the answer")
        self.assertGreaterEqual(self.since(self.alice, self.bob) - begun, DAY * 1000)
