"""The database behind threads: what an answer means, who fails with whom, and what stays on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreBroken, StoreError, StoreLocked, StoreUnavailable
from e2ee.store import database as database_module
from e2ee.store import lanes as lanes_module
from e2ee.store.connection import Connection, connect
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.stepping import Faults, SteppedLanes, sqlite_error

T = TypeVar("T")

KEY = bytes(range(32))


def make_table(connection: Connection) -> None:
    connection.execute("CREATE TABLE thing (name TEXT PRIMARY KEY, body BLOB)")


def insert(name: str, body: bytes = b"") -> Any:
    def operation(connection: Connection) -> str:
        connection.execute("INSERT INTO thing VALUES (?, ?)", (name, body))
        return name

    return operation


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM thing ORDER BY name")]


def _room_for(pages: int) -> Any:
    """An operation that leaves the file this many pages to grow by."""

    def operation(connection: Connection) -> None:
        count = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {count + pages}")

    return operation


class SteppedDatabase(SynchronousTestCase):
    """A database without threads, whose batches are put together by the test."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = task.Clock()
        self.lanes = SteppedLanes()
        self.faults = Faults()
        self.broken: list[BaseException] = []
        self.database = self.open()
        self.done(self.database.write(make_table))

    def tearDown(self) -> None:
        self.lanes.automatic = True
        self.done(self.database.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def opening(self, key: bytes = KEY, single_connection: bool = False) -> Deferred[Database]:
        return Deferred.fromCoroutine(
            Database.open(
                self.path,
                key,
                "server",
                self.clock,
                self.broken.append,
                single_connection=single_connection,
                lanes=self.lanes,
                connector=self.faults.connector,
            )
        )

    def open(self) -> Database:
        return self.successResultOf(self.opening())

    def done(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def together(self, *operations: Any) -> list[Deferred[Any]]:
        """All of them in one batch."""
        self.lanes.automatic = False
        answers = [Deferred.fromCoroutine(self.database.write(operation)) for operation in operations]
        for answer in answers:
            self.assertNoResult(answer)
        self.lanes.run()
        self.lanes.automatic = True
        return answers

    def log_size(self) -> int:
        return self.path.with_name(self.path.name + "-wal").stat().st_size

    def test_operations_that_wait_together_are_committed_together(self) -> None:
        commits: list[str] = []
        self.patch(self.faults, "raise_if_due", commits.append)
        answers = self.together(*(insert(str(number)) for number in range(20)))
        self.assertEqual([self.successResultOf(answer) for answer in answers], [str(n) for n in range(20)])
        self.assertEqual(commits.count("COMMIT"), 1)

    def test_a_batch_has_a_bound(self) -> None:
        commits: list[str] = []
        self.patch(self.faults, "raise_if_due", commits.append)
        self.together(*(insert(str(number)) for number in range(lanes_module.BATCH_ITEMS + 1)))
        self.assertEqual(commits.count("COMMIT"), 2)

    def test_many_operations_have_savepoints_only_where_one_fails(self) -> None:
        def fail(connection: Connection) -> None:
            raise KeyError("bad")

        statements: list[str] = []
        self.patch(self.faults, "raise_if_due", statements.append)
        self.together(*(insert(letter) for letter in "abcde"))
        self.assertEqual(statements.count("SAVEPOINT operation"), 0)
        *good, bad = self.together(*(insert(letter) for letter in "fghi"), fail)
        self.failureResultOf(bad, KeyError)
        self.assertEqual([self.successResultOf(each) for each in good], list("fghi"))
        self.assertEqual(statements.count("SAVEPOINT operation"), 5)
        self.assertEqual(statements.count("COMMIT"), 2)
        self.assertEqual(self.done(self.database.read(names)), list("abcdefghi"))

    def test_of_few_operations_none_is_run_twice(self) -> None:
        runs: list[str] = []

        def fail(connection: Connection) -> None:
            runs.append("bad")
            raise KeyError

        *_, bad = self.together(insert("a"), insert("b"), insert("c"), fail)
        self.failureResultOf(bad, KeyError)
        self.assertEqual(runs, ["bad"])

    def test_one_bad_operation_fails_alone_and_undoes_what_it_did(self) -> None:
        def half(connection: Connection) -> None:
            insert("half")(connection)
            raise KeyError("bad")

        good, bad, doubled, last = self.together(insert("a"), half, insert("a"), insert("b"))
        self.assertEqual(self.successResultOf(good), "a")
        self.failureResultOf(bad, KeyError)
        self.assertIn("UNIQUE", self.failureResultOf(doubled).getErrorMessage())
        self.assertEqual(self.successResultOf(last), "b")
        self.assertEqual(self.done(self.database.read(names)), ["a", "b"])

    def joined(self, *asked: str, first: Any = ()) -> list[Deferred[Any]]:
        """All asked of one joint operation, in one batch behind `first`."""
        self.calls: list[list[str]] = []

        def joint(connection: Connection, parts: Sequence[Any]) -> list[str]:
            self.calls.append(list(parts))
            return [insert(part)(connection) for part in parts]

        self.lanes.automatic = False
        waiting = [Deferred.fromCoroutine(self.database.write_with_others(joint, each)) for each in asked]
        waiting += [Deferred.fromCoroutine(self.database.write(operation)) for operation in first]
        self.lanes.run()
        self.lanes.automatic = True
        return waiting

    def test_what_is_asked_of_a_joint_operation_is_asked_together(self) -> None:
        answers = self.joined(*"abcdef", first=[lambda connection: self.calls.append(["removed"])])
        self.assertEqual([self.successResultOf(each) for each in answers[:6]], list("abcdef"))
        self.assertEqual(self.calls, [["removed"], list("abcdef")])

    def test_one_bad_part_of_a_joint_operation_fails_alone(self) -> None:
        *good, doubled = self.joined(*"abcdea")
        self.assertEqual([self.successResultOf(each) for each in good], list("abcde"))
        self.assertIn("UNIQUE", self.failureResultOf(doubled).getErrorMessage())
        self.assertEqual(self.calls, [list("abcdea"), *([letter] for letter in "abcdea")])
        self.assertEqual(self.done(self.database.read(names)), list("abcde"))

    def test_a_full_disk_answers_all_parts_of_a_joint_operation(self) -> None:
        self.faults.add("COMMIT", sqlite_error(13, "database or disk is full"))
        for each in self.joined(*"abcdef"):
            self.failureResultOf(each, StoreUnavailable)
        self.assertEqual(self.done(self.database.read(names)), [])

    def test_a_full_disk_answers_the_whole_batch_unavailable_and_recovers(self) -> None:
        self.done(self.database.write(_room_for(2)))
        small, big = self.together(insert("small"), insert("big", bytes(50_000)))
        self.failureResultOf(small, StoreUnavailable)
        self.failureResultOf(big, StoreUnavailable)
        self.assertEqual(self.done(self.database.read(names)), [])
        self.assertEqual(self.done(self.database.write(insert("small"))), "small")
        self.assertEqual(self.broken, [])

    def test_a_full_disk_at_the_commit_is_no_different(self) -> None:
        self.faults.add("COMMIT", sqlite_error(13, "database or disk is full"))
        for answer in self.together(insert("a"), insert("b")):
            self.failureResultOf(answer, StoreUnavailable)
        self.assertEqual(self.done(self.database.write(insert("a"))), "a")
        self.assertEqual(self.done(self.database.read(names)), ["a"])

    def test_another_process_that_holds_the_lock_makes_it_unavailable(self) -> None:
        self.faults.add("BEGIN IMMEDIATE", sqlite_error(5, "database is locked"))
        (answer,) = self.together(insert("a"))
        self.failureResultOf(answer, StoreUnavailable)

    def test_what_frees_room_goes_on_when_the_disk_is_full(self) -> None:
        def delete(connection: Connection) -> int:
            return connection.execute("DELETE FROM thing WHERE name = 'old'").rowcount

        self.done(self.database.write(insert("old", bytes(50_000))))
        self.done(self.database.write(_room_for(0)))
        self.lanes.automatic = False
        before = Deferred.fromCoroutine(self.database.write(insert("new", bytes(60_000))))
        freeing = Deferred.fromCoroutine(self.database.write(delete, frees_room=True))
        after = Deferred.fromCoroutine(self.database.write(insert("tiny")))
        self.lanes.run()
        self.lanes.automatic = True
        self.failureResultOf(before, StoreUnavailable)
        self.failureResultOf(after, StoreUnavailable)
        self.assertEqual(self.successResultOf(freeing), 1)
        self.assertEqual(self.done(self.database.write(insert("new", bytes(40_000)))), "new")

    def _assert_broken(self, *answers: Deferred[Any]) -> None:
        for answer in answers:
            self.assertNoResult(answer)
        self.assertEqual([type(error) for error in self.broken], [StoreBroken])
        self.assertIn("disk I/O error", str(self.broken[0]))
        self.assertNoResult(Deferred.fromCoroutine(self.database.write(insert("later"))))
        self.assertNoResult(Deferred.fromCoroutine(self.database.read(names)))
        self.assertEqual(len(self.broken), 1)

    def test_after_any_other_failure_of_a_commit_nobody_is_answered(self) -> None:
        self.faults.add("COMMIT", sqlite_error(10, "disk I/O error"))
        self._assert_broken(*self.together(insert("a"), insert("b")))

    def test_an_input_or_output_error_of_a_statement_breaks_the_database(self) -> None:
        self.faults.add("INSERT", sqlite_error(10, "disk I/O error"))
        self._assert_broken(*self.together(insert("a"), insert("b")))

    def test_an_input_or_output_error_of_a_checkpoint_breaks_the_database(self) -> None:
        self.faults.add("PRAGMA wal_checkpoint", sqlite_error(10, "disk I/O error"))
        self.clock.advance(TRUNCATE_SECONDS)
        self._assert_broken()

    def test_an_input_or_output_error_of_a_read_breaks_the_database(self) -> None:
        self.faults.add("SELECT", sqlite_error(10, "disk I/O error"))
        self._assert_broken(Deferred.fromCoroutine(self.database.read(names)))

    def test_a_read_without_room_or_behind_a_lock_is_unavailable(self) -> None:
        # 5: locked; 13: full; 4874: no room for the index of the log
        for code in (5, 13, 4874):
            self.faults.add("SELECT", sqlite_error(code, "not now"))
            self.failureResultOf(Deferred.fromCoroutine(self.database.read(names)), StoreUnavailable)
            self.faults.add("BEGIN", sqlite_error(code, "not now"))
            self.failureResultOf(Deferred.fromCoroutine(self.database.read(names)), StoreUnavailable)
        self.assertEqual(self.broken, [])
        self.assertEqual(self.done(self.database.read(names)), [])

    def test_a_broken_database_can_be_closed(self) -> None:
        self.faults.add("COMMIT", sqlite_error(10, "disk I/O error"))
        self.together(insert("a"))
        self.done(self.database.close())

    def test_a_reader_cannot_write(self) -> None:
        answer = Deferred.fromCoroutine(self.database.read(insert("a")))
        self.assertIn("readonly", self.failureResultOf(answer).getErrorMessage())

    def test_a_reader_sees_one_state_throughout(self) -> None:
        def twice(connection: Connection) -> tuple[list[str], list[str]]:
            first = names(connection)
            self.done(self.database.write(insert("between")))
            return first, names(connection)

        self.assertEqual(self.done(self.database.read(twice)), ([], []))
        self.assertEqual(self.done(self.database.read(names)), ["between"])

    def test_the_error_of_a_read_is_its_callers(self) -> None:
        def bad(connection: Connection) -> None:
            raise KeyError("bad")

        self.failureResultOf(Deferred.fromCoroutine(self.database.read(bad)), KeyError)
        self.assertEqual(self.done(self.database.read(names)), [])

    def test_a_caller_that_goes_away_disturbs_nobody(self) -> None:
        self.lanes.automatic = False
        gone = Deferred.fromCoroutine(self.database.write(insert("gone")))
        here = Deferred.fromCoroutine(self.database.write(insert("here")))
        gone.cancel()
        self.failureResultOf(gone)
        self.lanes.run()
        self.assertEqual(self.successResultOf(here), "here")

    def test_more_operations_than_may_wait_are_unavailable_at_once(self) -> None:
        self.patch(database_module, "WAITING_OPERATIONS", 2)
        self.lanes.automatic = False
        answers = [Deferred.fromCoroutine(self.database.write(insert(str(n)))) for n in range(3)]
        self.failureResultOf(answers[2], StoreUnavailable)
        self.lanes.run()
        self.assertEqual([self.successResultOf(answer) for answer in answers[:2]], ["0", "1"])
        again = Deferred.fromCoroutine(self.database.write(insert("2")))
        self.lanes.run()
        self.assertEqual(self.successResultOf(again), "2")

    def test_with_a_single_connection_reads_run_where_writes_run(self) -> None:
        self.done(self.database.close())
        self.database = self.successResultOf(self.opening(single_connection=True))
        self.done(self.database.write(insert("a")))
        self.assertEqual(self.done(self.database.read(names)), ["a"])

    def test_a_closed_database_says_so_and_may_be_closed_again(self) -> None:
        self.done(self.database.close())
        self.done(self.database.close())
        self.failureResultOf(Deferred.fromCoroutine(self.database.write(insert("a"))), StoreError)

    def test_what_was_written_is_there_after_a_restart(self) -> None:
        self.done(self.database.write(insert("a", b"body")))
        self.done(self.database.close())
        self.database = self.open()
        self.assertEqual(self.done(self.database.read(names)), ["a"])

    def test_the_wrong_key_opens_nothing_and_changes_nothing(self) -> None:
        self.done(self.database.close())
        before = self.path.read_bytes()
        self.failureResultOf(self.opening(key=bytes(32)), StoreLocked)
        self.assertEqual(self.path.read_bytes(), before)
        self.database = self.open()

    def test_a_file_that_is_not_a_database_is_locked(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"not a database, but long enough to look at" * 100)
        self.failureResultOf(self.opening(), StoreLocked)

    def test_a_folder_that_is_not_there_is_a_store_error_with_a_reason(self) -> None:
        self.path = Path(self.mktemp()) / "missing" / "database"
        failure = self.failureResultOf(self.opening(), StoreError)
        self.assertIn("No such file", failure.getErrorMessage())

    def test_a_key_has_32_bytes(self) -> None:
        for length in (31, 33):
            with self.assertRaises(ValueError):
                connect(self.path, bytes(length))

    def test_files_are_private_from_creation_whatever_the_umask(self) -> None:
        for mask in (0, 0o777):
            old = os.umask(mask)
            self.addCleanup(os.umask, old)
            path = Path(self.mktemp())
            connection = connect(path, KEY)
            make_table(connection)
            os.umask(old)
            for suffix in ("", "-wal", "-shm"):
                mode = stat.S_IMODE(path.with_name(path.name + suffix).stat().st_mode)
                self.assertEqual(mode, 0o600, f"{suffix} with umask {mask:o}")
            connection.close()

    def test_a_commit_is_on_the_disk_before_it_is_answered_and_deleted_is_overwritten(self) -> None:
        def pragma(connection: Connection) -> list[object]:
            settings = ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "temp_store")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings]

        full = 2
        self.assertEqual(self.done(self.database.write(pragma)), ["wal", full, 1, 1, 2])

    def test_nothing_on_disk_can_be_read_without_the_key(self) -> None:
        self.done(self.database.write(insert("a name to look for", b"a body to look for")))
        self.done(self.database.write(insert("another", bytes(6_000_000))))
        for path in self.path.parent.iterdir():
            self.assertNotIn(b"to look for", path.read_bytes())
            self.assertNotIn(b"SQLite format", path.read_bytes())

    def test_the_log_is_emptied_within_a_minute_after_a_write(self) -> None:
        self.done(self.database.write(insert("a")))
        self.assertGreater(self.log_size(), 0)
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertLess(TRUNCATE_SECONDS, 60)
        self.assertEqual(self.log_size(), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_log_that_could_not_be_emptied_is_tried_again(self) -> None:
        self.faults.add("PRAGMA wal_checkpoint(TRUNCATE)", sqlite_error(5, "database is locked"))
        self.done(self.database.write(insert("a")))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertGreater(self.log_size(), 0)
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertEqual(self.log_size(), 0)

    def test_a_long_log_is_moved_while_the_database_is_busy(self) -> None:
        for number in range(8):
            self.done(self.database.write(insert(str(number), bytes(2_000_000))))
        self.assertLess(self.log_size(), 8_000_000)

    def test_a_long_log_that_was_moved_is_not_moved_at_each_commit_from_then_on(self) -> None:
        self.done(self.database.write(insert("long", bytes(5_000_000))))
        statements: list[str] = []
        self.patch(self.faults, "raise_if_due", statements.append)
        for number in range(20):
            self.done(self.database.write(insert(str(number))))
        self.assertEqual(statements.count("COMMIT"), 20)
        self.assertEqual([each for each in statements if "wal_checkpoint" in each], [])
        self.assertLess(self.log_size(), 500_000)

    def test_reads_alone_schedule_nothing(self) -> None:
        self.clock.advance(TRUNCATE_SECONDS)
        self.done(self.database.read(names))
        self.assertEqual(self.clock.getDelayedCalls(), [])
