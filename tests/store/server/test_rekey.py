"""The database under another key: all of it or nothing of it, whatever is killed."""

from __future__ import annotations

import os
import shutil
import stat
from itertools import count
from pathlib import Path
from typing import Any

from e2ee.errors import StoreError, StoreLocked, StoreUnavailable
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.connection import connect
from e2ee.store.server import rekey as module
from e2ee.store.server.rekey import opens, rekey
from tests.store.contract.fixture import ALICE, BOB, MAILBOX_LIMITS, item, new_account
from tests.store.server.killing import killed_at
from tests.store.server.sql import KEY, OnDatabase

NEW = b"n" * 32


def sealed_anew(session: PasscodeSessionId, address: Address, sealed: bytes) -> bytes:
    return b"anew:" + address.encode() + bytes(session) + sealed


class RekeyTests(OnDatabase):
    """Alice and Bob have accounts, Bob a code on its way, Alice mail."""

    def setUp(self) -> None:
        super().setUp()
        for address in (ALICE, BOB):
            self.register(new_account(address))
        self.session(BOB)
        self.done(self.stores.mailbox(MAILBOX_LIMITS).append([item(ALICE, BOB, 1, 3000)], 1.0))
        self.close()

    def rekey(self, old: bytes = KEY, new: bytes = NEW) -> None:
        rekey(self.path, old, new, sealed_anew)

    def rows(self, key: bytes) -> dict[str, list[Any]]:
        """Everything in it, codes by themselves."""
        connection = connect(self.path, key)
        try:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            names = [name for (name,) in tables.fetchall()]
            found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
            found["version"] = connection.execute("PRAGMA user_version").fetchall()
            return found
        finally:
            connection.close()

    def files(self) -> list[str]:
        return sorted(
            each.name.removeprefix(self.path.name) for each in self.path.parent.glob(f"{self.path.name}*")
            if not each.name.endswith("-reserve")
        )  # fmt: skip

    def test_all_rows_are_under_the_new_key_alone_and_codes_are_sealed_anew(self) -> None:
        before = self.rows(KEY)
        self.path.chmod(0o600)
        self.rekey()
        after = self.rows(NEW)
        self.assertRaises(StoreLocked, connect, self.path, KEY)
        [old_code], [new_code] = before.pop("passcode"), after.pop("passcode")
        self.assertEqual(after, before)
        self.assertEqual(new_code[2], sealed_anew(PasscodeSessionId(old_code[0]), BOB, old_code[2]))
        self.assertEqual((new_code[:2], new_code[3:]), (old_code[:2], old_code[3:]))
        self.assertEqual((self.path.stat().st_mode & 0o777, self.files()), (0o600, [""]))

    def test_the_server_goes_on_with_it(self) -> None:
        self.rekey()
        self.rekey(NEW, KEY)
        self.open()
        self.assertEqual(self.done(self.stores.census.survey()).accounts, 2)

    def test_what_only_the_write_ahead_log_holds_comes_along(self) -> None:
        """A server that was killed has left it; a look with the wrong key takes nothing out of it."""
        folder = Path(self.mktemp())
        folder.mkdir()
        connection = connect(self.path, KEY)
        connection.execute("DELETE FROM mail")
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{self.path}{suffix}", folder / f"killed{suffix}")
        connection.close()
        self.path = folder / "killed"
        self.assertGreater((folder / "killed-wal").stat().st_size, 0)
        self.assertFalse(opens(self.path, NEW))
        self.rekey()
        self.assertEqual((self.rows(NEW)["mail"], len(self.rows(NEW)["account"])), ([], 2))

    def test_the_wrong_old_key_changes_nothing(self) -> None:
        before = self.path.read_bytes()
        self.assertRaises(StoreLocked, self.rekey, b"x" * 32)
        self.assertEqual((self.path.read_bytes(), self.files()), (before, [""]))

    def test_a_database_that_is_open_elsewhere_is_left_alone(self) -> None:
        connection = connect(self.path, KEY)
        self.addCleanup(connection.close)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM account").fetchone()
        other = connect(self.path, KEY)
        other.execute("DELETE FROM mail")
        other.close()
        self.patch(module, "connect", self.impatient)
        self.assertRaises(StoreError, self.rekey)
        self.assertNotIn("-rekeyed", self.files())
        self.assertEqual(len(self.rows(KEY)["account"]), 2)

    def impatient(self, path: Path, key: bytes) -> Any:
        connection = connect(path, key)
        connection.execute("PRAGMA busy_timeout = 1")
        return connection

    def test_without_room_for_it_twice_it_is_as_it_was(self) -> None:
        def small(path: Path, key: bytes) -> Any:
            connection = connect(path, key)
            if path != self.path:
                connection.execute("PRAGMA max_page_count = 3")
            return connection

        self.patch(module, "connect", small)
        self.assertRaises(StoreUnavailable, self.rekey)
        self.assertEqual((self.files(), len(self.rows(KEY)["account"])), ([""], 2))

    def test_a_directory_that_cannot_be_written(self) -> None:
        def refuse(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        self.patch(Path, "replace", refuse)
        error = self.assertRaises(StoreError, self.rekey)
        self.assertIn("Read-only", str(error))
        self.assertEqual((self.files(), len(self.rows(KEY)["account"])), ([""], 2))

    def test_a_damaged_copy_takes_no_place(self) -> None:
        self.patch(module, "faults", lambda connection: ["wrong # of entries in index"])
        self.assertIn("damaged", str(self.assertRaises(StoreError, self.rekey)))
        self.assertEqual((self.files(), len(self.rows(KEY)["account"])), ([""], 2))

    def test_what_another_process_writes_during_the_copy_is_not_lost(self) -> None:
        fill = module._fill

        def and_somebody_writes(*arguments: Any) -> None:
            fill(*arguments)
            other = connect(self.path, KEY)
            self.addCleanup(other.close)
            other.execute("DELETE FROM mail")

        self.patch(module, "_fill", and_somebody_writes)
        self.assertRaises(StoreError, self.rekey)
        self.assertEqual(self.rows(KEY)["mail"], [])

    def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(self) -> None:
        calls: list[str] = []
        fsync, replace = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
            fsync(descriptor)

        def named(path: Path, target: Path) -> Path:
            calls.append("name")
            return replace(path, target)

        self.patch(os, "fsync", synced)
        self.patch(Path, "replace", named)
        self.rekey()
        self.assertEqual(calls, ["content", "name", "folder"])

    def test_killed_at_any_step_it_opens_with_exactly_one_of_the_two_keys(self) -> None:
        """A kill leaves what lies there: so nothing is cleaned up here."""
        pristine = self.path.read_bytes()
        outcomes = []
        for step in count():
            self.path.write_bytes(pristine)
            died = self.killed_at(step)
            outcomes.append((died, opens(self.path, KEY), opens(self.path, NEW)))
            key = KEY if opens(self.path, KEY) else NEW
            self.assertEqual(len(self.rows(key)["account"]), 2)
            if key == KEY:
                self.rekey()
            self.assertEqual((self.files(), len(self.rows(NEW)["mail"])), ([""], 1))
            if not died:
                break
        self.assertIn((True, True, False), outcomes)
        self.assertIn((True, False, True), outcomes)
        self.assertEqual(outcomes[-1], (False, False, True))

    def killed_at(self, step: int) -> bool:
        """Rekey up to one of the calls that change something on the disk; whether it came so far."""
        calls = [(module, "_fill"), (module, "faults"), (os, "open"), (os, "fsync"), (Path, "replace")]
        return killed_at(self, step, calls, self.rekey)
