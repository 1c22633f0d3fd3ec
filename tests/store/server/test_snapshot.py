"""Copies of the server's database: whole, encrypted, and safe to be put back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.errors import StoreError, StoreLocked, StoreUnavailable
from e2ee.store.connection import Connection, connect
from e2ee.store.server import ports
from e2ee.store.server.snapshot import PAGES_AT_ONCE, faults, open_copy, write_snapshot
from tests.store.contract.fixture import ALICE, BOB, MAILBOX_LIMITS, at, item, new_account
from tests.store.server.sql import KEY, OnDatabase


class SnapshotTests(OnDatabase):
    """Bob has keys in stock, one handed out, and a code on its way; something waits for Alice."""

    def setUp(self) -> None:
        super().setUp()
        self.target = self.path.with_name(self.path.name + "-copy")
        self.patch(self.faults, "connector", connect)
        for address in (ALICE, BOB):
            self.register(new_account(address))
        keys = [ports.StoredPreKey(number, b"key %d" % number) for number in (1, 2, 3)]
        self.done(self.stores.prekeys.publish(at(BOB), ports.PreKeyUpload(one_time=keys)))
        self.done(self.stores.prekeys.take(at(BOB), True))
        self.session(BOB)
        self.done(self.stores.mailbox(MAILBOX_LIMITS).append([item(ALICE, BOB, 1, 3000)], 1.0))

    def copy(self, stopped: Callable[[], bool] = lambda: False) -> Deferred[int]:
        def write(connection: Connection, _: Callable[[], bool]) -> int:
            return write_snapshot(
                connect(self.path, KEY), self.target, lambda path: open_copy(path, KEY), stopped
            )

        return Deferred.fromCoroutine(self.database.aside(write))

    def restored(self) -> None:
        """Go on with the copy."""
        self.close()
        self.target.replace(self.path)
        self.open()

    def test_a_copy_is_one_file_of_ours_alone_under_the_same_key(self) -> None:
        size = self.successResultOf(self.copy())
        self.assertEqual((self.target.stat().st_size, self.target.stat().st_mode & 0o777), (size, 0o600))
        beside = [each.name for each in self.target.parent.glob(f"{self.target.name}*")]
        self.assertEqual(beside, [self.target.name])
        self.assertNotIn(ALICE.encode(), self.target.read_bytes())
        self.assertRaises(StoreLocked, connect, self.target, b"x" * 32)

    def test_what_waits_is_in_it_and_what_must_not_be_served_twice_is_not(self) -> None:
        self.successResultOf(self.copy())
        self.restored()
        survey = self.done(self.stores.census.survey())
        self.assertEqual((survey.accounts, survey.waiting, survey.one_time_prekeys), (2, 1, 0))
        taken = self.done(self.stores.prekeys.take(at(BOB), True))
        assert taken is not None
        self.assertIsNone(taken.one_time)
        count = self.done(self.database.read(lambda c: c.execute("SELECT count(*) FROM passcode").fetchone()))
        self.assertEqual(count, (0,))

    def test_a_key_that_was_handed_out_does_not_come_back(self) -> None:
        self.successResultOf(self.copy())
        self.restored()
        again = ports.PreKeyUpload(one_time=[ports.StoredPreKey(1, b"key 1"), ports.StoredPreKey(9, b"new")])
        self.assertEqual(self.done(self.stores.prekeys.publish(at(BOB), again)), ports.Stock(1, 0))

    def test_a_copy_whose_server_ends_leaves_nothing(self) -> None:
        for number in range(2, 3 + PAGES_AT_ONCE // 10):
            self.done(self.stores.mailbox(MAILBOX_LIMITS).append([item(ALICE, BOB, number, 60_000)], 1.0))
        self.failureResultOf(self.copy(lambda: True), StoreUnavailable)
        self.assertFalse(self.target.exists())

    def test_a_copy_that_cannot_be_written_leaves_nothing(self) -> None:
        self.target = self.path.parent / "missing" / "copy"
        self.failureResultOf(self.copy(), StoreError)

    def test_a_sound_database_has_no_faults(self) -> None:
        self.assertEqual(self.done(self.database.aside(lambda connection, _: faults(connection))), [])

    def test_a_changed_byte_is_found(self) -> None:
        self.successResultOf(self.copy())
        content = bytearray(self.target.read_bytes())
        content[4096 * 3 + 100] ^= 1
        self.target.write_bytes(content)
        self.assertTrue(_faults_of(self.target))

    def test_a_reference_to_nothing_is_found(self) -> None:
        self.successResultOf(self.copy())
        damaged = connect(self.target, KEY)
        damaged.execute("PRAGMA foreign_keys = OFF")
        damaged.execute("DELETE FROM account WHERE address = ?", (ALICE,))
        damaged.close()
        [fault] = _faults_of(self.target)
        self.assertIn("device", fault)
        self.assertNotIn(ALICE, fault)


def _faults_of(path: Path) -> list[str]:
    connection: Any = connect(path, KEY)
    try:
        return faults(connection)
    finally:
        connection.close()
