"""The server's secret is found, and changed, and no kill in between loses the database."""

from __future__ import annotations

import errno
import json
import os
from itertools import count
from pathlib import Path
from unittest import mock

from click.testing import CliRunner, Result
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from e2ee.crypto.passcode_store import derive_code_key, open_code, seal_code
from e2ee.errors import StoreError, StoreLocked, StoreUnavailable
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server import secret_rotation as rotation
from e2ee.server.admin import main
from e2ee.server.configuration import Configuration, configure
from e2ee.server.secret_rotation import find_secret, resealing, rotate_here
from e2ee.server.state_directory import StateDirectory, StateRefused, encode_secret
from e2ee.store.connection import connect
from e2ee.store.server import rekey as store_rekey
from e2ee.store.upgrade import schema_files, upgrade
from tests.server.test_state_directory import StateCase
from tests.store.server.killing import killed_at

NEW = b"n" * 32
SESSION, ALICE, CODE = PasscodeSessionId(b"s" * 16), Address("+15550100101"), "123456"


class SecretCase(StateCase):
    """A database under the secret of the state directory, with a code on its way."""

    def setUp(self) -> None:
        super().setUp()
        self.database = self.path / "server.sqlite3"
        self.secret = self.state.secret(self.database)
        connection = connect(self.database, self.secret)
        upgrade(connection, schema_files("server"))
        sealed = seal_code(derive_code_key(self.secret), SESSION, ALICE, CODE, os.urandom)
        connection.execute(
            "INSERT INTO passcode VALUES (?, ?, ?, 5, 1e9, NULL, 0)", (bytes(SESSION), str(ALICE), sealed)
        )
        connection.close()
        self.events: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            self.events.append(str(event.get("log_format")))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def configuration(self, **options: str) -> Configuration:
        return configure({"state_dir": str(self.path), **options}, {})

    def found(self, **options: str) -> bytes:
        """What a server would start with."""
        return find_secret(self.configuration(**options), self.state, {})

    def code_under(self, secret: bytes) -> str:
        """The code, as a server with this secret would check it."""
        connection = connect(self.database, secret)
        try:
            [(sealed,)] = connection.execute("SELECT sealed_code FROM passcode").fetchall()
        finally:
            connection.close()
        return open_code(derive_code_key(secret), SESSION, ALICE, sealed)

    def copies(self) -> list[str]:
        """What a rekey makes beside the database."""
        return [path.name for path in self.path.glob("*-rekeyed*")]

    def names(self) -> set[str]:
        return {path.name for path in self.path.iterdir() if path.name.startswith("server.secret")}


class FindTests(SecretCase):
    """What a start begins with."""

    def test_the_file_in_the_state_directory_unless_the_configuration_names_another_place(self) -> None:
        self.assertEqual(self.found(), self.secret)
        self.state.write("elsewhere", encode_secret(NEW))
        self.assertEqual(self.found(secret=f"file:{self.path / 'elsewhere'}"), NEW)
        self.assertRaises(StateRefused, self.found, secret="file:/nowhere/at/all")

    def test_no_secret_is_made_where_another_place_is_named(self) -> None:
        empty = StateDirectory(self.path / "empty")
        empty.prepare()
        self.addCleanup(empty.close)
        self.state.write("elsewhere", encode_secret(NEW))
        configuration = self.configuration(secret=f"file:{self.path / 'elsewhere'}")
        self.assertEqual(find_secret(configuration, empty, {}), NEW)
        self.assertFalse(empty.has("server.secret"))

    def test_what_a_killed_rotation_to_another_place_has_left_is_removed(self) -> None:
        self.state.write("elsewhere", encode_secret(self.secret))
        for suffix in ("", "-wal", "-shm", "-journal"):
            (self.path / f"server.sqlite3-rekeyed{suffix}").write_bytes(b"half a copy")
        self.assertEqual(self.found(secret=f"file:{self.path / 'elsewhere'}"), self.secret)
        self.assertEqual(self.copies(), [])
        self.assertEqual(self.code_under(self.secret), CODE)

    def test_two_secrets_of_which_none_opens_it(self) -> None:
        for name in ("server.secret", "server.secret.next"):
            self.state.write(name, encode_secret(name.encode().ljust(32)[:32]))
        self.state.write("server.secret", encode_secret(b"x" * 32))
        error = self.assertRaises(StateRefused, self.found)
        self.assertIn("neither server.secret nor server.secret.next", str(error))
        self.assertEqual(self.names(), {"server.secret", "server.secret.next"})


