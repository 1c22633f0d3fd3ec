"""A server for invited people, with real processes: one link, one registration, whoever comes when."""

from __future__ import annotations

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import PATIENCE_SECONDS, program
from tests.end_to_end.household import ALICE, BOB, Household, Result


class InvitedTests(SynchronousTestCase):
    """The server is run with `--registration invite`."""

    options = ("--registration", "invite")

    def setUp(self) -> None:
        self.house = Household(*self.options)
        self.house.__enter__()
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()

    def invite(self, *arguments: str) -> dict[str, Any]:
        return self.admin("invite", *arguments)[0]

    def admin(self, *arguments: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [program("e2ee-admin"), "--state-dir", str(self.house.state), *arguments, "--json"],
            env=self.house.environment, capture_output=True, timeout=PATIENCE_SECONDS, check=True,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def register(self, profile: str, link: str, address: str) -> Result:
        newest = (
            f"grep -F \"$E2EE_ADDRESS\" '{self.house.codes}' | tail -n 1"
            " | sed 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/'"
        )
        return self.house.do(
            profile, "--json", "register", link, address, "--no-passphrase", "--code-command", newest
        )

    def test_one_link_is_one_registration_for_many_at_once_and_across_a_crash(self) -> None:
        refused = self.register("nobody", self.link, ALICE)
        self.assertEqual((refused.status, refused.error["code"]), (1, "invite_refused"))
        link = self.invite("--expires", "1h")["link"]
        self.assertTrue(link.startswith(self.link + "/"))
        numbers = [f"+1555010010{index}" for index in range(1, 4)]
        with ThreadPoolExecutor(len(numbers)) as pool:
            results = list(pool.map(lambda number: self.register(number[1:], link, number), numbers))
        self.assertEqual(sorted(result.status for result in results), [0, 1, 1])
        self.assertEqual({each.error["code"] for each in results if each.status}, {"invite_refused"})

        self.house.stop_server(signal.SIGKILL)
        self.house.start_server()
        late = self.register("late", link, "+15550100109")
        self.assertEqual((late.status, late.error["code"]), (1, "invite_refused"))
        hers = self.invite("--for", "+1 555 010 0109")
        self.assertEqual(hers["address"], "+15550100109")
        self.assertEqual(self.register("other", hers["link"], BOB).status, 1)
        self.assertEqual(self.register("late", hers["link"], "+15550100109").status, 0)
        self.assertEqual(self.house.find_on_disk(hers["link"].rsplit("/", 1)[1]), [])

    def test_one_that_was_given_to_the_wrong_person_is_taken_back(self) -> None:
        hers, his = self.invite("--for", ALICE), self.invite()
        shown = self.admin("invites")
        self.assertEqual(
            {each["id"]: each["address"] for each in shown}, {hers["id"]: ALICE, his["id"]: None}
        )
        self.assertEqual(self.admin("invites", "--revoke", his["id"]), [{"type": "revoked", "id": his["id"]}])
        refused = self.register("bob", his["link"], BOB)
        self.assertEqual((refused.status, refused.error["code"]), (1, "invite_refused"))
        self.assertEqual(self.register("alice", hers["link"], ALICE).status, 0)
        self.assertEqual(self.admin("invites"), [])


class FailingSenderTests(SynchronousTestCase):
    """A code that cannot be sent: a sentence for whoever asks, and one for the operator."""

    def test_both_are_told(self) -> None:
        house = Household()
        command = house.directory / "send-code"
        command.write_text("#!/bin/sh\nexit 3\n")
        command.chmod(0o700)
        house.server_options = ("--otp", f"command:{command}")
        with house:
            link = house.start_server()
            asked = house.do(
                "alice", "--json", "register", link, ALICE, "--no-passphrase", "--code-file", "nothing"
            )
            log = (house.directory / "server.log").read_text()
        self.assertEqual((asked.status, asked.error["code"]), (5, "unavailable"))
        self.assertIn("could not send the passcode", asked.error["message"])
        self.assertEqual(asked.error["retry_after"], 60.0)
        [line] = [line for line in log.splitlines() if "a passcode was not sent" in line]
        self.assertTrue(line.endswith("a passcode was not sent: the code command failed with exit status 3"))
        self.assertNotIn(ALICE, log)
