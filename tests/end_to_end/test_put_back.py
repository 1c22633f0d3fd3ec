"""An old copy of a profile, or of the server's state, is put back: real processes, docs/cryptography.md, 6.

What was accepted and what was printed is recorded on both sides: nothing may be lost, and nothing printed
twice that is not marked as repeated.
"""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household

NUMBERS = {"alice": ALICE, "bob": BOB}


class PutBackTests(SynchronousTestCase):
    """Alice and Bob have talked."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.accepted: list[str] = []
        self.shown: list[tuple[str, bool]] = []
        self.failed: list[str] = []
        for profile, number in NUMBERS.items():
            self.house.register(profile, link, number)
        for _ in range(2):
            self.talk("before")

    # --- what people do ---

    def send(self, profile: str, text: str) -> None:
        (to,) = (number for name, number in NUMBERS.items() if name != profile)
        done = self.house.do(profile, "send", to, "--json", "-m", text)
        self.assertEqual(done.status, 0, done.err)
        self.accepted.append(done.objects[0]["id"])

    def receive(self, profile: str) -> list[dict[str, Any]]:
        """All that is printed, recorded; what is neither message nor receipt is returned."""
        done = self.house.do(profile, "receive", "--json")
        self.assertEqual(done.status, 0, done.err)
        texts = [one for one in done.objects if one["type"] == "message"]
        self.shown += [(one["id"], one["repeated"]) for one in texts]
        return [one for one in done.objects if one["type"] not in ("message", "receipt")]

    def settle(self) -> None:
        """The last receipts are fetched, and nothing waits any more."""
        for profile in NUMBERS:
            self.receive(profile)
        self.house.wait_for_empty_mailboxes()

    def talk(self, what: str) -> list[dict[str, Any]]:
        """Each writes, each reads; what else was printed."""
        others = []
        for profile in NUMBERS:
            for number in range(3):
                self.send(profile, f"{what} {number} of {profile}")
        for profile in ("bob", "alice"):
            others += self.receive(profile)
        return others

    def check(self) -> None:
        """Lost: accepted and never printed. Doubled: printed again without a word."""
        lost = set(self.accepted) - {message_id for message_id, _ in self.shown}
        doubled = [one for one, count in Counter(
            message_id for message_id, repeated in self.shown if not repeated
        ).items() if count > 1]  # fmt: skip
        self.assertEqual((len(lost), len(doubled)), (0, 0))

    def vault(self) -> Path:
        return Path(self.house.environment["E2EE_DATA_DIR"]) / "alice" / "vault.sqlite3"

    # --- tests ---

    def test_an_old_copy_of_the_vault(self) -> None:
        copy = self.vault().read_bytes()
        self.talk("in between")
        for number in range(3):
            self.send("alice", f"waits for bob {number}")
        # What a vault that is thrown away has confirmed, and nobody has read in it, is lost with it.
        for number in range(3):
            self.send("bob", f"waits for alice {number}")
        self.vault().write_bytes(copy)
        told = self.receive("alice")
        self.assertEqual([(one["type"], one.get("what")) for one in told][:1], [("put_back", "profile")])
        for _ in range(2):
            self.receive("bob")
            self.receive("alice")
        self.check()
        others = self.talk("afterwards")
        self.assertEqual([one for one in others if one["type"] == "undecryptable"], [])
        self.assertEqual(self.talk("and on"), [])
        self.check()
        self.settle()
        self.assertEqual(self.house.do("alice", "outbox").out, "")

    def test_what_people_read_about_it(self) -> None:
        # With a receipt the text would be confirmed: what a lost vault has confirmed is lost with it.
        (self.vault().parent / "config.toml").write_text("receipts = false\n")
        copy = self.vault().read_bytes()
        self.send("alice", "after the copy")
        self.send("bob", "to be sent again")
        self.receive("alice")
        self.receive("bob")
        self.vault().write_bytes(copy)
        told = self.house.do("alice", "receive").out
        self.assertIn("* this profile goes on from an older copy of itself", told)
        self.assertIn(f"* 1 message to {ALICE} is sent again", self.house.do("bob", "receive").out)
        again = self.house.do("alice", "receive").out
        self.assertIn("repeated]", again)
        self.assertIn("to be sent again", again)

    def test_the_servers_state_from_before(self) -> None:
        copy = self.house.directory / "copy"
        self.house.stop_server()
        shutil.copytree(self.house.state, copy)
        self.house.start_server()
        self.talk("in between")
        for number in range(3):
            self.send("bob", f"waits for alice {number}")
            self.send("alice", f"waits for bob {number}")
        self.house.stop_server()
        shutil.rmtree(self.house.state)
        shutil.copytree(copy, self.house.state)
        self.house.start_server()
        told = [self.receive(profile) for profile in ("alice", "bob")]
        for one in told:
            self.assertEqual([(told["type"], told.get("what")) for told in one][:1], [("put_back", "server")])
        for _ in range(2):
            self.receive("alice")
            self.receive("bob")
        self.check()
        others = self.talk("afterwards")
        self.assertEqual([one for one in others if one["type"] == "undecryptable"], [])
        self.assertEqual(self.talk("and on"), [])
        self.check()
        self.settle()

    def test_a_server_that_was_only_killed_was_not_put_back(self) -> None:
        self.talk("in between")
        self.send("alice", "waits for bob")
        self.house.stop_server(signal.SIGKILL)
        self.house.start_server()
        self.assertEqual(self.talk("afterwards"), [])
        self.check()
