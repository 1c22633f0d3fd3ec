"""Many commands of one profile at once: docs/command-line.md, "One holder, many commands"."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import PATIENCE_SECONDS, Chat, program, wait_until
from tests.end_to_end.household import ALICE, BOB, Household

LONG = ("--timeout", "240")
"""For many processes at once on a small machine."""


class Follower:
    """`e2ee receive --follow --json`, and what it has printed."""

    def __init__(self, house: Household, profile: str, **environment: str) -> None:
        self.received: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [program("e2ee"), "--profile", profile, "receive", "--follow", "--json"],
            env={**house.environment, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.received.append(json.loads(line))

    def texts(self) -> list[str]:
        return [one["text"] for one in self.received if one["type"] == "message"]

    def wait_for(self, text: str) -> None:
        wait_until(f"{text!r} followed", lambda: text in self.texts())

    def kill(self) -> None:
        """With a signal that cannot be caught."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def end(self) -> int:
        """As a service manager does; its exit status."""
        self.process.terminate()
        status = self.process.wait(PATIENCE_SECONDS)
        self.kill()
        return status


class HolderTests(SynchronousTestCase):
    """One server; Alice has many commands, Bob is on the other side."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def lock(self) -> list[str]:
        """Process and socket of the holder, as far as they are known."""
        path = Path(self.house.environment["E2EE_DATA_DIR"]) / "alice" / "lock"
        return path.read_text().splitlines() if path.exists() else []

    def follow(self, **environment: str) -> Follower:
        """A follower that holds the vault."""
        follower = Follower(self.house, "alice", **environment)
        self.addCleanup(follower.kill)
        held = [str(follower.process.pid)]
        wait_until("the holder's socket", lambda: self.lock()[:1] == held and len(self.lock()) == 2)
        return follower

    def sends(self, texts: Sequence[str]) -> list[subprocess.Popen[str]]:
        """One command for each of these, all at once."""
        commands = []
        for text in texts:
            command = [program("e2ee"), "--profile", "alice", "send", BOB, "-m", text, "--json", *LONG]
            commands.append(
                subprocess.Popen(
                    command, env=self.house.environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
            )
        return commands

    def test_every_verb_works_beside_an_open_chat(self) -> None:
        chat = Chat(self.house, "alice", BOB, show=False)
        chat.screen.wait_for("* chat with")
        self.house.do("bob", "send", ALICE, "-m", "for the chat")
        chat.screen.wait_for("for the chat")
        pin = self.house.directory / "pin"
        pin.write_text("correct horse")
        pin.chmod(0o600)
        for arguments in (
            ("send", BOB, "-m", "from outside"),
            ("receive",),
            ("receive", "--max", "1"),
            ("online",),
            ("contacts",),
            ("contacts", "add", BOB, "bob"),
            ("verify", "bob"),
            ("trust", "bob"),
            ("history", "bob", "--search", "out", "--direction", "out", "--since", "1h", "--limit", "1"),
            ("forget", "--conversation", "bob"),
            ("run", "--to", "bob", "--", "true"),
            ("pin", "set", "--pin-file", str(pin)),
            ("pin", "remove"),
            ("status",),
            ("outbox",),
        ):
            done = self.house.do("alice", *arguments)
            self.assertEqual((done.status, done.err), (0, ""), arguments)
        second = Chat(self.house, "alice", BOB, show=False)
        second.screen.wait_for("* chat with")
        second.type("from the second chat")
        second.leave()
        chat.type("from the chat")
        chat.leave()
        received = [one["text"] for one in self.house.do("bob", "receive", "--json").objects]
        self.assertRegex(received.pop(1), "^true: exit status 0 after ")
        self.assertEqual(received, ["from outside", "from the second chat", "from the chat"])

    def test_fifty_sends_beside_a_chat_and_a_follower(self) -> None:
        """All succeed, nobody sees a lock, each keeps its order, all readers see what is new."""
        # A stranger may have fifty messages waiting; Alice is to have more.
        self.house.do("bob", "contacts", "add", ALICE, "alice")
        self.house.do("bob", "send", ALICE, "-m", "write as much as you like")
        self.house.do("alice", "receive")
        chat = Chat(self.house, "alice", BOB, show=False)
        chat.screen.wait_for("* chat with")
        follower = Follower(self.house, "alice")
        self.addCleanup(follower.kill)
        texts = [f"cron {number}" for number in range(50)]
        commands = self.sends(texts)
        for number in range(10):
            chat.type(f"typed {number}")
        for command in commands:
            out, errors = command.communicate()
            self.assertEqual((command.returncode, errors), (0, ""))
            self.assertIn(json.loads(out)["state"], ("stored", "delivered"))
        self.house.do("bob", "send", ALICE, "-m", "to all who read")
        chat.screen.wait_for("to all who read")
        follower.wait_for("to all who read")
        chat.leave()
        self.house.do("bob", "send", ALICE, "-m", "to the one who is left")
        follower.wait_for("to the one who is left")
        self.assertEqual(follower.end(), 0)
        received = self.house.do("bob", "receive", "--json").objects
        found = [one["text"] for one in received if one["type"] == "message"]
        self.assertEqual(sorted(found), sorted([*texts, *(f"typed {number}" for number in range(10))]))
        typed = [text for text in found if text.startswith("typed")]
        self.assertEqual(typed, [f"typed {number}" for number in range(10)])

    def test_fifty_sends_with_the_holder_killed_in_the_middle(self) -> None:
        """Each message once: whoever waits goes on with the next holder, under the same id."""
        follower = self.follow()
        texts = [f"text {number}" for number in range(50)]
        commands = self.sends(texts)
        wait_until_some(commands, 10)
        follower.kill()
        statuses = []
        for command in commands:
            _, errors = command.communicate()
            statuses.append((command.returncode, errors))
        self.assertEqual(set(statuses), {(0, "")})
        self.assertEqual(self.house.do("alice", "outbox").out, "")
        found = [one["text"] for one in self.house.do("bob", "receive", "--json").objects]
        self.assertEqual(sorted(found), sorted(texts))

    def test_a_stopped_holder_is_named_and_a_killed_one_succeeded(self) -> None:
        follower = self.follow()
        pid, place = self.lock()
        os.kill(follower.process.pid, signal.SIGSTOP)
        busy = self.house.do("alice", "contacts", "--timeout", "1", "--json")
        self.assertEqual((busy.status, busy.error["code"]), (8, "profile_busy"))
        self.assertIn(f"process {pid}", busy.error["message"])
        follower.kill()
        self.assertTrue(Path(place).exists(), "nobody has tidied up")
        done = self.house.do("alice", "send", BOB, "-m", "goes on")
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertFalse(Path(place).exists())

    def test_a_command_without_the_holders_environment_finds_him(self) -> None:
        """cron knows no runtime directory."""
        runtime = self.house.directory / "run"
        runtime.mkdir(mode=0o700)
        follower = self.follow(XDG_RUNTIME_DIR=str(runtime))
        self.assertTrue(self.lock()[1].startswith(str(runtime)))
        self.assertEqual(self.house.do("alice", "contacts", XDG_RUNTIME_DIR="").status, 0)
        self.assertEqual(follower.end(), 0)
        self.assertEqual(list((runtime / "e2ee").iterdir()), [])

    def test_through_a_holder_no_passphrase_is_asked_for(self) -> None:
        secret = self.house.directory / "secret"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
        mine = ("--passphrase-file", str(secret))
        self.house.do("carol", "register", self.link, "+15550100103", "--code-command", codes, *mine)
        chat = Chat(self.house, "carol", *mine, show=False)
        chat.screen.wait_for("--- MENU ---")
        self.assertEqual(self.house.do("carol", "send", BOB, "-m", "hello").status, 0)
        chat.leave()
        alone = self.house.do("carol", "history", "--json")
        self.assertEqual((alone.status, alone.error["code"]), (1, "passphrase"))


def wait_until_some(commands: Sequence[subprocess.Popen[str]], count: int) -> None:
    """Until so many of them have ended; fifty processes take their time to start."""
    for _ in range(8):
        try:
            wait_until(
                f"{count} commands", lambda: sum(one.poll() is not None for one in commands) >= count
            )
            return
        except Exception:
            continue
    raise AssertionError("the commands do not end")
