"""The database with its real threads: none of its operations runs on the reactor's."""

from __future__ import annotations

import threading
from pathlib import Path

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from e2ee.errors import StoreLocked
from e2ee.store import lanes as lanes_module
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


class _Patient:
    """A worker whose first turn lasts until everything is there."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.turns: list[int] = []

    def begin(self) -> None:
        self.ready.wait(60)

    def work(self, batch: list[object]) -> None:
        self.turns.append(len(batch))

    def end(self) -> None:
        pass


class GatheringLanes(TestCase):
    """A lane whose turns are dear waits for more while much comes."""

    async def pauses(self, items: int, gathers: bool) -> list[float]:
        slept: list[float] = []
        self.patch(lanes_module, "sleep", slept.append)
        worker, ended = _Patient(), Deferred[None]()
        lane = lanes_module.ThreadLanes(real_reactor).start("a lane", worker, gathers=gathers)  # type: ignore[arg-type]
        for number in range(items):
            lane.put(number)
        lane.stop(lambda: ended.callback(None))
        worker.ready.set()
        await ended
        self.assertEqual(sum(worker.turns), items)
        return slept

    async def test_after_a_busy_turn_it_waits_at_most_until_the_time_of_the_next(self) -> None:
        (seconds,) = await self.pauses(lanes_module.BUSY_ITEMS, gathers=True)
        self.assertTrue(0 <= seconds <= lanes_module.TURN_SECONDS)

    async def test_after_a_quiet_turn_or_a_full_one_it_does_not(self) -> None:
        self.assertEqual(await self.pauses(lanes_module.BUSY_ITEMS - 1, gathers=True), [])
        self.assertEqual(await self.pauses(lanes_module.BATCH_ITEMS, gathers=True), [])

    async def test_others_never_wait(self) -> None:
        self.assertEqual(await self.pauses(lanes_module.BUSY_ITEMS, gathers=False), [])
