"""What an operator does with a real server while people use it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from certs.make_certs import main
from e2ee.net.connect_link import ConnectLink, format_pin
from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, CAROL, Household, Result


class OperatorResult(Result):
    """What `e2ee-admin` prints is for operators: the schema of the client does not describe it."""

    def check(self, printed: dict[str, Any]) -> None:
        """Nothing."""


class OperatorCase(SynchronousTestCase):
    """Alice and Bob, and somebody who looks after the server."""

    options: tuple[str, ...] = ("--presence", "everyone")

    def setUp(self) -> None:
        self.house = Household(*self.options)
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, self.link, address)

    def admin(self, *arguments: str) -> OperatorResult:
        command = [program("e2ee-admin"), "--state-dir", str(self.house.state), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        self.assertNotIn("Traceback", done.stderr)
        return OperatorResult(done.returncode, done.stdout, done.stderr)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.admin("status", "--json").out)
        return found

    def log(self) -> str:
        return (self.house.directory / "server.log").read_text()

    def reload(self) -> None:
        count = self.log().count("reloaded")
        self.house.signal_server(signal.SIGHUP)
        wait_until("a reload", lambda: self.log().count("reloaded") > count)

    def sent(self, sender: str, to: str, text: str) -> None:
        done = self.house.do(sender, "send", to, "-m", text)
        self.assertEqual(done.status, 0, done.err)

    def received(self, profile: str) -> list[str]:
        done = self.house.do(profile, "receive", "--json")
        self.assertEqual(done.status, 0, done.err)
        return [one["text"] for one in done.objects if one["type"] == "message"]


class RotationTests(OperatorCase):
    """The key changes under people's feet."""

    def test_nobody_notices_a_rotation_and_after_two_missed_ones_a_client_refuses(self) -> None:
        """Alice is connected at the first one, Bob away; then both are away at two more."""
        house = self.house
        follow = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "receive", "--follow"], env=house.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(follow.communicate)
        self.addCleanup(follow.kill)
        wait_until("Alice", lambda: self.status()["devices"] == 1)
        safe = house.directory / "safe.pem"
        (house.state / "backup-key.pem").rename(safe)
        refused = self.admin("rotate-certificate", "--json")
        self.assertEqual((refused.status, refused.error["code"]), (1, "failed"))
        rotated = self.admin("rotate-certificate", "--backup-key", str(safe))
        self.assertEqual(rotated.status, 0, rotated.err)
        before, after = ConnectLink.parse(self.link), ConnectLink.parse(rotated.out.strip())
        self.assertEqual(after.pins[0], before.pins[1])
        self.assertNotIn(after.pins[1], before.pins)
        self.assertEqual((house.state / "connect-link").read_text().strip(), str(after))
        self.assertEqual(self.status()["devices"], 1, "nobody was disconnected")

        self.sent("bob", ALICE, "after the rotation")
        assert follow.stdout is not None
        self.assertIn("after the rotation", follow.stdout.readline())
        follow.kill()
        self.assertEqual(house.do("bob", "status", "--json").objects[0]["pin"], format_pin(after.pins[0]))

        early = self.admin("rotate-certificate")
        self.assertEqual(early.status, 1, "Alice has not connected since")
        self.sent("alice", BOB, "now she has")
        self.assertEqual(self.admin("rotate-certificate").status, 0)
        self.sent("bob", ALICE, "and again")
        self.assertEqual(self.admin("rotate-certificate", "--force").status, 0)
        lost = house.do("alice", "receive", "--json")
        self.assertEqual((lost.status, lost.error["code"]), (4, "pin_mismatch"))
        self.assertEqual(self.received("bob"), ["now she has"])

        house.stop_server()
        house.start_server()
        self.assertEqual(house.do("bob", "status").status, 0)


