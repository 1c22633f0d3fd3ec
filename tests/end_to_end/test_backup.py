"""A machine is lost and its profile restored: real processes, docs/command-line.md."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import Chat
from tests.end_to_end.household import ALICE, BOB, Household, Result


class LostMachineTests(SynchronousTestCase):
    """Alice has a passphrase and a backup, and writes to Bob after it was made."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.secret, self.wrong = (self.file(name, text) for name, text in (("s", "horse"), ("w", "staple")))
        self.path = str(self.house.directory / "alice.backup")
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
        self.alice("register", self.link, ALICE, "--code-command", codes)
        self.house.register("bob", self.link, BOB)

    def file(self, name: str, text: str) -> str:
        path = self.house.directory / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    def alice(self, *arguments: str, secret: str | None = None, status: int = 0) -> Result:
        done = self.house.do("alice", *arguments, "--json", "--passphrase-file", secret or self.secret)
        self.assertEqual(done.status, status, done.err)
        return done

    def bob(self, *arguments: str) -> Result:
        done = self.house.do("bob", *arguments, "--json")
        self.assertEqual(done.status, 0, done.err)
        return done

    def digits(self) -> str:
        """The safety number, as both see it, and whether both have verified it."""
        seen = [
            self.alice("verify", BOB).objects[0], self.bob("verify", ALICE).objects[0],
        ]  # fmt: skip
        self.assertEqual(seen[0]["digits"], seen[1]["digits"])
        return f"{seen[0]['digits']} {seen[0]['verified']} {seen[1]['verified']}"

    def test_everything_but_what_came_after_the_backup_is_there_again(self) -> None:
        self.alice("contacts", "add", BOB, "bob")
        self.alice("send", "bob", "-m", "one")
        self.bob("receive")
        self.bob("send", ALICE, "-m", "two")
        self.alice("receive")
        code = self.alice("verify", "bob", "--qr").objects[0]["qr"]
        self.alice("verify", "bob", "--confirm", code)
        self.bob("verify", ALICE, "--confirm", code.removeprefix("E2EE1:"))
        before, device = self.digits(), self.alice("status").objects[0]["device"]

        made = self.alice("backup", self.path).objects[0]
        self.assertEqual((made["type"], made["contacts"], made["messages"]), ("backup", 1, 2))
        self.assertEqual(made["bytes"], Path(self.path).stat().st_size)
        self.assertEqual(self.alice("backup", self.path, status=2).error["code"], "usage")
        busy = self.alice("restore", self.path, status=1)
        self.assertEqual(busy.error["code"], "already_registered")

        for number in range(3):
            self.alice("send", "bob", "-m", f"after the backup {number}")
        self.bob("receive")
        self.bob("send", ALICE, "-m", "never read")
        shutil.rmtree(Path(self.house.environment["E2EE_DATA_DIR"]) / "alice")

        self.assertEqual(self.alice("contacts", status=6).error["code"], "not_registered")
        refused = self.alice("restore", self.path, secret=self.wrong, status=1)
        self.assertEqual(refused.error["code"], "passphrase")
        restored = self.alice("restore", self.path).objects[0]
        self.assertEqual(
            (restored["type"], restored["address"], restored["device"], restored["messages"]),
            ("restored", ALICE, device, 2),
        )
        self.assertEqual(self.digits(), before)
        history = [one["text"] for one in self.alice("history").objects]
        self.assertEqual(history, ["one", "two"])
        self.assertEqual([one["name"] for one in self.alice("contacts").objects], ["bob"])

        self.conversations_go_on()

    def conversations_go_on(self) -> None:
        """What was sent to the lost machine comes again, and both can read each other."""
        received = self.alice("receive").objects
        told = [one for one in self.bob("receive").objects if one["type"] != "receipt"]
        self.assertEqual([(one["type"], one["messages"]) for one in told], [("sent_again", 1)])
        self.bob("send", ALICE, "-m", "can you read this?")
        received += self.alice("receive").objects
        messages = [one for one in received if one["type"] == "message"]
        self.assertEqual([(one["text"], one["repeated"]) for one in messages],
                         [("never read", True), ("can you read this?", False)])
        # A text, and the receipt for what was sent after the backup: nobody can tell which is which.
        unreadable = [one["type"] for one in received if one["type"] not in ("message", "receipt")]
        self.assertEqual(unreadable, 2 * ["undecryptable"])
        self.alice("send", "bob", "-m", "yes")
        self.alice("send", "bob", "-m", "every word")
        answers = [one for one in self.bob("receive").objects if one["type"] == "message"]
        self.alice("receive")
        self.assertEqual([(one["text"], one["late"], one["verified"]) for one in answers],
                         [("yes", False, True), ("every word", False, True)])
        self.house.wait_for_empty_mailboxes()

    def test_beside_an_open_chat(self) -> None:
        """Its process seals; the passphrase is needed all the same, and nothing stays behind."""
        self.alice("contacts", "add", BOB, "bob")
        self.alice("send", "bob", "-m", "one")
        device = self.alice("status").objects[0]["device"]
        chat = Chat(self.house, "alice", "bob", "--passphrase-file", self.secret, show=False)
        chat.screen.wait_for("* chat with")
        files = sorted(self.house.client_files("alice"))
        refused = self.alice("backup", self.path, secret=self.wrong, status=1)
        self.assertEqual(refused.error["code"], "passphrase")
        self.assertFalse(Path(self.path).exists())
        made = self.alice("backup", self.path).objects[0]
        self.assertEqual((made["contacts"], made["messages"]), (1, 1))
        self.assertEqual(made["bytes"], Path(self.path).stat().st_size)
        self.assertEqual(sorted(self.house.client_files("alice")), files)
        chat.type("two")
        chat.leave()
        shutil.rmtree(Path(self.house.environment["E2EE_DATA_DIR"]) / "alice")
        self.assertEqual(self.alice("restore", self.path).objects[0]["device"], device)
        past = self.alice("history").objects
        self.assertEqual([one["text"] for one in past if one["type"] == "message"], ["one"])

    def test_damaged_files_leave_an_empty_profile(self) -> None:
        self.alice("backup", self.path)
        content = Path(self.path).read_bytes()
        shutil.rmtree(Path(self.house.environment["E2EE_DATA_DIR"]) / "alice")
        for changed in (content[:-1], content + b"x", content[:100] + b"\0\0" + content[102:], b"no backup"):
            Path(self.path).write_bytes(changed)
            self.assertEqual(self.alice("restore", self.path, status=1).error["code"], "failed")
            self.assertEqual(self.alice("status", status=6).error["code"], "not_registered")
        Path(self.path).write_bytes(content)
        self.house.stop_server()
        offline = self.alice("restore", self.path, "--timeout", "1")
        self.assertEqual(offline.objects[0]["type"], "restored")
        self.assertIn("the server knows nothing of it yet", offline.err)
        self.house.start_server()
        self.assertTrue(self.alice("status").objects[0]["connected"])
        self.bob("send", ALICE, "-m", "hello again")

    def test_a_profile_without_passphrase_needs_one_for_the_file(self) -> None:
        path = str(self.house.directory / "bob.backup")
        self.assertEqual(self.house.do("bob", "backup", path).status, 2)
        self.assertFalse(Path(path).exists())
        self.assertEqual(self.house.do("bob", "backup", path, "--passphrase-file", self.secret).status, 0)
        again = self.house.do("new", "restore", path, "--passphrase-file", self.secret)
        self.assertEqual(again.status, 0, again.err)
        self.assertTrue(again.out.startswith(f"restored {BOB} device "), again.out)
