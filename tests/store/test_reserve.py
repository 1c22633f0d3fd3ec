"""Room that is set aside: who comes to fetch is let in on a disk that is full to the last byte."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreError, StoreLocked, StoreUnavailable
from e2ee.store import connection as connection_module
from e2ee.store.connection import Connection, connect
from e2ee.store.database import Database
from e2ee.store.reserve import STEADY_SECONDS, Reserve
from e2ee.store.stepping import Faults, SteppedLanes, sqlite_error
from tests.logged import logged

SIZE = 64 * 1024
FULL = sqlite_error(13, "database or disk is full")


class Disk:
    """Says whether there is room for a reserve."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.full = False
        self.reason = errno.ENOSPC
        self._allocate = os.posix_fallocate
        case.patch(os, "posix_fallocate", self.allocate)

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        if self.full:
            raise OSError(self.reason, os.strerror(self.reason))
        self._allocate(descriptor, offset, size)


class ReserveTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.disk = Disk(self)
        self.clock = task.Clock()
        self.reserve = Reserve(self.path, SIZE, self.clock.seconds)
        self.said = logged(self)

    def test_it_is_real_room_that_only_its_owner_reads(self) -> None:
        self.assertTrue(self.reserve.keep())
        found = self.path.stat()
        self.assertEqual((found.st_size, found.st_mode & 0o777), (SIZE, 0o600))
        self.assertGreaterEqual(found.st_blocks * 512, SIZE)

    def test_it_survives_a_restart(self) -> None:
        self.reserve.keep()
        self.assertTrue(Reserve(self.path, SIZE, self.clock.seconds).keep())
        self.assertEqual(self.path.stat().st_size, SIZE)

    def test_released_it_is_gone_until_there_is_room(self) -> None:
        self.reserve.keep()
        self.reserve.release()
        self.disk.full = True
        self.assertFalse(self.reserve.keep())
        self.assertFalse(self.path.exists(), "a reserve that is not whole is none")
        self.disk.full = False
        self.assertTrue(self.reserve.keep())

    def test_a_quota_is_a_full_disk(self) -> None:
        self.disk.full, self.disk.reason = True, errno.EDQUOT
        self.assertFalse(self.reserve.keep())
        self.assertFalse(self.reserve.keep())
        self.assertEqual([line[:16] for line in self.said], ["the disk is full"])

    def test_for_another_reason_the_database_does_without_and_that_is_said_once(self) -> None:
        for reason in (errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES, errno.EIO):
            self.said.clear()
            reserve = Reserve(self.path, SIZE, self.clock.seconds)
            self.disk.full, self.disk.reason = True, reason
            for _ in range(3):
                self.assertTrue(reserve.keep())
                self.assertFalse(self.path.exists())
            [line] = self.said
            self.assertIn(os.strerror(reason), line)
            self.assertNotIn("full:", line)
            self.disk.full = False

    def test_a_directory_that_takes_no_file_is_no_full_disk(self) -> None:
        reserve = Reserve(self.path / "nowhere" / "reserve", SIZE, self.clock.seconds)
        self.assertTrue(reserve.keep())
        self.assertTrue(reserve.keep())
        [line] = self.said
        self.assertIn("No such file", line)

    def test_after_a_full_disk_it_is_tried_again(self) -> None:
        self.disk.full, self.disk.reason = True, errno.EIO
        self.assertTrue(self.reserve.keep())
        self.reserve.release()
        self.assertTrue(self.reserve.keep())
        self.reserve.release()
        self.disk.full = False
        self.assertTrue(self.reserve.keep())
        self.assertTrue(self.path.exists())
        self.assertEqual([line[:12] for line in self.said], ["no room can ", "the disk is "])

    def test_that_there_is_room_again_is_said_when_it_has_lasted(self) -> None:
        self.reserve.release()
        for _ in range(3):
            self.clock.advance(STEADY_SECONDS / 4)
            self.assertTrue(self.reserve.keep())
            self.reserve.written()
        self.assertEqual(len(self.said), 1)
        self.clock.advance(STEADY_SECONDS / 4)
        self.assertEqual(len(self.said), 1, "nobody knows before something is written")
        self.reserve.written()
        self.reserve.written()
        self.assertEqual(self.said[1:], ["there is room on the disk again"])

    def test_a_disk_that_is_full_again_and_again_is_told_once(self) -> None:
        for _ in range(100):
            self.clock.advance(STEADY_SECONDS - 0.01)
            self.reserve.written()
            self.reserve.release()
            self.assertTrue(self.reserve.keep())
        self.assertEqual([line[:16] for line in self.said], ["the disk is full"])

    def test_a_disk_that_never_was_full_is_not_told_to_have_room(self) -> None:
        self.reserve.keep()
        self.clock.advance(STEADY_SECONDS)
        self.reserve.written()
        self.assertEqual(self.said, [])

    def test_without_a_reserve_it_is_told_as_well(self) -> None:
        self.disk.full, self.disk.reason = True, errno.EOPNOTSUPP
        self.reserve.release()
        self.clock.advance(STEADY_SECONDS)
        self.assertTrue(self.reserve.keep())
        self.reserve.written()
        self.assertEqual(self.said[-1], "there is room on the disk again")

    def test_what_cannot_be_removed_is_no_reason_to_fail(self) -> None:
        self.reserve.keep()
        with mock.patch.object(Path, "unlink", side_effect=OSError(errno.EROFS, "Read-only file system")):
            self.reserve.release()
        self.assertTrue(any("Read-only file system" in line for line in self.said))

    def test_releasing_nothing_is_no_error(self) -> None:
        self.reserve.release()
        self.reserve.release()

    def test_without_the_system_call_it_is_written(self) -> None:
        delattr(os, "posix_fallocate")
        self.addCleanup(setattr, os, "posix_fallocate", self.disk.allocate)
        self.path.write_bytes(b"x" * 1000)
        self.assertTrue(self.reserve.keep())
        self.assertEqual(self.path.stat().st_size, SIZE)


