"""Files with real processes: docs/command-line.md, "Files of messages"."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import Chat, program, wait_until
from tests.end_to_end.household import ALICE, BOB, Household
from tests.end_to_end.small_disk import SmallDisk

LONG = ("--timeout", "200")
MIB = 1024 * 1024


class FileTests(SynchronousTestCase):
    """Alice sends, Bob receives."""

    def setUp(self) -> None:
        self.house = Household()
        self.house.__enter__()
        self.addCleanup(self.house.__exit__, None, None, None)
        link = self.house.start_server()
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, link, address)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.kept = self.house.state / "files"

    def made(self, name: str, size: int) -> Path:
        path = self.folder / name
        path.write_bytes(os.urandom(size))
        return path

    def accept(self) -> None:
        self.house.do("bob", "contacts", "add", ALICE, "alice")

    def test_a_file_there_and_only_there(self) -> None:
        self.accept()
        path = self.made("report final.pdf", 3 * MIB + 17)
        sent = self.house.do("alice", "send", BOB, "--file", str(path), "-m", "as promised", "--json", *LONG)
        self.assertEqual(sent.status, 0, sent.err)
        (told,) = sent.objects
        self.assertEqual((told["state"], told["file"]["state"]), ("stored", "uploaded"))
        (upload,) = self.kept.iterdir()
        self.assertEqual(stat.S_IMODE(upload.stat().st_mode), 0o600)
        self.assertNotIn(path.read_bytes()[:64], upload.read_bytes())
        received = self.house.do("bob", "receive", "--json", "--download-dir", str(self.folder), *LONG)
        self.assertEqual((received.status, received.err), (0, ""))
        message, here = received.objects
        self.assertEqual((message["text"], message["file"]["state"]), ("as promised", "fetching"))
        self.assertEqual((here["type"], here["id"], here["file"]["state"]), ("file", told["id"], "saved"))
        saved = Path(here["file"]["path"])
        self.assertEqual((saved.name, saved.parent), ("report final (1).pdf", self.folder))
        self.assertEqual(saved.read_bytes(), path.read_bytes())
        self.assertEqual(list(self.kept.iterdir()), [])
        past = self.house.do("bob", "history", "--json").objects[0]
        self.assertEqual(past["file"]["path"], str(saved))

    def test_a_server_and_a_client_that_are_killed_half_way(self) -> None:
        """The next connection goes on; what comes out is whole."""
        self.accept()
        path = self.made("large", 24 * MIB)
        sending = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "send", BOB, "--file", str(path), "--json", *LONG],
            env=self.house.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(sending.wait)
        self.addCleanup(sending.kill)
        assert sending.stdout is not None
        self.addCleanup(sending.stdout.close)
        wait_until("a part of it", lambda: any(each.stat().st_size > MIB for each in self.files()))
        self.house.stop_server(signal.SIGKILL)
        self.house.start_server()
        before = sum(each.stat().st_size for each in self.files())
        self.assertGreater(before, 0)
        out, _ = sending.communicate(timeout=240)
        self.assertEqual(sending.returncode, 0)
        self.assertIn(b'"state":"stored"', out)
        receiving = subprocess.Popen(
            [program("e2ee"), "--profile", "bob", "receive", *LONG],
            env=self.house.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        downloads = Path(self.house.environment["E2EE_DATA_DIR"]) / "bob" / "downloads"
        wait_until("a part of it", lambda: downloads.exists() and any(
            each.stat().st_size > MIB for each in downloads.glob("*.part")
        ))  # fmt: skip
        receiving.kill()
        receiving.wait()
        received = self.house.do("bob", "receive", "--json", *LONG)
        self.assertEqual(received.status, 0, received.err)
        states = [each["file"]["state"] for each in received.objects if each["type"] == "file"]
        self.assertEqual(states, ["saved"])
        self.assertEqual([each.name for each in downloads.iterdir()], ["large"])
        self.assertEqual((downloads / "large").read_bytes(), path.read_bytes())

    def files(self) -> list[Path]:
        return list(self.kept.iterdir()) if self.kept.exists() else []

    def test_several_files_beside_an_open_chat(self) -> None:
        """The chat holds the vault, reads the files in its place and sends one itself."""
        self.accept()
        one, two = self.made("one", 100), self.made("two", MIB)
        chat = Chat(self.house, "alice", BOB, show=False)
        chat.screen.wait_for("* chat with")
        both = ("--file", str(one), "--file", str(two))
        sent = self.house.do("alice", "send", BOB, *both, "--json", *LONG)
        self.assertEqual([each["file"]["name"] for each in sent.objects], ["one", "two"])
        self.assertEqual(sent.status, 0, sent.err)
        chat.type(f"/file {two}")
        wait_until("the third", lambda: len(self.files()) == 3)
        chat.leave()
        received = self.house.do("bob", "receive", "--json", *LONG)
        states = [each["file"]["state"] for each in received.objects if each["type"] == "file"]
        self.assertEqual(states, ["saved"] * 3)

    def test_a_full_disk_costs_nothing_but_time(self) -> None:
        self.accept()
        folder = self.house.directory / "small"
        disk = SmallDisk(folder, 4)
        self.addCleanup(disk.unmount)
        disk.fill()
        path = self.made("large", 2 * MIB)
        self.assertEqual(self.house.do("alice", "send", BOB, "--file", str(path), *LONG).status, 0)
        there = ("receive", "--json", "--download-dir", str(folder), *LONG)
        _, waits = self.house.do("bob", *there).objects
        self.assertEqual(waits["file"]["state"], "fetching")
        self.assertIn("No space left", waits["file"]["reason"])
        self.assertEqual(len(self.files()), 1)
        disk.make_room()
        (here,) = self.house.do("bob", *there).objects
        self.assertEqual((here["file"]["state"], here["file"]["reason"]), ("saved", None))
        self.assertEqual((folder / "large").read_bytes(), path.read_bytes())
        self.assertEqual([each.name for each in folder.iterdir()], ["large"])
        self.assertEqual(self.files(), [])

    def test_a_program_that_receives_gets_the_file(self) -> None:
        self.accept()
        path = self.made("a", 100)
        self.assertEqual(self.house.do("alice", "send", BOB, "--file", str(path), *LONG).status, 0)
        with subprocess.Popen(
            [program("e2ee"), "--profile", "bob", "rpc"], env=self.house.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as rpc:  # fmt: skip
            self.addCleanup(rpc.kill)
            assert rpc.stdin is not None
            assert rpc.stdout is not None
            seen: list[dict[str, Any]] = []
            while "saved" not in [each["file"]["state"] for each in seen]:
                params = {"wait_first": True, "timeout": 200}
                asked = {"jsonrpc": "2.0", "id": 1, "method": "receive", "params": params}
                print(json.dumps(asked), file=rpc.stdin, flush=True)
                answer = json.loads(rpc.stdout.readline())
                self.assertIn("result", answer)
                seen += answer["result"]
            rpc.stdin.close()
        self.assertEqual([each["type"] for each in seen], ["message", "file"])
        self.assertEqual(Path(seen[1]["file"]["path"]).read_bytes(), path.read_bytes())

    def test_what_is_wrong_is_found_before_anything_is_sent(self) -> None:
        for arguments in (
            ("send", BOB, "--file", "/nothing/here"), ("send", BOB, "--file", str(self.folder)),
            ("send", BOB, ALICE, "--file", str(self.made("x", 1)), "--id", "0" * 32),
            ("receive", "--download-dir", "/nothing/here"),
        ):  # fmt: skip
            found = self.house.do("alice", *arguments, "--json")
            self.assertEqual((found.status, found.error["code"]), (2, "usage"), arguments)
