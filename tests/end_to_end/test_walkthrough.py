"""The pages for operators, walked through: their commands are run as they stand there.

Knows what the pages assume of a machine, and gives it to them in a directory: systemctl is the test,
/var, /etc, /opt and /srv lie below it, pip finds the present version. Everything else is real.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, CAROL, Household
from tests.server.test_operations import OPERATIONS, UNITS

_FENCE = re.compile(r"^```(sh|ini|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class WalkCase(SynchronousTestCase):
    """An installed server with two people, and an operator who follows a page."""

    people = True

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        folder = self.house.directory
        self.config, self.opt, self.credentials = folder / "server.toml", folder / "opt", folder / "handed"
        self.roots = {
            "/var/lib/e2ee": self.house.state, "/var/backups/e2ee": folder / "backups",
            "/etc/credstore": folder / "credstore", "/etc/e2ee/server.toml": self.config,
            "/opt/e2ee": self.opt, "/srv/keys": folder / "keys",
        }  # fmt: skip
        self.handed_over: dict[str, str] = {}
        self.installed: list[str] = []
        shutil.copy(OPERATIONS / "server.toml", self.config)
        (self.opt / "bin").mkdir(parents=True)
        (folder / "backups").mkdir()
        for name in ("twistd", "e2ee-admin"):
            (self.opt / "bin" / name).symlink_to(program(name))
        python = self.opt / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        pip, make = self.opt / "bin" / "pip", self.opt / "bin" / "make"
        for path in (pip, make):
            path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/installed\n')
        for path in (python, pip, make):
            path.chmod(0o755)
        self.house.server_options = ("--presence", "everyone", "--config", str(self.config))
        self.house.environment["CREDENTIALS_DIRECTORY"] = str(self.credentials)
        self.link = self.house.start_server()
        if self.people:
            for profile, address in (("alice", ALICE), ("bob", BOB)):
                self.house.register(profile, self.link, address)

    # --- a page ---------------------------------------------------------------------------------

    def walk(self, page: str, section: str, first: int = 0, last: int | None = None) -> None:
        """Do what the blocks of a section say, in their order."""
        text = (OPERATIONS / page).read_text("utf-8")
        found = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found is not None, section
        blocks = _FENCE.findall(found.group(1))[first:last]
        self.assertTrue(blocks, section)
        for kind, block in blocks:
            if kind == "sh":
                for script in self.scripts(block):
                    self.run_script(script)
            elif kind == "toml":
                self.config.write_text(self.config.read_text().replace("[limits]", f"{block}\n[limits]"))
            else:
                self.handed_over.update(re.findall(r"^LoadCredential=([^:]+):(.*)$", block, re.MULTILINE))

    def scripts(self, block: str) -> Iterator[str]:
        """What the shell does, and one by one what systemctl does."""
        lines: list[str] = []
        for line in block.splitlines():
            if line.startswith("systemctl "):
                yield "\n".join(lines)
                yield line
                lines = []
            else:
                lines.append(line)
        yield "\n".join(lines)

    def run_script(self, script: str) -> None:
        if script.startswith("systemctl "):
            self.systemctl(*script.split()[1:])
            return
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(script)], capture_output=True, text=True,
            timeout=2400, check=False, cwd=self.house.directory,
            env={**self.house.environment, "PATH": f"{self.opt / 'bin'}:{os.environ['PATH']}"},
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}{done.stderr}")

    def here(self, text: str) -> str:
        for root, place in self.roots.items():
            text = text.replace(root, str(place))
        return text

    def systemctl(self, verb: str, *units: str) -> None:
        for unit in units:
            self.assertTrue((UNITS / unit).exists(), unit)
        if verb in ("stop", "restart"):
            self.assertEqual(self.house.stop_server(), 0)
        if verb in ("start", "restart"):
            shutil.rmtree(self.credentials, ignore_errors=True)
            self.credentials.mkdir()
            for name, path in self.handed_over.items():
                shutil.copy(self.here(path), self.credentials / name)
            self.house.start_server()
        self.assertIn(verb, ("stop", "start", "restart", "daemon-reload"))

    # --- people -----------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        done = self.house.do("alice", "send", BOB, "-m", text)
        self.assertEqual(done.status, 0, done.err)

    def received(self) -> list[str]:
        done = self.house.do("bob", "receive", "--json")
        self.assertEqual(done.status, 0, done.err)
        return [one["text"] for one in done.objects if one["type"] == "message"]

    def opens(self, secret: str, database: Path) -> bool:
        """Whether the database opens with the secret in this file; asked of another program."""
        import sqlcipher3

        connection = sqlcipher3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA cipher_log_level = NONE")
            connection.execute(f"PRAGMA key = \"x'{Path(self.here(secret)).read_text().strip()}'\"")
            connection.execute("SELECT count(*) FROM account").fetchone()
        except sqlcipher3.DatabaseError:
            return False
        finally:
            connection.close()
        return True


class SecretTests(WalkCase):
    """secret.md."""

    def test_out_of_the_state_directory_and_changed_there(self) -> None:
        database = self.house.state / "server.sqlite3"
        self.send("before")
        self.walk("secret.md", "Out of the state directory")
        self.assertEqual(self.received(), ["before"])
        self.send("in between")
        self.assertTrue(self.opens("/etc/credstore/e2ee.secret", database))
        self.assertFalse(self.opens("/var/lib/e2ee/server.secret", database))
        (self.house.state / "server.secret").unlink()
        self.walk("secret.md", "Changing it", first=1)
        self.assertEqual(self.received(), ["in between"])
        self.assertTrue(self.opens("/etc/credstore/e2ee.secret", database))
        self.assertFalse(self.opens("/etc/credstore/e2ee.secret.old", database))
        self.house.register("carol", self.link, CAROL)

    def test_changed_in_the_state_directory(self) -> None:
        old = (self.house.state / "server.secret").read_text()
        self.send("waits")
        self.walk("secret.md", "Changing it", last=1)
        self.assertEqual((self.house.state / "server.secret.old").read_text(), old)
        self.assertNotEqual((self.house.state / "server.secret").read_text(), old)
        self.assertEqual(self.received(), ["waits"])

    def test_killed_in_between_the_next_start_goes_on(self) -> None:
        """At the moments that can be seen from outside; each other one has its test in memory."""
        for sign in ("server.secret.next", "server.sqlite3-rekeyed"):
            self.send(f"before {sign}")
            self.house.stop_server()
            (self.house.state / "server.secret.old").unlink(missing_ok=True)
            rotation = subprocess.Popen(
                [program("e2ee-admin"), "--state-dir", str(self.house.state), "rotate-secret"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.house.environment,
            )  # fmt: skip
            self.kill_at(self.house.state / sign, rotation)
            self.house.start_server()
            self.assertEqual(self.received(), [f"before {sign}"])
            self.assertTrue(self.opens("/var/lib/e2ee/server.secret", self.house.state / "server.sqlite3"))

    def kill_at(self, sign: Path, process: subprocess.Popen[bytes]) -> None:
        """As soon as this file is there, unless it is over already."""
        wait_until(sign.name, lambda: sign.exists() or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.wait()


class WrongSecretTests(WalkCase):
    """What a start says that cannot come about."""

    people = False

    def test_a_server_with_the_wrong_secret_says_so_and_changes_nothing(self) -> None:
        self.house.stop_server()
        database = self.house.state / "server.sqlite3"
        before = database.read_bytes()
        wrong = self.house.directory / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text("ab" * 32)
        done = subprocess.run(
            [*self.house.command(), "--state-dir", str(self.house.state), "--secret", f"file:{wrong}"],
            env=self.house.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("the key does not open the database", done.stderr)
        self.assertIn("if a rotation of the secret was interrupted, repeat it", done.stderr)
        self.assertNotIn("ab" * 32, done.stdout + done.stderr)
        self.assertEqual(database.read_bytes(), before)


class UpgradeTests(WalkCase):
    """upgrade.md."""

    def test_there_and_back(self) -> None:
        self.send("waits over the upgrade")
        self.walk("upgrade.md", "Upgrade")
        installed = (self.house.directory / "installed").read_text()
        self.assertEqual(installed, "install --upgrade .[sms]\ninstall-files\n")
        self.assertEqual(self.received(), ["waits over the upgrade"])
        self.send("after the upgrade")
        self.assertEqual(self.received(), ["after the upgrade"])
        (self.opt / "newer").touch()
        self.walk("upgrade.md", "The way back")
        self.assertFalse((self.opt / "newer").exists())
        self.assertEqual(self.received(), [], "nobody sees a message twice")
        self.send("after the way back")
        self.assertEqual(self.received(), ["after the way back"])


class RestoreTests(WalkCase):
    """backup.md."""

    def back_up(self) -> None:
        command = [program("e2ee-admin"), "--state-dir", str(self.house.state), "backup"]
        backup = self.house.directory / "backups" / "backup.sqlite3"
        subprocess.run([*command, str(backup)], check=True, capture_output=True, timeout=2400)

    def test_on_the_same_machine(self) -> None:
        self.send("waited at the backup")
        self.back_up()
        with (self.house.state / "server.sqlite3").open("r+b") as database:
            database.seek(8192)
            database.write(b"\0" * 8192)
        self.house.stop_server(signal.SIGKILL)
        self.walk("backup.md", "Put it back", last=1)
        self.walk("backup.md", "Put it back", first=2)
        self.assertEqual(self.received(), ["waited at the backup"])

    def test_on_a_new_one_with_the_keys_that_were_kept(self) -> None:
        self.send("waited at the backup")
        self.back_up()
        keys = self.house.directory / "keys"
        keys.mkdir()
        for name in ("server.secret", "server.pem"):
            shutil.copy(self.house.state / name, keys)
        self.house.stop_server()
        shutil.rmtree(self.house.state)
        self.walk("backup.md", "Put it back")
        self.assertEqual(self.received(), ["waited at the backup"])
        self.send("and on")
        self.assertEqual(self.received(), ["and on"])


if shutil.which("bash") is None:
    for _case in (SecretTests, WrongSecretTests, UpgradeTests, RestoreTests):
        _case.skip = "the pages are written for bash"
