"""The database with its real threads: none of its operations runs on the reactor's."""

from __future__ import annotations

import threading
from pathlib import Path

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from e2ee.errors import StoreLocked
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from tests.store.test_database import KEY, insert, make_table, names


class ThreadedDatabase(TestCase):
    """The same with its real threads."""

    async def open(self, path: Path, single_connection: bool = False) -> Database:
        return await Database.open(
            path, KEY, "server", real_reactor, self.fail, single_connection=single_connection
        )

    async def test_no_operation_runs_on_the_reactors_thread(self) -> None:
        def where(connection: Connection) -> str:
            return threading.current_thread().name

        for single_connection in (False, True):
            database = await self.open(Path(self.mktemp()), single_connection)
            threads = [await database.write(where), await database.read(where)]
            reader = "writer" if single_connection else "reader"
            self.assertEqual(threads, ["e2ee-server-writer", f"e2ee-server-{reader}"])
            await database.close()

    async def test_opening_and_waiting_block_nobody_and_answers_come_on_the_reactors_thread(self) -> None:
        database = await self.open(Path(self.mktemp()))
        await database.write(make_table)
        threads: list[str] = []

        async def one(number: int) -> str:
            name: str = await database.write(insert(f"{number:04}"))
            threads.append(threading.current_thread().name)
            return name

        answers = await gatherResults([Deferred.fromCoroutine(one(number)) for number in range(1200)])
        self.assertEqual(answers, [f"{number:04}" for number in range(1200)])
        self.assertEqual(set(threads), {threading.current_thread().name})
        self.assertEqual(await database.read(names), answers)
        await database.close()

    async def test_closing_finishes_what_waits_and_ends_the_threads(self) -> None:
        path = Path(self.mktemp())
        database = await self.open(path)
        await database.write(make_table)
        last = Deferred.fromCoroutine(database.write(insert("last")))
        await database.close()
        self.assertEqual(self.successResultOf(last), "last")
        self.assertEqual([t.name for t in threading.enumerate() if t.name.startswith("e2ee-")], [])
        self.assertEqual(list(path.parent.glob(path.name + "*")), [path])

    async def test_a_database_that_does_not_open_leaves_no_thread(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 5000)
        with self.assertRaises(StoreLocked):
            await self.open(path)
        self.assertEqual([t.name for t in threading.enumerate() if t.name.startswith("e2ee-")], [])
