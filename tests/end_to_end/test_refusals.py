"""What goes wrong, with the exit codes of docs/command-line.md."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, CAROL, Household


class RefusalTests(SynchronousTestCase):
    """One server; Alice is registered."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()

    def register(self, profile: str, address: str, link: str, *options: str, given: str = "") -> int:
        return self.house.do(
            profile, "register", link, address, "--no-passphrase", *options, given=given
        ).status

    def test_registration(self) -> None:
        """Wrong code 6; no source for a code 2; a link without or with a wrong pin 2 and 4; twice 1."""
        self.assertEqual(self.register("a", ALICE, self.link), 2)
        self.assertEqual(self.house.codes.read_text(), "", "no code was asked for")
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
        self.assertEqual(self.register("a", ALICE, self.link, "--code-command", f"{codes} | tr 0-9 1-90"), 6)
        self.assertEqual(self.register("a", ALICE, self.link, "--code-command", codes), 0)
        self.assertEqual(self.register("a", ALICE, self.link, "--code-command", codes), 1)
        host = self.link.rsplit("/", 1)[0]
        self.assertEqual(self.register("b", BOB, host, "--code-command", codes), 2)
        false_pin = f"{host}/sha256:{'A' * 43}"
        refused = self.house.do("b", "register", false_pin, BOB, "--no-passphrase", "--code-command", codes,
                                "--json")
        self.assertEqual((refused.status, refused.error["code"]), (4, "pin_mismatch"))
        self.assertIn("A" * 43, refused.error["message"])
        self.assertIn(self.link.rsplit("/", 1)[1].split(",")[0], refused.error["message"])
        self.assertEqual(self.register("b", "0555 010 0102", self.link, "--code-command", codes), 2)

    def test_sending(self) -> None:
        """Unknown recipient 1, oneself 2, not registered 6, no server 3."""
        self.house.register("alice", self.link, ALICE)
        self.assertEqual(self.house.do("alice", "send", CAROL, "-m", "hello").status, 1)
        self.assertEqual(self.house.do("alice", "send", ALICE, "-m", "hello").status, 2)
        self.assertEqual(self.house.do("nobody", "send", ALICE, "-m", "hello").status, 6)
        self.house.stop_server()
        self.assertEqual(self.house.do("alice", "status", "--timeout", "2").status, 3)


class VaultTests(SynchronousTestCase):
    """What lies on the disk of a client."""

    def test_with_a_passphrase_nothing_can_be_read(self) -> None:
        """No text, number or link in any file; modes 0600; a wrong passphrase is exit 1."""
        house = Household()
        self.addCleanup(house.__exit__)
        link = house.start_server()
        house.register("bob", link, BOB)
        secret, wrong = house.directory / "secret", house.directory / "wrong"
        for path, text in ((secret, "correct horse"), (wrong, "battery staple")):
            path.write_text(text + "\n")
            path.chmod(0o600)
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{house.codes}' | tail -n 1"
        mine = ("--passphrase-file", str(secret))
        done = house.do("alice", "register", link, ALICE, "--code-command", codes, *mine)
        self.assertEqual(done.status, 0, done.err)
        text = "nobody else reads this line"
        self.assertEqual(house.do("alice", "send", BOB, "-m", text, *mine).status, 0)
        files = house.client_files("alice")
        self.assertGreater(len(files), 1)
        for path in files:
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path.name)
            content = path.read_bytes()
            for clear in (text, ALICE, ALICE[1:], BOB[1:], link, str(house.port)):
                self.assertNotIn(clear.encode(), content, path.name)
        refused = house.do("alice", "history", "--json", "--passphrase-file", str(wrong))
        self.assertEqual((refused.status, refused.error["code"]), (1, "passphrase"))
        missing = house.do("alice", "history", "--json")
        self.assertEqual((missing.status, missing.error["code"]), (1, "passphrase"))
        self.assertIn(text, json.loads(house.do("alice", "history", "--json", *mine).out)["text"])
