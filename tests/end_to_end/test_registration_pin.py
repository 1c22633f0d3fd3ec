"""The registration PIN through real processes: set, asked for, proven, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pexpect
from twisted.trial.unittest import SynchronousTestCase

from examples.stage import PATIENCE_SECONDS, program
from tests.end_to_end.household import ALICE, BOB, Household, Result


class RegistrationPinTests(SynchronousTestCase):
    """Alice has a PIN; somebody who reads her codes has not."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        config = self.house.directory / "server.toml"
        config.write_text("[limits]\ncodes_burst = 0\nguesses_burst = 0\ncodes_per_source = 0\n")
        self.house.server_options = ("--config", str(config))
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.right, self.wrong = self.file("correct horse\n"), self.file("battery staple\n")

    def file(self, content: str) -> Path:
        path = self.house.directory / f"pin {len(content)}"
        path.write_text(content)
        path.chmod(0o600)
        return path

    def take_over(self, profile: str, pin: Path | None = None) -> Result:
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
        given = () if pin is None else ("--pin-file", str(pin))
        return self.house.do(
            profile, "register", self.link, ALICE, "--no-passphrase", "--json",
            "--code-command", codes, *given,
        )  # fmt: skip

    def test_a_code_alone_does_not_take_the_number(self) -> None:
        """Missing and wrong are exit 6; the owner stays logged in; the right one takes over and is kept."""
        done = self.house.do("alice", "pin", "set", "--pin-file", str(self.right))
        self.assertEqual((done.status, done.out), (0, "registration PIN set\n"), done.err)
        missing = self.take_over("mallory")
        self.assertEqual((missing.status, missing.error["code"]), (6, "pin_required"))
        wrong = self.take_over("mallory", self.wrong)
        self.assertEqual((wrong.status, wrong.error["code"]), (6, "wrong_pin"))
        self.assertEqual(self.house.do("alice", "online").status, 0)

        taken = self.take_over("laptop", self.right)
        self.assertEqual(taken.status, 0, taken.err)
        told = self.house.do("alice", "online", "--json")
        self.assertEqual((told.status, told.error["code"]), (6, "logged_out"))
        self.assertEqual(self.take_over("mallory").error["code"], "pin_required")

        removed = self.house.do("laptop", "pin", "remove", "--json")
        self.assertEqual((removed.status, removed.objects), (0, [{"type": "registration_pin", "set": False}]))
        self.assertEqual(self.take_over("phone").status, 0)

    def at_terminal(self, profile: str, *arguments: str) -> pexpect.spawn:
        child = pexpect.spawn(
            program("e2ee"), ["--profile", profile, *arguments],
            env=self.house.environment, encoding="utf-8", timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        self.addCleanup(child.close, force=True)
        return child

    def ended(self, child: pexpect.spawn) -> int | None:
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus  # type: ignore[no-any-return]

    def test_a_person_types_code_and_pin_and_the_open_chat_is_told(self) -> None:
        """Neither is shown; what cannot be a PIN is asked for again; the old device ends with 6."""
        child = self.at_terminal("alice", "pin", "set")
        for typed in ("correct horse", "correct horse"):
            child.expect("PIN: |again: ")
            child.sendline(typed)
        child.expect("registration PIN set")
        self.assertNotIn("horse", child.before)
        self.assertEqual(self.ended(child), 0)
        chat = self.at_terminal("alice", "chat")
        chat.expect("Quit application")

        child = self.at_terminal("phone", "register", self.link, ALICE, "--no-passphrase")
        child.expect("Code sent to")
        child.sendline(json.loads(self.house.codes.read_text().splitlines()[-1])["code"])
        child.expect("Registration PIN")
        child.sendline("123")
        child.expect("4 to 64")
        child.expect("Registration PIN")
        child.sendline("correct horse")
        child.expect("registered")
        self.assertNotIn("horse", child.before)
        self.assertEqual(self.ended(child), 0)
        chat.expect("logged out")
        self.assertEqual(self.ended(chat), 6)

    def test_a_pin_that_is_none_is_usage(self) -> None:
        """Found before a code is asked for, and before the server is."""
        self.assertEqual(self.house.do("alice", "pin", "set").status, 2)
        self.assertEqual(self.house.do("alice", "pin", "set", "--pin-file", str(self.file("123"))).status, 2)
        sent = self.house.codes.read_text()
        self.assertEqual(self.take_over("mallory", self.file("123")).status, 2)
        self.assertEqual(self.house.codes.read_text(), sent)
        self.assertEqual(self.house.do("nobody", "pin", "remove").status, 6)

    def test_the_pin_is_in_no_file_of_the_server_and_other_numbers_need_none(self) -> None:
        self.house.do("alice", "pin", "set", "--pin-file", str(self.right))
        self.house.register("bob", self.link, BOB)
        self.assertEqual(self.house.find_on_disk("correct horse"), [])
        log = (self.house.directory / "server.log").read_text()
        self.assertNotIn("correct horse", log)