class BackupTests(OperatorCase):
    """As docs/operations/backup.md says."""

    def test_a_backup_of_a_running_server_is_put_back(self) -> None:
        house, copy = self.house, self.house.directory / "backup.sqlite3"
        self.sent("alice", BOB, "before the backup")
        made = self.admin("backup", str(copy), "--json")
        self.assertEqual(made.status, 0, made.err)
        answer = json.loads(made.out)
        self.assertEqual((answer["bytes"], copy.stat().st_mode & 0o777), (copy.stat().st_size, 0o600))
        self.assertEqual(answer["keep"][0], str(house.state / "server.secret"))
        self.assertEqual(self.admin("backup", str(copy)).status, 2, "it replaces no file")
        self.assertFalse([path for path in house.state.iterdir() if path.name.startswith(".")])
        for name in ("before the backup", ALICE, BOB):
            self.assertNotIn(name.encode(), copy.read_bytes())
        self.assertEqual(self.received("bob"), ["before the backup"])
        self.sent("alice", BOB, "after the backup, fetched")
        self.assertEqual(self.received("bob"), ["after the backup, fetched"])

        house.stop_server()
        for path in house.state.glob("server.sqlite3*"):
            path.unlink()
        shutil.copyfile(copy, house.state / "server.sqlite3")
        (house.state / "server.sqlite3").chmod(0o600)
        house.start_server()
        self.assertEqual((self.status()["waiting"], self.status()["without_prekeys"]), (1, 2))
        self.assertEqual(self.received("bob"), [], "nobody sees a message twice")
        self.sent("alice", BOB, "after the restore")
        self.assertEqual(self.received("bob"), ["after the restore"])
        self.sent("bob", ALICE, "and back")
        self.assertEqual(self.received("alice"), ["and back"])
        self.house.register("carol", (house.state / "connect-link").read_text().strip(), CAROL)
        self.sent("carol", BOB, "a first message")
        self.assertEqual(self.received("bob"), ["a first message"])
        self.assertEqual(self.admin("check").status, 0)


class AccountTests(OperatorCase):
    """Deletion and log-out reach people and devices."""

    def test_log_out_and_deletion(self) -> None:
        self.sent("alice", BOB, "never read")
        self.assertEqual(self.admin("account", BOB, "--log-out").status, 0)
        self.assertEqual(self.house.do("bob", "receive").status, 6)
        self.assertEqual(self.admin("account", "+1 555 010-0102", "--delete", "--json").objects,
                         [{"type": "deleted", "address": BOB}])  # fmt: skip
        self.assertEqual(self.admin("account", BOB, "--delete").status, 1)
        told = self.house.do("alice", "receive", "--json")
        self.assertIn("deleted", [one.get("reason") for one in told.objects], told.out + told.err)
        self.assertEqual([one["address"] for one in self.admin("accounts", "--json").objects], [ALICE])
        for line in (self.admin("accounts").out, self.log()):
            self.assertNotIn("never read", line)
        self.assertNotIn(BOB, self.log())

        self.assertEqual(self.admin("account", ALICE).status, 2)
        self.assertEqual(self.admin("account", "Alice", "--delete").status, 2)
        self.assertEqual(self.admin("backup", "/nowhere/at/all").status, 2)
        self.assertEqual(self.admin("rotate-certificate", "--backup-key", "/nowhere").status, 2)


