"""What is done now and then, and what senders hear of it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.composition import Stores, begin_upkeep
from e2ee.server.policy import DAY_SECONDS, Policy
from e2ee.server.upkeep import LONGEST_SECONDS, SHORTEST_SECONDS, Upkeep, interval
from e2ee.store.memory.census import MemoryCensus
from e2ee.store.memory.files import MemoryFiles, MemoryShelf
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.state import MemoryStore
from e2ee.wire import messages as m
from tests.server.town import ALICE, BOB, TownCase


class IntervalTests(SynchronousTestCase):
    """Late by a twentieth, within reason."""

    def test_bounds(self) -> None:
        self.assertEqual([interval(s) for s in (0, 20, 40, 12_000, DAY_SECONDS)],
                         [SHORTEST_SECONDS, 1, 2, LONGEST_SECONDS, LONGEST_SECONDS])


class UpkeepTests(SynchronousTestCase):
    """Tasks run now and again, whatever becomes of them."""

    def test_a_task_that_fails_is_tried_again_and_none_overlaps_itself(self) -> None:
        clock, runs = Clock(), []

        async def task() -> None:
            runs.append(clock.seconds())
            raise KeyError("a secret")

        upkeep = Upkeep(clock)
        upkeep.every(5, "a task", task)
        clock.pump([5, 5])
        upkeep.stop()
        clock.advance(5)
        self.assertEqual(runs, [0, 5, 10])
        self.assertEqual(clock.getDelayedCalls(), [])


class ExpiryTests(TownCase):
    """Mail past its time becomes a notice to its sender, who may be connected."""

    policy = Policy(mailbox_days=1)

    def test_expired_mail(self) -> None:
        alice = self.now(self.town.log_in(ALICE))
        message = self.town.send(BOB, b"one")
        self.assertEqual(self.successResultOf(self.town.submit(alice, message)).outcome, m.Outcome.STORED)  # type: ignore[attr-defined]
        town, upkeep = self.town, Upkeep(self.town.network)
        self.addCleanup(upkeep.stop)
        stores = Stores(
            town.accounts, town.prekeys, town.mailbox, MemoryLimits(town.store), town.passcodes,
            MemoryInvites(town.store), MemoryLimits(MemoryStore()), MemoryCensus(town.store),
            MemoryFiles(town.store, town.policy.file_limits()), MemoryShelf(),
        )  # fmt: skip
        begin_upkeep(upkeep, stores, town.rooms, self.town.policy, town.network.seconds)
        town.network.advance(DAY_SECONDS - 1)
        self.assertFalse(any(isinstance(one, m.Notice) for one in alice.told))
        town.network.advance(LONGEST_SECONDS)
        [notice] = [one for one in alice.told if isinstance(one, m.Notice)]
        self.assertEqual((notice.reason, len(notice.envelope_ids)), (m.NoticeReason.EXPIRED, 1))
        self.now(town.rooms.notices.tell(alice))
        self.assertEqual(len([one for one in alice.told if isinstance(one, m.Notice)]), 1)
        self.assertEqual(self.now(town.log_in(BOB)).envelopes, [])
