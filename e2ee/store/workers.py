"""What runs in the lanes of a database: the writer and the reader, each owning its connection.

Knows when a batch is answered and when never again; runs in the lane's thread, and hands everything
for the reactor's thread to `deliver`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from e2ee.errors import StoreBroken, StoreUnavailable
from e2ee.store.commit import GroupCommit, Operation, Outcome, Part
from e2ee.store.connection import Connection, broken, is_fatal, lacks_room
from e2ee.store.figures import CommitFigures
from e2ee.store.reserve import Reserve

LOG_BYTES = 4 * 1024 * 1024
"""The write-ahead log is moved into the database when it is longer: 1,000 pages, as SQLite does."""


@dataclass(eq=False, slots=True)
class Call:
    """An operation and who waits for it. `answer` belongs to the reactor's thread."""

    operation: Operation | Part
    answer: Deferred[Any]
    reads: bool = False


class TruncateLog:
    """An item that asks the writer to empty the write-ahead log."""


@dataclass(eq=False, slots=True)
class Rewrite:
    """An item that asks the writer to make the file anew. `answer` says whether there was room."""

    answer: Deferred[bool]


class Desk(Protocol):
    """Where workers answer; each of these runs on the reactor's thread."""

    def answered(self, answers: Sequence[tuple[Call, Outcome]]) -> None:
        """These are settled."""

    def rewritten(self, item: Rewrite, done: bool) -> None:
        """The file was made anew, or could not be now."""

    def truncated(self, done: bool) -> None:
        """The log was emptied, or could not be now."""

    def broke(self, error: StoreBroken) -> None:
        """Nothing will be answered any more."""


Deliver = Callable[..., None]


class _Opener:
    """The beginning of both: opens the connection and tells whether that went well."""

    def __init__(self, open_connection: Callable[[], Connection], deliver: Deliver) -> None:
        self.opened: Deferred[Exception | None] = Deferred()
        self._open = open_connection
        self._deliver = deliver
        self._connection: Connection | None = None
        self._broken = False

    def begin(self) -> None:
        try:
            self._connection = self._open()
        except Exception as error:
            self._deliver(self.opened.callback, error)
        else:
            self._deliver(self.opened.callback, None)


class Writer(_Opener):
    """Commits batches. After a failure of the database it answers nothing, ever.

    `tidy`, if given, is run after writes, in a transaction of its own, before the log is emptied; it says
    whether all is done. It may move rows between pages, but change none: foreign keys are off meanwhile.
    """

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        log: Path,
        deliver: Deliver,
        desk: Desk,
        figures: CommitFigures,
        tidy: Callable[[Connection], bool] | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        """`log` is the write-ahead log; `reserve` is room for what makes room on a full disk."""
        super().__init__(open_connection, deliver)
        self._log = log
        self._reserve = reserve
        self._desk = desk
        self._figures = figures
        self._tidy = tidy
        self._untidy = False

    def work(self, batch: list[Call | TruncateLog | Rewrite]) -> None:
        """Commit the calls of this batch together, answer them in one hop, then tidy the log."""
        if self._broken or self._connection is None:
            return
        try:
            self._turn(GroupCommit(self._connection, self._reserve), batch)
        except StoreBroken as error:
            self._break(error)
        except BaseException as error:
            # Unforeseen: what is on the disk is as unknown as after a failed commit.
            self._break(broken(error))

    def end(self) -> None:
        """Empty the log and close; a broken database is left as it is."""
        if self._broken or self._connection is None:
            return
        try:
            self._empty_log(GroupCommit(self._connection, self._reserve))
            self._connection.close()
        except BaseException as error:
            self._break(broken(error))

    def _turn(self, commit: GroupCommit, batch: list[Call | TruncateLog | Rewrite]) -> None:
        calls = [item for item in batch if isinstance(item, Call)]
        if calls:
            began = perf_counter()
            outcomes = commit.run([call.operation for call in calls])
            self._count(outcomes, perf_counter() - began)
            self._untidy |= any(not (call.reads or call.operation.traceless) for call in calls)
            self._deliver(self._desk.answered, list(zip(calls, outcomes, strict=True)))
        for item in batch:
            if isinstance(item, Rewrite):
                self._deliver(self._desk.rewritten, item, commit.rewrite())
        if any(isinstance(item, TruncateLog) for item in batch):
            self._deliver(self._desk.truncated, self._empty_log(commit))
        elif self._log_bytes() > LOG_BYTES:
            commit.shorten_log()

    def _count(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        self._figures.operations.observe(len(outcomes))
        self._figures.seconds.observe(seconds)
        for outcome in outcomes:
            if isinstance(outcome.error, StoreUnavailable):
                self._figures.unavailable += 1

    def _empty_log(self, commit: GroupCommit) -> bool:
        if self._tidy is not None and self._untidy:
            self._untidy = not commit.rearrange(self._tidy)
        return commit.truncate_log() and (self._tidy is None or not self._untidy)

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _break(self, error: StoreBroken) -> None:
        self._broken = True
        self._deliver(self._desk.broke, error)


class Reader(_Opener):
    """Runs calls on a connection that cannot write, each on one state of the database."""

    def __init__(self, open_connection: Callable[[], Connection], deliver: Deliver, desk: Desk) -> None:
        super().__init__(open_connection, deliver)
        self._desk = desk

    def begin(self) -> None:
        """Open, and refuse to write from then on."""
        super().begin()
        if self._connection is not None:
            self._connection.execute("PRAGMA query_only = ON")

    def work(self, batch: list[Call]) -> None:
        """Run each call by itself and answer all in one hop."""
        if self._broken or self._connection is None:
            return
        answers = [(call, self._read(self._connection, call.operation)) for call in batch]
        fatal = [outcome.error for _, outcome in answers if outcome.error and is_fatal(outcome.error)]
        if fatal:
            self._broken = True
            self._deliver(self._desk.broke, broken(fatal[0]))
        else:
            self._deliver(self._desk.answered, answers)

    def end(self) -> None:
        """Close."""
        if self._connection is not None:
            self._connection.close()

    def _read(self, connection: Connection, operation: Operation | Part) -> Outcome:
        try:
            connection.execute("BEGIN")
            try:
                return Outcome(value=operation.run(connection))
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except Exception as error:
            if lacks_room(error):
                return Outcome(error=StoreUnavailable("the database cannot be read now"))
            return Outcome(error=error)