class GroupCommitTests(SynchronousTestCase):
    """A database with a reserve."""

    def setUp(self) -> None:
        self.disk = Disk(self)
        self.faults = Faults()
        self.path = Path(self.mktemp())
        self.clock = task.Clock()
        self.said = logged(self)
        opening = Deferred.fromCoroutine(Database.open(
            self.path, bytes(32), "server", self.clock, lambda error: None,
            reserve_bytes=SIZE, lanes=SteppedLanes(), connector=self.faults.connector,
        ))  # fmt: skip
        self.database = self.successResultOf(opening)
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.database.close())))

    @property
    def reserved(self) -> bool:
        return self.path.with_name(self.path.name + "-reserve").exists()

    def write(self, name: str, frees_room: bool = False) -> Deferred[Any]:
        def insert(connection: Connection) -> None:
            connection.execute("INSERT INTO fact VALUES (?, x'00')", (name,))

        return Deferred.fromCoroutine(self.database.write(insert, frees_room=frees_room))

    def test_it_is_set_aside_with_the_first_write(self) -> None:
        self.successResultOf(self.write("a"))
        self.assertTrue(self.reserved)

    def test_on_a_full_disk_it_is_given_back_for_what_frees_room(self) -> None:
        self.successResultOf(self.write("a"))
        self.faults.add("COMMIT", FULL)
        self.disk.full = True
        self.successResultOf(self.write("b", frees_room=True))
        self.assertFalse(self.reserved)

    def test_nothing_else_is_written_until_it_is_set_aside_again(self) -> None:
        self.successResultOf(self.write("a"))
        self.faults.add("COMMIT", FULL)
        self.disk.full = True
        self.failureResultOf(self.write("b"), StoreUnavailable)
        self.assertFalse(self.reserved)
        self.failureResultOf(self.write("c"), StoreUnavailable)
        self.successResultOf(self.write("d", frees_room=True))
        self.disk.full = False
        self.successResultOf(self.write("e"))
        self.assertTrue(self.reserved)

    def test_it_is_set_aside_again_before_the_next_write(self) -> None:
        self.successResultOf(self.write("a"))
        self.faults.add("COMMIT", FULL)
        self.failureResultOf(self.write("b"), StoreUnavailable)
        self.assertTrue(self.reserved)

    def test_service_is_back_at_once_and_said_to_be_when_it_has_lasted(self) -> None:
        self.disk.full = True
        self.failureResultOf(self.write("a"), StoreUnavailable)
        self.disk.full = False
        self.successResultOf(self.write("b"))
        self.assertEqual([line[:16] for line in self.said], ["the disk is full"])
        self.clock.advance(STEADY_SECONDS)
        self.successResultOf(self.write("c"))
        self.assertEqual(self.said[1:], ["there is room on the disk again"])

    def test_every_other_batch_refused_is_one_line(self) -> None:
        for number in range(50):
            self.faults.add("COMMIT", FULL)
            self.failureResultOf(self.write(f"refused {number}"), StoreUnavailable)
            self.clock.advance(1)
            self.successResultOf(self.write(f"stored {number}"))
        self.assertEqual([line[:16] for line in self.said], ["the disk is full"])

    def test_what_makes_room_does_not_prove_that_there_is_some(self) -> None:
        self.faults.add("COMMIT", FULL)
        self.failureResultOf(self.write("a"), StoreUnavailable)
        self.clock.advance(STEADY_SECONDS)
        self.successResultOf(self.write("b", frees_room=True))
        self.assertEqual(len(self.said), 1)


