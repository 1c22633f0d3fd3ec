"""Long reads beside a database: one state, nobody waits, and what goes wrong is theirs alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.store.aside import ASIDE_AT_ONCE
from e2ee.store.connection import Connection
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.stepping import sqlite_error
from tests.store.test_database import KEY, SteppedDatabase, insert, make_table, names

FOR_EVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


class SteppedTests(SteppedDatabase):
    """With lanes that work in the caller's thread."""

    def test_it_reads_one_state_while_others_write(self) -> None:
        self.done(self.database.write(insert("before")))

        def read(connection: Connection, stopped: Callable[[], bool]) -> list[list[str]]:
            first = names(connection)
            self.done(self.database.write(insert("meanwhile")))
            return [first, names(connection)]

        self.assertEqual(self.done(self.database.aside(read)), [["before"], ["before"]])
        self.assertEqual(self.done(self.database.read(names)), ["before", "meanwhile"])

    def test_it_cannot_write(self) -> None:
        def write(connection: Connection, stopped: Callable[[], bool]) -> None:
            insert("never")(connection)

        self.failureResultOf(Deferred.fromCoroutine(self.database.aside(write)), StoreError)
        self.assertEqual(self.done(self.database.read(names)), [])

    def test_a_damaged_page_costs_its_reader_alone(self) -> None:
        def damaged(connection: Connection, stopped: Callable[[], bool]) -> None:
            raise sqlite_error(11, "database disk image is malformed")

        failed = self.failureResultOf(Deferred.fromCoroutine(self.database.aside(damaged)), StoreError)
        self.assertIn("malformed", failed.getErrorMessage())
        self.assertEqual((self.broken, self.done(self.database.write(insert("a")))), ([], "a"))

    def test_the_log_is_emptied_when_it_has_ended(self) -> None:
        """Until then the writer would wait for it in vain."""
        self.done(self.database.write(insert("a")))
        asked: list[str] = []
        self.patch(self.faults, "raise_if_due", asked.append)

        def read(connection: Connection, stopped: Callable[[], bool]) -> None:
            names(connection)
            self.clock.advance(TRUNCATE_SECONDS)
            self.assertFalse([each for each in asked if "checkpoint" in each], "nobody waits")
            self.assertGreater(self.log_size(), 0)

        self.done(self.database.aside(read))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertEqual(self.log_size(), 0)

    def test_a_closed_database_reads_nothing(self) -> None:
        self.done(self.database.close())
        read = self.database.aside(lambda connection, stopped: None)
        self.failureResultOf(Deferred.fromCoroutine(read), StoreError)

    def test_commits_are_counted(self) -> None:
        before = sum(self.database.commits.operations.counts)
        self.together(insert("a"), insert("b"), insert("c"))
        self.assertEqual(sum(self.database.commits.operations.counts), before + 1)
        self.assertEqual(sum(self.database.commits.seconds.counts), before + 1)
        self.faults.add("COMMIT", sqlite_error(13, "database or disk is full"))
        for answer in self.together(insert("d"), insert("e")):
            self.failureResultOf(answer, StoreUnavailable)
        self.assertEqual(self.database.commits.unavailable, 2)


class ThreadedTests(TestCase):
    """With threads, as a server has them."""

    timeout = 300

    async def opened(self) -> Database:
        from pathlib import Path

        made: Any = reactor
        database = await Database.open(Path(self.mktemp()), KEY, "server", made, self.fail)
        await database.write(make_table)
        return database

    async def test_closing_interrupts_what_would_read_for_ever(self) -> None:
        database = await self.opened()
        begun = threading.Event()

        def read(connection: Connection, stopped: Callable[[], bool]) -> Any:
            begun.set()
            return connection.execute(FOR_EVER).fetchone()

        reading = Deferred.fromCoroutine(database.aside(read))
        begun.wait(10)
        self.assertEqual(await database.write(insert("nobody waits for it")), "nobody waits for it")
        await database.close()
        await self.assertFailure(reading, StoreUnavailable)

    async def test_there_is_a_bound(self) -> None:
        database = await self.opened()
        go_on = threading.Event()

        def read(connection: Connection, stopped: Callable[[], bool]) -> bool:
            return go_on.wait(10)

        readings = [Deferred.fromCoroutine(database.aside(read)) for _ in range(ASIDE_AT_ONCE)]
        one_more = Deferred.fromCoroutine(database.aside(read))
        await self.assertFailure(one_more, StoreUnavailable)
        go_on.set()
        for reading in readings:
            self.assertTrue(await reading)
        await database.close()
