"""Long reads, each on a connection and in a thread of its own: copies, surveys, examinations.

Knows how one is begun, interrupted and ended; not what it reads. Neither those who write nor those
who read a row wait for it. What goes wrong with it is its caller's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, DeferredList

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.store.connection import Connection
from e2ee.store.lanes import Lanes

T = TypeVar("T")

ASIDE_AT_ONCE = 4
"""Each costs a thread and a cache of pages."""

Stopped = Callable[[], bool]
"""Whether the database is being closed, for what SQLite itself cannot interrupt."""


class Aside:
    """Runs long reads on connections that `open_connection` gives."""

    def __init__(self, open_connection: Callable[[], Connection], lanes: Lanes) -> None:
        self._open = open_connection
        self._lanes = lanes
        self._running: dict[_LongRead, Deferred[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether one is running: it holds one state of the database, and so the write-ahead log."""
        return bool(self._running)

    async def run(self, operation: Callable[[Connection, Stopped], T]) -> T:
        """Run `operation`, which only reads, on one consistent state of the database.

        Raises StoreUnavailable if too many run or the database is closed meanwhile, StoreError
        with SQLite's reason for what it refuses, and what `operation` raises.
        """
        if len(self._running) >= ASIDE_AT_ONCE:
            raise StoreUnavailable("too many long reads run at the same time")
        read = _LongRead(self._open, operation, self._lanes.deliver)
        ended: Deferred[None] = Deferred()
        self._running[read] = ended
        lane = self._lanes.start("e2ee-aside", read)
        try:
            return cast(T, await read.answer)
        finally:
            lane.stop(lambda: self._ended(read))

    async def stop(self) -> None:
        """Interrupt what runs; returns when it has ended."""
        for read in list(self._running):
            read.interrupt()
        await DeferredList(list(self._running.values()))

    def _ended(self, read: _LongRead) -> None:
        self._running.pop(read).callback(None)


class _LongRead:
    """The worker of one lane. `answer` fires on the reactor's thread."""

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        operation: Callable[[Connection, Stopped], Any],
        deliver: Callable[..., None],
    ) -> None:
        self.answer: Deferred[Any] = Deferred()
        self._open = open_connection
        self._operation = operation
        self._deliver = deliver
        self._lock = Lock()
        self._connection: Connection | None = None
        self._stopped = False

    def begin(self) -> None:
        """All of it."""
        try:
            value = self._run()
        except StoreError as error:
            self._deliver(self.answer.errback, error)
        except Exception as error:
            refusal = StoreUnavailable("it was interrupted") if self._stopped else StoreError(str(error))
            self._deliver(self.answer.errback, refusal)
        else:
            self._deliver(self.answer.callback, value)

    def work(self, batch: list[Any]) -> None:
        """Nothing is ever put."""

    def end(self) -> None:
        """Everything is closed already."""

    def interrupt(self) -> None:
        """Called on the reactor's thread."""
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def _run(self) -> Any:
        connection = self._open()
        try:
            with self._lock:
                self._connection = connection
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            if self._stopped:
                raise StoreUnavailable("the database is closed")
            return self._operation(connection, lambda: self._stopped)
        finally:
            with self._lock:
                self._connection = None
            connection.close()
