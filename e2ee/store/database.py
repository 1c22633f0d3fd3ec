"""A database behind threads: one writer with group commit, one reader, nothing on the reactor.

Knows how operations travel to their connection and their outcomes back; knows no tables. An answer
to a write means that it is on disk (COMMIT with fsync). See `docs/protocol.md`, sections 6 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime

from e2ee.errors import StoreBroken, StoreError, StoreLocked, StoreUnavailable
from e2ee.store.aside import Aside, Stopped
from e2ee.store.commit import Joint, Operation, Outcome, Part
from e2ee.store.connection import Connection, connect
from e2ee.store.figures import CommitFigures
from e2ee.store.lanes import Lane, Lanes, ThreadLanes
from e2ee.store.reserve import Reserve
from e2ee.store.upgrade import schema_files, upgrade
from e2ee.store.workers import Call, Reader, Rewrite, TruncateLog, Writer

__all__ = ["Connection", "Database"]

T = TypeVar("T")

WAITING_OPERATIONS = 10_000
"""Operations without an answer; beyond, StoreUnavailable at once instead of a growing queue."""

TRUNCATE_SECONDS = 30.0
"""From the first write to the end of the log that holds it: no trace of deleted rows outlives it."""


class Database:
    """An open database; `Database.open` makes one. All methods are called on the reactor's thread."""

    def __init__(
        self, clock: IReactorTime, lanes: Lanes, on_broken: Callable[[BaseException], None]
    ) -> None:
        self._clock = clock
        self._lanes = lanes
        self._on_broken = on_broken
        self._broken = False
        self._closed = False
        self._waiting = 0
        self._truncation: IDelayedCall | None = None
        self._writer: Lane
        self._reader: Lane | None = None
        self._aside: Aside
        self.commits = CommitFigures()

    @classmethod
    async def open(
        cls,
        path: Path,
        key: bytes,
        schema: str,
        reactor: IReactorTime,
        on_broken: Callable[[BaseException], None],
        *,
        single_connection: bool = False,
        tidy: Callable[[Connection], bool] | None = None,
        reserve_bytes: int = 0,
        lanes: Lanes | None = None,
        connector: Callable[[Path, bytes], Connection] = connect,
    ) -> Database:
        """Open or make the database at `path` and bring it to the newest schema, in its own thread.

        `key` has 32 bytes; `schema` is "server" or "client". `on_broken` is called once, with a
        StoreBroken, when the disk fails: from then on nothing is answered, and the process must end.
        With `single_connection` reads run where writes run. `tidy` is run after writes, before the log
        is emptied: see `Writer`. `reserve_bytes`: see `Reserve`. `lanes` and `connector` are for tests.

        Raises StoreLocked for a wrong key, StoreUnavailable without room, StoreError with a sentence
        for a newer schema or what the file system refuses.
        """
        lanes = lanes or ThreadLanes(cast(IReactorFromThreads, reactor))
        self = cls(reactor, lanes, on_broken)

        log, room = (path.with_name(path.name + suffix) for suffix in ("-wal", "-reserve"))
        reserve = Reserve(room, reserve_bytes, reactor.seconds) if reserve_bytes else None

        def open_writer() -> Connection:
            connection = _open_with_room(lambda: connector(path, key), reserve)
            try:
                upgrade(connection, schema_files(schema))
            except BaseException:
                connection.close()
                raise
            return connection

        self._aside = Aside(lambda: connector(path, key), lanes)
        writer = Writer(open_writer, log, lanes.deliver, self, self.commits, tidy, reserve)
        self._writer = await self._start(f"e2ee-{schema}-writer", writer)
        if not single_connection:
            reader = Reader(lambda: connector(path, key), lanes.deliver, self)
            try:
                self._reader = await self._start(f"e2ee-{schema}-reader", reader)
            except BaseException:
                await self.close()
                raise
        return self

    async def write(
        self, operation: Callable[[Connection], T], *, frees_room: bool = False, traceless: bool = False
    ) -> T:
        """Run `operation` in the writer's thread, inside the batch's transaction; its result once
        it is on disk.

        An exception of the operation undoes what it did, and nothing else of the batch, and is
        raised here. StoreUnavailable: no room on the disk, or too many operations wait; nothing was
        written. It may run twice, so it must change nothing but the database. `frees_room` marks one
        that only removes: it is tried again by itself on a full disk. `traceless` marks one that moves no
        rows, and so leaves nothing to tidy.
        """
        call = Call(Operation(operation, frees_room, traceless), Deferred())
        self._put(self._writer, call)
        return cast(T, await call.answer)

    async def write_with_others(self, joint: Joint, asked: object) -> Any:
        """Like `write`, but all that is `asked` of the same `joint` in one batch is one call of it: its
        result for this one.

        Where something of the batch fails it is called again, for each alone.
        """
        call = Call(Part(joint, asked), Deferred())
        self._put(self._writer, call)
        return await call.answer

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run `operation`, which only reads, on one consistent state of the database.

        It sees every write that has been answered.
        """
        call = Call(Operation(operation, frees_room=True), Deferred(), reads=True)
        self._put(self._reader or self._writer, call)
        return cast(T, await call.answer)

    async def aside(self, operation: Callable[[Connection, Stopped], T]) -> T:
        """Run `operation`, which reads for long, on one consistent state of the database.

        Nobody else waits for it: it has a connection and a thread of its own. Traces of deleted rows
        stay in the write-ahead log until it ends. Raises StoreUnavailable and StoreError.
        """
        if self._closed:
            raise StoreError("the database is closed")
        return await self._aside.run(operation)

    @property
    def waiting(self) -> int:
        """Operations without an answer."""
        return self._waiting

    async def rewrite(self) -> None:
        """Make the file anew from its rows, so that nothing of deleted ones is anywhere in it.

        Takes as long as to copy the file, and room for it twice: StoreUnavailable without.
        """
        item = Rewrite(Deferred())
        self._put(self._writer, item)
        if not await item.answer:
            raise StoreUnavailable("there is no room on the disk to make the database anew")

    async def close(self) -> None:
        """Finish what waits, empty the write-ahead log, end the threads. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._truncation is not None and self._truncation.active():
            self._truncation.cancel()
        await self._aside.stop()
        # The reader first: while its connection is open, it may hold up the last checkpoint.
        for lane in (self._reader, self._writer):
            if lane is not None:
                ended: Deferred[None] = Deferred()
                lane.stop(lambda ended=ended: ended.callback(None))  # type: ignore[misc]
                await ended

    async def _start(self, name: str, worker: Reader | Writer) -> Lane:
        lane = self._lanes.start(name, worker, gathers=isinstance(worker, Writer))
        error = await worker.opened
        if error is not None:
            ended: Deferred[None] = Deferred()
            lane.stop(lambda: ended.callback(None))
            await ended
            raise error
        return lane

    def _put(self, lane: Lane, call: Call | Rewrite) -> None:
        if self._closed:
            raise StoreError("the database is closed")
        if self._broken:
            return
        if self._waiting >= WAITING_OPERATIONS:
            self.commits.unavailable += 1
            raise StoreUnavailable("too many operations wait for the disk")
        self._waiting += 1
        lane.put(call)

    def answered(self, answers: Sequence[tuple[Call, Outcome]]) -> None:
        """For the workers: give each caller its outcome."""
        self._waiting -= len(answers)
        if self._broken:
            return
        if self._truncation is None and not self._closed and any(not call.reads for call, _ in answers):
            self._truncate_later()
        for call, outcome in answers:
            if outcome.error is not None:
                call.answer.errback(outcome.error)
            else:
                call.answer.callback(outcome.value)

    def rewritten(self, item: Rewrite, done: bool) -> None:
        """For the workers: the file was made anew, or could not be now."""
        self._waiting -= 1
        if not self._broken:
            item.answer.callback(done)

    def truncated(self, done: bool) -> None:
        """For the workers: the log is empty, or it has to be tried again."""
        self._truncation = None
        if not done and not self._closed:
            self._truncate_later()

    def _truncate_later(self) -> None:
        self._truncation = self._clock.callLater(TRUNCATE_SECONDS, self._truncate)

    def _truncate(self) -> None:
        """Not now if a long read holds the log: the writer would only wait for it in vain."""
        if self._aside.busy:
            self.truncated(False)
        else:
            self._writer.put(TruncateLog())

    def broke(self, error: StoreBroken) -> None:
        """For the workers: answer nothing from now on, and say so once."""
        if not self._broken:
            self._broken = True
            self._on_broken(error)


def _open_with_room(open_connection: Callable[[], Connection], reserve: Reserve | None) -> Connection:
    """In the reserve's room, if it fails without: the index of the log needs some, and SQLite calls it an I/O
    error where there is none."""
    try:
        return open_connection()
    except StoreLocked:
        raise
    except StoreError:
        if reserve is None or not reserve.lend():
            raise
        return open_connection()
