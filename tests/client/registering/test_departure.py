"""The end of an account, as its own client and those of others see it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import HistoryQuery, LinkEnded
from e2ee.client.refusals import LinkLost
from e2ee.errors import Code, Failure
from e2ee.store.client.identity import is_deleted
from tests.client.people import World

ALICE, BOB = "+15550100101", "+15550100102"


class DepartureTests(SynchronousTestCase):
    """Alice deletes her account; Bob has written to her."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.bob.say(self.alice, "hello")
        self.alice.read()

    def delete(self) -> None:
        self.alice.run(self.alice.messenger.departure.delete_account())
        self.world.settle()

    def test_the_server_forgets_and_the_profile_keeps_its_past(self) -> None:
        self.delete()
        self.assertNotIn(self.alice.address, self.world.relay.accounts)
        self.assertEqual([entry.text for entry in self.alice.past(HistoryQuery())], ["hello"])

    def test_who_waits_for_a_connection_is_told_that_there_is_no_account(self) -> None:
        self.delete()
        (ended,) = self.alice.heard(LinkEnded)
        self.assertIs(ended.failure.code, Code.NOT_REGISTERED)
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.connected(1.0))
        self.assertIs(caught.exception.code, Code.NOT_REGISTERED)

    def test_the_next_process_does_not_connect(self) -> None:
        self.delete()
        self.alice.stop()
        self.alice.events.clear()
        self.alice.start()
        given_up = self.alice.messenger.given_up
        assert given_up is not None
        self.assertIs(given_up.code, Code.NOT_REGISTERED)
        self.assertFalse(self.alice.messenger.was_connected)

    def test_a_new_identity_connects_again(self) -> None:
        self.delete()
        self.alice.stop()
        self.alice.register()
        self.assertFalse(self.world.result(self.alice.vault.read(is_deleted)))
        self.alice.start()
        self.assertTrue(self.alice.messenger.is_connected)
        self.assertEqual([entry.text for entry in self.alice.past(HistoryQuery())], ["hello"])

    def test_without_a_connection_nothing_is_deleted(self) -> None:
        self.alice.stop()
        self.alice.start(connect=False)
        with self.assertRaises(LinkLost):
            self.delete()
        self.assertFalse(self.world.result(self.alice.vault.read(is_deleted)))