class ReloadTests(OperatorCase):
    """SIGHUP, with a certificate of an authority; and the metrics."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.make_certs("ca", "--name", "Our company")
        self.make_certs("server", "--host", "localhost")
        self.config = self.folder / "config.toml"
        self.config.write_text("[limits]\nmailbox_messages = 1\n")
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.options = (
            "--presence", "everyone", "--config", str(self.config), "--log-format", "json",
            "--metrics", f"tcp:{self.port}:interface=127.0.0.1",
            "--certificate", str(self.folder / "server-certificate.pem"),
            "--private-key", str(self.folder / "server-key.pem"),
        )  # fmt: skip
        super().setUp()

    def make_certs(self, command: str, *options: str) -> None:
        said: list[str] = []
        status = main([command, str(self.folder), *options], datetime.now(UTC), said.append)
        self.assertEqual(status, 0, said)

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def metric(self, name: str) -> float:
        lines = self.page("/metrics")[1].splitlines()
        return float(next(line.rsplit(" ", 1)[1] for line in lines if line.startswith(name + " ")))

    def test_limits_certificate_and_link_without_dropping_anybody(self) -> None:
        self.sent("alice", BOB, "fits")
        full = self.house.do("alice", "send", BOB, "-m", "does not fit", "--json", "--timeout", "20")
        self.assertEqual(full.objects[0]["error"]["code"], "mailbox_full")
        self.look_at_the_metrics()

        link = (self.house.state / "connect-link").read_text()
        self.config.write_text("[limits]\nnonsense = 1\n")
        self.house.signal_server(signal.SIGHUP)
        wait_until("a refusal", lambda: "not reloaded" in self.log())
        self.assertEqual((self.house.state / "connect-link").read_text(), link)

        self.config.write_text('host = ["localhost", "chat.example.org"]\n')
        self.make_certs("renew", "--host", "localhost", "--host", "chat.example.org")
        self.reload()
        self.sent("alice", BOB, "fits as well")
        self.assertEqual(self.received("bob"), ["fits", "does not fit", "fits as well"])

        refused = self.admin("rotate-certificate")
        self.assertEqual(refused.status, 1)
        self.assertIn("have one issued", refused.err)
        backup = self.house.state / "backup-key.pem"
        self.make_certs("server", "--host", "localhost", "--key", str(backup))
        rotated = self.admin("rotate-certificate")
        self.assertEqual(rotated.status, 0, rotated.err)
        pins = ConnectLink.parse(self.link).pins
        self.assertEqual(ConnectLink.parse(rotated.out.strip()).pins[0], pins[1])
        self.assertEqual(self.house.do("bob", "status", "--json").objects[0]["pin"], format_pin(pins[1]))

    def look_at_the_metrics(self) -> None:
        self.assertEqual(self.metric('e2ee_messages_total{outcome="stored"}'), 1)
        self.assertGreaterEqual(self.metric('e2ee_limits_hit_total{limit="mailbox"}'), 1)
        self.assertEqual(self.metric("e2ee_accounts"), 2)
        self.assertEqual(self.page("/health")[0], 200)
        self.assertEqual(self.page("/else")[0], 404)
        shown = self.page("/metrics")[1] + self.log()
        for clear in (ALICE, BOB, ALICE[1:], "fits"):
            self.assertNotIn(clear, shown)
        for line in self.log().splitlines():
            self.assertIn("message", json.loads(line))


class SenderTests(SynchronousTestCase):
    """The way of passcodes changes while people use the server."""

    def is_in_log(self, house: Household, part: str) -> bool:
        return part in (house.directory / "server.log").read_text()

    def test_another_sender_after_a_reload(self) -> None:
        house = Household()
        self.addCleanup(house.__exit__)
        config, other = house.directory / "config.toml", house.directory / "other-codes"
        config.write_text(f'otp = "file:{house.codes}"\n')
        # An empty option is none: what the stage gives stands in the file here.
        house.server_options = ("--config", str(config), "--otp", "")
        link = house.start_server()
        house.register("alice", link, ALICE)
        for otp, said in ((f"smtp://{ALICE}", "not reloaded"), (f"file:{other}", "configuration and cert")):
            config.write_text(f'otp = "{otp}"\n')
            house.signal_server(signal.SIGHUP)
            wait_until(said, partial(self.is_in_log, house, said))
        before = house.codes.read_text()
        newest = f"tail -n 1 '{other}' | sed 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/'"
        done = house.do("bob", "register", link, BOB, "--no-passphrase", "--code-command", newest)
        self.assertEqual(done.status, 0, done.err)
        self.assertEqual(house.codes.read_text(), before)
        self.assertIn(BOB, other.read_text())
        self.assertNotIn(BOB, (house.directory / "server.log").read_text())
