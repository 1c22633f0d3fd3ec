"""A wall clock that is set under a real server, while it runs and while it stands still."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, CAROL
from tests.end_to_end.skewed import DAY, HOUR, SkewedHousehold


class ClockTests(SynchronousTestCase):
    """docs/protocol.md, "Delivery": deadlines count service time."""

    def setUp(self) -> None:
        self.house = SkewedHousehold()
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()

    def test_messages_wait_through_every_step(self) -> None:
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, self.link, address)
        texts: list[str] = []
        for step in (HOUR, -HOUR, 30 * DAY, -DAY):
            self.house.set_clock(step)
            texts.append(f"sent when it was off by {step} s")
            self.assertEqual(self.house.do("alice", "send", BOB, "-m", texts[-1]).status, 0)
            self.assertEqual(self.house.stop_server(), 0)
            self.house.set_clock(-step)
            self.house.start_server()
        received = self.house.do("bob", "receive", "--json").objects
        self.assertEqual([one["text"] for one in received if "text" in one], texts)

    def test_a_passcode_lives_on_while_the_clock_is_set(self) -> None:
        """The clock goes on by thirty days, and back by one, between the code and its proof."""
        for profile, address, step in (("bob", BOB, 30 * DAY), ("carol", CAROL, -DAY)):
            self.house.set_clock(0)
            newest = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
            done = self.house.do(
                profile, "register", self.link, address, "--no-passphrase",
                "--code-command", f"echo {step} > '{self.house.skew}'; {newest}",
            )
            self.assertEqual(done.status, 0, done.err)
