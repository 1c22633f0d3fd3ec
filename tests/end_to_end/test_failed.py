"""What was sent and will not be delivered is told to its sender, in each way: real processes.

docs/command-line.md, "What `receive` prints beside messages".
"""

from __future__ import annotations

import subprocess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, CAROL
from tests.end_to_end.skewed import DAY, SkewedHousehold

UNSENT = 3
"""What a command ends with that had no connection."""


class FailedCase(SynchronousTestCase):
    """Alice writes to Bob, who is away."""

    def setUp(self) -> None:
        self.house = SkewedHousehold("--presence", "everyone")
        self.addCleanup(self.house.__exit__)

    def start(self, limits: str = "") -> None:
        config = self.house.directory / "server.toml"
        config.write_text(f"[limits]\n{limits}\ncodes_burst = 0\n")
        self.house.server_options = ("--presence", "everyone", "--config", str(config))
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def stored(self) -> str:
        """The id of what waits for Bob."""
        (sent,) = self.house.do("alice", "send", BOB, "--json", "-m", "hello").objects
        self.assertEqual(sent["state"], "stored")
        return str(sent["id"])

    def told(self, kind: str = "failed") -> list[dict[str, Any]]:
        """What Alice is told of."""
        printed = self.house.do("alice", "receive", "--json").objects
        return [one for one in printed if one["type"] == kind]

    def check_told(self, message_id: str, to: str, reason: str) -> None:
        """Alice is told of it now, and only now; her history has it as failed, and nothing waits."""
        found: list[dict[str, Any]] = []

        def failed() -> bool:
            found.extend(self.told())
            return bool(found)

        wait_until("the notice", failed)
        self.assertEqual([(one["id"], one["to"], one["reason"]) for one in found], [(message_id, to, reason)])
        self.assertEqual(self.told(), [])
        past = {one["id"]: one["state"] for one in self.house.do("alice", "history", "--json").objects}
        self.assertEqual(past[message_id], "failed")
        self.assertEqual(self.house.do("alice", "outbox", "--json").out, "")


class AcceptedTests(FailedCase):
    """What the server had accepted."""

    def test_a_message_that_was_not_fetched_in_time(self) -> None:
        self.start("mailbox_days = 0.00001")
        self.check_told(self.stored(), BOB, "expired")
        self.assertEqual(self.house.do("bob", "receive", "--json").out, "")

    def test_a_message_to_an_account_that_was_taken_over(self) -> None:
        self.start()
        message_id = self.stored()
        self.house.register("bob-elsewhere", self.link, BOB)
        self.check_told(message_id, BOB, "taken_over")
        shown = self.house.do("bob-elsewhere", "receive", "--json")
        self.assertEqual((shown.status, shown.out), (0, ""))

    def test_a_message_to_an_account_that_was_deleted(self) -> None:
        self.start()
        message_id = self.stored()
        command = [program("e2ee-admin"), "--state-dir", str(self.house.state), "account", BOB, "--delete"]
        subprocess.run(command, env=self.house.environment, capture_output=True, timeout=60, check=True)
        self.check_told(message_id, BOB, "deleted")
        again = self.house.do("alice", "send", BOB, "--json", "-m", "hello", "--id", message_id)
        (sent,) = again.objects
        self.assertEqual((again.status, sent["state"], sent["error"]["code"]), (1, "failed", "failed"))


class NeverAcceptedTests(FailedCase):
    """What the server took at no time."""

    def queued(self, to: str, text: str = "hello") -> str:
        """The id of what is written to somebody while there is no server."""
        done = self.house.do("alice", "send", to, "--json", "-m", text, "--timeout", "1")
        (sent,) = done.objects
        self.assertEqual((done.status, sent["state"]), (UNSENT, "queued"), done.err)
        return str(sent["id"])

    def test_a_message_that_has_waited_for_thirty_days_and_one_that_has_not_quite(self) -> None:
        self.start()
        self.house.stop_server()
        message_id = self.queued(BOB, "too old")
        self.house.set_clients_clock(DAY)
        self.queued(BOB, "not too old")
        self.house.set_clients_clock(30 * DAY + 1)
        self.house.start_server()
        self.check_told(message_id, BOB, "not_accepted")
        received = self.house.do("bob", "receive", "--json").objects
        self.assertEqual([one["text"] for one in received if one["type"] == "message"], ["not too old"])

    def test_who_has_no_connection_is_told_in_words(self) -> None:
        self.start()
        self.house.stop_server()
        message_id = self.queued(BOB)
        self.house.set_clients_clock(30 * DAY + 1)
        told = self.house.do("alice", "receive", "--timeout", "1")
        self.assertEqual(told.status, UNSENT)
        expected = f"the message {message_id} to {BOB} was not delivered: the server did not accept it"
        self.assertIn(expected, told.out)

    def test_a_message_whose_recipients_key_was_not_accepted(self) -> None:
        self.start()
        self.stored()
        self.house.do("bob", "receive")
        self.house.register("bob-elsewhere", self.link, BOB)
        done = self.house.do("alice", "send", BOB, "--json", "-m", "who are you?")
        (sent,) = done.objects
        self.assertEqual((done.status, sent["state"], sent["error"]["code"]), (4, "queued", "key_changed"))
        self.house.set_clients_clock(30 * DAY + 1)
        self.check_told(sent["id"], BOB, "not_accepted")
        self.assertEqual(self.house.do("bob-elsewhere", "receive", "--json").out, "")

    def test_a_message_to_a_number_that_nobody_has(self) -> None:
        self.start()
        self.house.stop_server()
        message_id = self.queued(CAROL)
        self.house.start_server()
        self.check_told(message_id, CAROL, "not_accepted")
        again = self.house.do("alice", "send", CAROL, "--json", "-m", "hello", "--id", message_id)
        (sent,) = again.objects
        self.assertEqual((again.status, sent["state"], sent["error"]["code"]),
                         (1, "failed", "unknown_recipient"))  # fmt: skip