class RotationTests(SecretCase):
    """In the state directory."""

    def test_the_database_and_the_code_on_its_way_are_under_the_new_one(self) -> None:
        rotate_here(self.state, self.database, NEW)
        self.assertEqual((self.found(), self.code_under(NEW)), (NEW, CODE))
        self.assertRaises(StoreLocked, connect, self.database, self.secret)
        self.assertEqual(self.names(), {"server.secret", "server.secret.old"})
        self.assertEqual(self.state.read("server.secret.old"), encode_secret(self.secret))
        self.assertEqual(self.mode("server.secret.old"), 0o600)
        self.assertEqual(self.events, [])

    def test_the_secret_before_the_last_is_never_lost(self) -> None:
        rotate_here(self.state, self.database, NEW)
        error = self.assertRaises(StateRefused, rotate_here, self.state, self.database, b"o" * 32)
        self.assertIn("move it away first", str(error))
        self.assertEqual(self.code_under(self.found()), CODE)
        self.state.remove("server.secret.old")
        rotate_here(self.state, self.database, b"o" * 32)
        self.assertEqual(self.code_under(b"o" * 32), CODE)

    def test_what_fails_leaves_everything_as_it_was(self) -> None:
        for where, name, error in (
            (rotation, "rekey", StoreUnavailable("no room")),
            (store_rekey, "_put_into_place", StoreError("read-only")),
            (StateDirectory, "write", StateRefused("no room")),
        ):
            with mock.patch.object(where, name, side_effect=error):
                self.assertRaises(type(error), rotate_here, self.state, self.database, NEW)
            self.assertEqual((self.names(), self.copies()), ({"server.secret"}, []))
        self.assertEqual((self.found(), self.code_under(self.secret), self.events), (self.secret, CODE, []))

    def test_without_the_secret_of_the_database_nothing_is_made(self) -> None:
        self.state.write("server.secret", encode_secret(b"x" * 32))
        error = self.assertRaises(StateRefused, rotate_here, self.state, self.database, NEW)
        self.assertIn("server.secret does not open", str(error))
        self.assertEqual(self.names(), {"server.secret"})

    def test_what_was_there_before_stays_where_it_fails_again(self) -> None:
        self.state.write("server.secret.next", encode_secret(NEW))
        self.state.write("server.secret.old", encode_secret(self.secret))
        with mock.patch.object(rotation, "rekey", side_effect=StoreUnavailable("no room")):
            self.assertRaises(StoreUnavailable, rotate_here, self.state, self.database, b"o" * 32)
        self.assertEqual(self.names(), {"server.secret", "server.secret.next", "server.secret.old"})
        self.assertEqual(self.state.read("server.secret.next"), encode_secret(NEW))

    def test_where_it_fails_behind_the_change_the_new_one_stays(self) -> None:
        put = store_rekey._put_into_place

        def and_fail(target: Path, path: Path) -> None:
            put(target, path)
            raise OSError(errno.EIO, "broken")

        with mock.patch.object(store_rekey, "_put_into_place", and_fail):
            self.assertRaises(StoreError, rotate_here, self.state, self.database, NEW)
        self.assertEqual(self.names(), {"server.secret", "server.secret.next", "server.secret.old"})
        self.assertEqual((self.found(), self.code_under(NEW)), (NEW, CODE))

    def test_killed_at_any_step_the_next_start_goes_on_with_the_one_that_opens_it(self) -> None:
        kept = self.database.read_bytes()
        said = set()
        for step in count():
            for name in self.names():
                self.state.remove(name)
            self.state.write("server.secret", encode_secret(self.secret))
            self.database.write_bytes(kept)
            self.events.clear()
            died = self.killed_at(step)
            secret = self.found()
            self.assertIn(secret, (self.secret, NEW))
            self.assertEqual(self.code_under(secret), CODE)
            self.assertEqual(self.found(), secret)
            self.assertNotIn("server.secret.next", self.names())
            self.assertEqual(self.copies(), [])
            said.update(self.events)
            if not died:
                break
        self.assertEqual(len(said), 2, said)
        self.assertTrue(any("under the old one" in each for each in said))
        self.assertTrue(any("under the new one" in each for each in said))

    def test_killed_at_any_step_it_can_be_run_again(self) -> None:
        kept = self.database.read_bytes()
        for step in count():
            for name in self.names():
                self.state.remove(name)
            self.state.write("server.secret", encode_secret(self.secret))
            self.database.write_bytes(kept)
            died = self.killed_at(step)
            if died and self.state.read("server.secret") == encode_secret(self.secret):
                rotate_here(self.state, self.database, b"m" * 32)
            secret = self.found()
            self.assertNotEqual(secret, self.secret)
            self.assertEqual(self.code_under(secret), CODE)
            self.assertEqual(self.names(), {"server.secret", "server.secret.old"})
            if not died:
                break

    def killed_at(self, step: int) -> bool:
        """Rotate up to one of its changes on the disk; whether it came so far."""
        calls = [(StateDirectory, "remove"), (os, "fsync"), (Path, "replace"), (store_rekey, "faults")]
        return killed_at(self, step, calls, lambda: rotate_here(self.state, self.database, NEW))

    def test_a_code_that_does_not_open_is_left_as_it_is(self) -> None:
        self.assertEqual(resealing(self.secret, NEW)(SESSION, ALICE, b"x" * 40), b"x" * 40)


