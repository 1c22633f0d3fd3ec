"""Lanes without threads, and faults on demand: databases for tests that go step by step.

Knows lanes and connections; production code never imports it. With `SteppedLanes()` every operation
runs inside the call that asked for it; with `automatic=False` batches wait for `step()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2

from e2ee.store.connection import Connection, Cursor, Parameters, connect
from e2ee.store.lanes import BATCH_ITEMS, Lane, Worker


class SteppedLanes:
    """Lanes that work in the caller's thread: at once, or when stepped."""

    def __init__(self, automatic: bool = True) -> None:
        self.automatic = automatic
        self._lanes: list[_SteppedLane] = []

    def start(self, name: str, worker: Worker, *, gathers: bool = False) -> Lane:
        """A lane of this name; its worker has begun. It never waits for more."""
        lane = _SteppedLane(self, worker)
        self._lanes.append(lane)
        worker.begin()
        return lane

    def deliver(self, call: Callable[..., object], *args: object) -> None:
        """At once: there is one thread."""
        call(*args)

    def step(self) -> int:
        """Let each lane take one batch; how many items there were."""
        return sum(lane.step() for lane in self._lanes)

    def run(self) -> None:
        """Step until nothing waits."""
        while self.step():
            pass


class _SteppedLane:
    def __init__(self, lanes: SteppedLanes, worker: Worker) -> None:
        self._lanes = lanes
        self._worker = worker
        self._waiting: list[Any] = []

    def put(self, item: Any) -> None:
        self._waiting.append(item)
        if self._lanes.automatic:
            self.step()

    def step(self) -> int:
        batch, self._waiting = self._waiting[:BATCH_ITEMS], self._waiting[BATCH_ITEMS:]
        if batch:
            self._worker.work(batch)
        return len(batch)

    def stop(self, ended: Callable[[], None]) -> None:
        while self.step():
            pass
        self._worker.end()
        ended()


def sqlite_error(code: int, text: str) -> dbapi2.OperationalError:
    """An error as SQLite raises it: 10 = I/O error, 13 = full."""
    error = dbapi2.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Faults:
    """Errors to raise instead of running a statement. Give `connector` to `Database.open`."""

    def __init__(self) -> None:
        self._due: list[tuple[str, Exception]] = []

    def add(self, start: str, error: Exception) -> None:
        """Raise this, once, in place of the next statement that begins with `start`."""
        self._due.append((start, error))

    def connector(self, path: Path, key: bytes) -> Connection:
        """Like `connect`, with these faults."""
        return _FaultyConnection(connect(path, key), self)

    def raise_if_due(self, sql: str) -> None:
        """Raise the first fault that this statement meets."""
        for due in self._due:
            if sql.lstrip().startswith(due[0]):
                self._due.remove(due)
                raise due[1]


class _FaultyConnection:
    def __init__(self, connection: Connection, faults: Faults) -> None:
        self._connection = connection
        self._faults = faults

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        self._faults.raise_if_due(sql)
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        self._faults.raise_if_due(sql)
        return self._connection.executemany(sql, rows)

    def executescript(self, script: str) -> Cursor:
        self._faults.raise_if_due(script)
        return self._connection.executescript(script)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()
