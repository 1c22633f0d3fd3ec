"""What the server had accepted and will not deliver is told to its sender: real processes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import wait_until
from tests.end_to_end.household import ALICE, BOB, Household


class FailedTests(SynchronousTestCase):
    """Alice writes to Bob, who is away."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)

    def start(self, limits: str) -> None:
        config = self.house.directory / "server.toml"
        config.write_text(f"[limits]\n{limits}\ncodes_burst = 0\n")
        self.house.server_options = ("--presence", "everyone", "--config", str(config))
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def stored(self) -> str:
        """The id of what waits for Bob, who is away."""
        (sent,) = self.house.do("alice", "send", BOB, "--json", "-m", "hello").objects
        self.assertEqual(sent["state"], "stored")
        return str(sent["id"])

    def told(self, kind: str = "failed") -> list[dict[str, Any]]:
        """What Alice is told of."""
        printed = self.house.do("alice", "receive", "--json").objects
        return [one for one in printed if one["type"] == kind]

    def test_a_message_that_was_not_fetched_in_time(self) -> None:
        self.start("mailbox_days = 0.00001")
        message_id = self.stored()
        found: list[dict[str, Any]] = []

        def failed() -> bool:
            found.extend(self.told())
            return bool(found)

        wait_until("the notice", failed)
        self.assertEqual([(one["id"], one["to"], one["reason"]) for one in found],
                         [(message_id, BOB, "expired")])  # fmt: skip
        self.assertEqual(self.told(), [])
        (kept,) = self.house.do("alice", "history", "--json").objects
        self.assertEqual(kept["state"], "failed")
        self.assertEqual(self.house.do("bob", "receive", "--json").out, "")

    def test_a_message_to_an_account_that_was_taken_over(self) -> None:
        self.start("")
        message_id = self.stored()
        self.house.register("bob-elsewhere", self.link, BOB)
        (failed,) = self.told()
        self.assertEqual((failed["id"], failed["to"], failed["reason"]), (message_id, BOB, "taken_over"))
        shown = self.house.do("bob-elsewhere", "receive", "--json")
        self.assertEqual((shown.status, shown.out), (0, ""))