class CommandTests(SecretCase):
    """`e2ee-admin rotate-secret`."""

    def setUp(self) -> None:
        super().setUp()
        self.state.close()

    def run_admin(self, *arguments: str, state: str | None = None) -> Result:
        here = str(self.path) if state is None else state
        result = CliRunner().invoke(main, ["--state-dir", here, "rotate-secret", *arguments])
        self.assertNotIn(self.secret.hex(), result.output)
        return result

    def source(self, name: str, secret: bytes) -> str:
        self.state.write(name, encode_secret(secret))
        return f"file:{self.path / name}"

    def test_in_the_state_directory(self) -> None:
        result = self.run_admin()
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("server.secret.old opens the backups", result.stderr)
        secret = self.found()
        self.assertNotEqual(secret, self.secret)
        self.assertEqual(self.code_under(secret), CODE)
        self.assertNotIn(secret.hex(), result.output)

    def test_to_another_place_and_on_to_a_third(self) -> None:
        there, further = self.source("there", NEW), self.source("further", b"f" * 32)
        first = self.run_admin("--to", there, "--json")
        self.assertEqual((first.exit_code, json.loads(first.stdout)["done"]), (0, True), first.output)
        self.assertEqual(self.code_under(NEW), CODE)
        self.assertEqual(self.found(secret=there), NEW)
        command = f"command:cat {self.path / 'there'}"
        for done in (True, False):
            again = self.run_admin("--from", command, "--to", further, "--json")
            self.assertEqual(
                json.loads(again.stdout),
                {"type": "secret_rotated", "database": str(self.database), "secret": further, "done": done},
            )
        self.assertIn("already", self.run_admin("--from", command, "--to", further).stdout)
        self.assertEqual(self.code_under(b"f" * 32), CODE)

    def test_what_is_refused(self) -> None:
        there, wrong = self.source("there", NEW), self.source("wrong", b"w" * 32)
        for arguments, status, part in (
            (("--from", there), 2, "--from needs --to"),
            (("--to", self.secret.hex()), 2, "never the secret itself"),
            (("--from", wrong, "--to", there), 1, "neither the old nor the new secret opens"),
            (("--to", "file:/nowhere"), 1, "cannot be read"),
            (("--database", "/nowhere/at/all"), 1, "no database"),
        ):
            result = self.run_admin(*arguments)
            self.assertEqual((result.exit_code, result.stderr.count("\n")), (status, 1), result.output)
            self.assertIn(part, result.stderr)
        self.assertEqual(self.code_under(self.secret), CODE)
        missing = self.run_admin(state=str(self.path / "missing"))
        self.assertEqual((missing.exit_code, (self.path / "missing").exists()), (1, False))

    def test_a_server_that_runs_is_left_alone(self) -> None:
        self.state.prepare()
        result = self.run_admin("--json")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("another server is running", json.loads(result.stderr.splitlines()[-1])["message"])
        self.assertEqual(self.code_under(self.secret), CODE)
