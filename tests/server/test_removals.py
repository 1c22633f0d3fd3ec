"""What was acknowledged goes, also after a full disk: docs/protocol.md, "Delivery", failures."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.errors import StoreUnavailable
from e2ee.server.refusal import UNAVAILABLE_RETRY_SECONDS
from tests.logged import logged
from tests.server.town import ALICE, BOB, PeerDouble, TownCase, token_hash

FULL = StoreUnavailable("there is no room on the disk")


class FullDiskCase(TownCase):
    """Three envelopes wait for Bob, who has logged in."""

    def setUp(self) -> None:
        super().setUp()
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        alice = self.town.peer(ALICE)
        for envelope in (b"one", b"two", b"three"):
            self.successResultOf(self.town.submit(alice, self.town.send(BOB, envelope)))
        self.mailbox = self.town.mailbox
        self.said = logged(self)
        self.bob = self.log_in()

    def log_in(self) -> PeerDouble:
        return self.now(self.town.log_in(BOB))

    def leave(self, peer: PeerDouble) -> None:
        self.town.rooms.login.leave(peer, 1, displaced=False)

    def acknowledge(self, *numbers: int) -> None:
        for number in numbers:
            self.town.acknowledge(self.bob, self.bob.pushes[number])

    def rows(self) -> int:
        return self.now(self.mailbox.real.count())


class RemovalTests(FullDiskCase):
    """The mailbox may have no room even for removals."""

    def setUp(self) -> None:
        super().setUp()
        self.mailbox.removal_failure = FULL

    def test_a_full_disk_is_no_error(self) -> None:
        self.acknowledge(0, 1, 2)
        self.assertEqual(self.said, [])
        self.assertEqual(self.bob.ended, "")

    def test_what_could_not_be_removed_goes_later_on_the_same_connection(self) -> None:
        self.acknowledge(0)
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS - 0.01)
        self.assertEqual(self.rows(), 3)
        self.town.network.advance(0.01)
        self.assertEqual(self.rows(), 2)

    def test_it_is_tried_as_long_as_the_disk_is_full(self) -> None:
        self.acknowledge(0)
        for _ in range(3):
            self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.assertEqual(self.rows(), 2)
        self.assertEqual(self.said, [])

    def test_until_then_no_acknowledgement_asks_the_disk_again_and_all_go_together(self) -> None:
        self.acknowledge(0, 1, 2)
        self.assertEqual(self.mailbox.removals, 1)
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.assertEqual((self.mailbox.removals, self.rows()), (2, 0))

    def test_afterwards_acknowledged_rows_go_at_once(self) -> None:
        self.acknowledge(0)
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.acknowledge(1)
        self.assertEqual(self.rows(), 1)

    def test_what_is_not_removed_when_the_connection_ends_comes_again(self) -> None:
        self.acknowledge(0, 1, 2)
        self.leave(self.bob)
        self.assertIsNone(self.town.rooms.deliveries.find(self.town.where(BOB)), "nothing is kept in memory")
        self.assertEqual(self.town.network.getDelayedCalls(), [])
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.assertEqual(self.mailbox.removals, 1)
        self.bob = self.log_in()
        self.assertEqual(self.bob.envelopes, [b"one", b"two", b"three"])
        self.acknowledge(0, 1, 2)
        self.assertEqual(self.rows(), 0)

    def test_a_removal_under_way_at_the_end_of_the_connection_is_not_tried_again(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def slow(*order: object) -> None:
            await waiting
            raise FULL

        self.patch(self.mailbox, "remove", slow)
        self.acknowledge(0, 1)
        self.leave(self.bob)
        waiting.callback(None)
        self.assertIsNone(self.town.rooms.deliveries.find(self.town.where(BOB)))
        self.assertEqual(self.town.network.getDelayedCalls(), [])

    def test_a_newer_connection_gets_all_again_and_nothing_is_tried_for_the_older(self) -> None:
        self.acknowledge(0, 1)
        self.bob = self.log_in()
        self.assertEqual(self.bob.envelopes, [b"one", b"two", b"three"])
        self.mailbox.removal_failure = None
        self.town.network.advance(UNAVAILABLE_RETRY_SECONDS)
        self.assertEqual((self.mailbox.removals, self.rows()), (1, 3))
        self.acknowledge(0, 1, 2)
        self.assertEqual(self.rows(), 0)

    def test_the_end_of_the_server_does_not_wait_for_it(self) -> None:
        self.acknowledge(0)
        self.now(self.town.rooms.deliveries.settle())

    def test_a_defect_is_an_error_by_its_kind(self) -> None:
        self.mailbox.removal_failure = ValueError("secret")
        self.acknowledge(0)
        self.assertEqual(self.said, ["the mailbox has failed: ValueError"])


class ReadingTests(FullDiskCase):
    """The mailbox may have no time for one who reads."""

    def test_who_cannot_be_given_his_rows_is_cut_and_that_is_no_error(self) -> None:
        self.leave(self.bob)
        self.mailbox.reading_failure = FULL
        self.bob = self.log_in()
        self.assertEqual((self.bob.ended, self.bob.told, self.said), ("aborted", [], []))
        self.leave(self.bob)
        self.mailbox.reading_failure = None
        self.assertEqual(self.log_in().envelopes, [b"one", b"two", b"three"])

    def test_a_defect_cuts_him_and_is_an_error(self) -> None:
        self.leave(self.bob)
        self.mailbox.reading_failure = ValueError("secret")
        self.bob = self.log_in()
        self.assertEqual((self.bob.ended, self.said), ("aborted", ["the mailbox has failed: ValueError"]))

    def test_what_failed_for_an_older_connection_does_not_cut_the_newer(self) -> None:
        self.leave(self.bob)
        waiting: Deferred[None] = Deferred()
        after = self.mailbox.after

        async def slow(*order: int) -> None:
            self.patch(self.mailbox, "after", after)
            await waiting
            raise FULL

        self.patch(self.mailbox, "after", slow)
        older = self.log_in()
        newer = self.log_in()
        waiting.callback(None)
        self.assertEqual((older.ended, newer.ended), ("displaced", ""))
        self.assertEqual(newer.envelopes, [b"one", b"two", b"three"])
