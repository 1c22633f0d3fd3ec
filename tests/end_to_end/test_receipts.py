"""`send --wait` and receipts between real processes: docs/command-line.md, `send` and "Receipts"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household, Result
from tests.end_to_end.test_holder import Follower

LONG = ("--timeout", "200")


class ReceiptTests(SynchronousTestCase):
    """Alice sends and waits, Bob reads."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.house.register("alice", link, ALICE)
        self.house.register("bob", link, BOB)

    def befriend(self) -> None:
        """Each has written to the other."""
        for profile, to in (("alice", BOB), ("bob", ALICE)):
            self.house.do(profile, "send", to, "-m", "hello")
        for profile in ("alice", "bob", "alice"):
            self.house.do(profile, "receive")

    def wait_for(self, state: str, text: str, *options: str) -> Result:
        return self.house.do("alice", "--json", "send", BOB, "-m", text, "--wait", state, *options)

    def is_not_told(self, state: str, text: str) -> Result:
        """The recipient says nothing, and the server has the text before the time is up."""
        return self.house.do_in_time(
            "alice", "--json", "send", BOB, "-m", text, "--wait", state,
            came_so_far=lambda sent: self.one(sent, "sent")["state"] != "queued",
        )  # fmt: skip

    def one(self, result: Result, kind: str) -> dict[str, Any]:
        (found,) = [one for one in result.objects if one["type"] == kind]
        return found

    def test_it_waits_for_what_the_recipient_says(self) -> None:
        self.befriend()
        follower = Follower(self.house, "bob")
        self.addCleanup(follower.kill)
        read = self.wait_for("read", "are you there?", *LONG)
        self.assertEqual((read.status, self.one(read, "sent")["state"]), (0, "read"), read.err)
        follower.wait_for("are you there?")
        self.assertEqual(follower.end(), 0)
        message_id = self.one(self.wait_for("accepted", "and now?"), "sent")["id"]
        self.house.do("bob", "receive")
        receipt = self.house.do("alice", "--json", "receive").objects[-1]
        self.assertEqual((receipt["type"], receipt["id"], receipt["from"]), ("receipt", message_id, BOB))
        self.assertEqual(receipt["state"], "read")
        states = [one["state"] for one in self.house.do("alice", "--json", "history").objects]
        self.assertEqual(states[1:], [None, "read", "read"])

    def test_a_state_that_is_not_reached_in_time_is_9(self) -> None:
        self.befriend()
        holder = Follower(self.house, "alice")
        self.addCleanup(holder.kill)
        self.assertEqual(self.wait_for("accepted", "connected").status, 0)
        sent = self.is_not_told("delivered", "are you there?")
        self.assertEqual((sent.status, self.one(sent, "sent")["state"]), (9, "stored"), sent.err)
        self.assertEqual(sent.error["code"], "timeout")

    def test_who_has_not_accepted_the_sender_says_nothing(self) -> None:
        follower, holder = Follower(self.house, "bob"), Follower(self.house, "alice")
        self.addCleanup(follower.kill)
        self.addCleanup(holder.kill)
        self.assertEqual(self.wait_for("accepted", "you do not know me").status, 0)
        follower.wait_for("you do not know me")
        sent = self.is_not_told("read", "and I want to know")
        self.assertEqual(sent.status, 9)
        self.assertIn(self.one(sent, "sent")["state"], ("stored", "delivered"))
        follower.wait_for("and I want to know")

    def test_it_waits_through_a_holder_and_prints_the_state_of_a_repeated_one(self) -> None:
        self.befriend()
        follower, holder = Follower(self.house, "bob"), Follower(self.house, "alice")
        self.addCleanup(follower.kill)
        self.addCleanup(holder.kill)
        chosen = ("--id", "5" * 32)
        for _ in range(2):
            sent = self.wait_for("read", "once", *chosen, *LONG)
            self.assertEqual((sent.status, self.one(sent, "sent")["state"]), (0, "read"), sent.err)
        self.assertEqual(follower.texts(), ["once"])
        self.house.stop_server()
        again = self.wait_for("read", "once", *chosen)
        self.assertEqual((again.status, self.one(again, "sent")["state"]), (0, "read"))

    def test_receipts_can_be_switched_off(self) -> None:
        self.befriend()
        profile = Path(self.house.environment["E2EE_DATA_DIR"]) / "bob"
        (profile / "config.toml").write_text("receipts = false\n")
        self.house.do("bob", "receive")
        sent = self.wait_for("accepted", "are you there?")
        self.assertEqual(sent.status, 0)
        self.house.do("bob", "receive")
        self.assertEqual(self.house.do("alice", "--json", "receive").objects, [])