class OpeningTests(SynchronousTestCase):
    """A server that was stopped, on a disk that is full when it starts again."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.tries = 0
        self.full = False
        database = self.successResultOf(self.open())

        def insert(connection: Connection) -> None:
            connection.execute("INSERT INTO fact VALUES ('a', x'00')")

        self.successResultOf(Deferred.fromCoroutine(database.write(insert)))
        self.successResultOf(Deferred.fromCoroutine(database.close()))
        self.assertTrue(self.reserved)
        self.tries = 0

    @property
    def reserved(self) -> bool:
        return self.path.with_name(self.path.name + "-reserve").exists()

    def connect(self, path: Path, key: bytes) -> Connection:
        """As on a disk on which there is no room but the reserve's."""
        self.tries += 1
        if self.full and self.reserved:
            raise StoreError("the database cannot be opened: disk I/O error")
        return connect(path, key)

    def open(self, key: bytes = bytes(32), reserve_bytes: int = SIZE) -> Deferred[Database]:
        return Deferred.fromCoroutine(Database.open(
            self.path, key, "server", task.Clock(), lambda error: None,
            reserve_bytes=reserve_bytes, lanes=SteppedLanes(), connector=self.connect,
        ))  # fmt: skip

    def test_the_room_that_was_set_aside_is_enough_to_open_the_database(self) -> None:
        self.full = True
        database = self.successResultOf(self.open())
        self.assertFalse(self.reserved)
        self.successResultOf(Deferred.fromCoroutine(database.close()))

    def test_where_that_does_not_help_the_reason_is_told_after_one_more_try(self) -> None:
        self.patch(OpeningTests, "reserved", True)
        self.full = True
        self.assertIn("disk I/O error", self.failureResultOf(self.open(), StoreError).getErrorMessage())
        self.assertEqual(self.tries, 2)

    def test_without_room_set_aside_there_is_no_other_try(self) -> None:
        self.full = True
        self.failureResultOf(self.open(reserve_bytes=0), StoreError)
        self.path.with_name(self.path.name + "-reserve").unlink()
        self.patch(OpeningTests, "reserved", True)
        self.failureResultOf(self.open(), StoreError)
        self.assertEqual(self.tries, 2)

    def test_a_wrong_key_costs_no_room(self) -> None:
        self.failureResultOf(self.open(b"k" * 32), StoreLocked)
        self.assertEqual((self.tries, self.reserved), (1, True))


class ReasonTests(SynchronousTestCase):
    """SQLite says "disk I/O error" where there is no room for the index of its log."""

    def opened(self, free: int) -> None:
        """As SQLite fails it, with so many blocks of 4 KiB left."""
        path = Path(self.mktemp())
        error = sqlite_error(10, "disk I/O error")
        left = mock.Mock(f_bavail=free, f_frsize=4096)
        with mock.patch.object(os, "statvfs", return_value=left), \
                mock.patch.object(connection_module, "_prepare", side_effect=error):  # fmt: skip
            connect(path, bytes(32))

    def test_a_full_disk_is_called_one(self) -> None:
        error = self.assertRaises(StoreUnavailable, self.opened, 7)
        self.assertIn("no room", str(error))

    def test_an_error_of_a_disk_that_has_room_is_one(self) -> None:
        error = self.assertRaises(StoreError, self.opened, 8)
        self.assertIn("disk I/O error", str(error))
        self.assertNotIsInstance(error, StoreUnavailable)
