"""Group commit: many operations, one COMMIT, and each fails alone.

Knows savepoints and what each kind of SQLite's errors means for those who wait; knows no threads
and no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from e2ee.errors import StoreUnavailable
from e2ee.store.connection import (
    BUSY_SECONDS,
    CHECKPOINT_SECONDS,
    Connection,
    broken,
    is_fatal,
    lacks_room,
)
from e2ee.store.reserve import Reserve

FEW_OPERATIONS = 4
"""So few are not worth being run twice where one of them fails."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Statements of one caller. It may run twice, and must change nothing but the database.

    `frees_room`: it only removes (or only reads), so that it goes on when the disk is full.
    `traceless`: it moves no rows, so that there is nothing to tidy after it.
    """

    run: Callable[[Connection], Any]
    frees_room: bool = False
    traceless: bool = False


Joint = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""Statements for many callers at once: what each has asked for, oldest first, to what becomes of each."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one caller has asked a joint operation for: run with all the others of its batch, or alone."""

    joint: Joint
    asked: Any = field(repr=False)
    frees_room: ClassVar[bool] = False
    traceless: ClassVar[bool] = False

    def run(self, connection: Connection) -> Any:
        """Nobody else's."""
        (result,) = self.joint(connection, [self.asked])
        return result


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation returned, or its error; true only after the commit."""

    value: Any = field(default=None, repr=False)
    error: Exception | None = None


class _NoRoom(Exception):
    """The disk is full: the batch was rolled back."""


class GroupCommit:
    """Runs batches on one connection, which it owns. Only what frees room may use up the `reserve`."""

    def __init__(self, connection: Connection, reserve: Reserve | None = None) -> None:
        self._connection = connection
        self._reserve = reserve

    def run(self, batch: Sequence[Operation | Part]) -> list[Outcome]:
        """One outcome for each operation, all of them on disk.

        Without room the whole batch is rolled back and answered StoreUnavailable, but for what
        frees room: that is done again, each alone. Raises StoreBroken for every other failure of
        the database itself; then nothing may be answered.
        """
        reserve = self._reserve
        if reserve is None or reserve.keep():
            try:
                outcomes = self._commit(batch)
            except _NoRoom:
                self._roll_back()
            else:
                if reserve is not None and not all(operation.frees_room for operation in batch):
                    reserve.written()
                return outcomes
            if reserve is not None:
                reserve.release()
            self.truncate_log()
        outcomes = [self._alone(operation) for operation in batch]
        if reserve is not None:
            # At once, before somebody else takes what was given back.
            reserve.keep()
        return outcomes

    def truncate_log(self) -> bool:
        """Move all of the write-ahead log into the database and cut it to nothing.

        False if a reader or a full disk kept it from that. Raises StoreBroken.
        """
        return self._checkpoint("TRUNCATE")

    def rearrange(self, operation: Callable[[Connection], bool]) -> bool:
        """Run alone what moves rows and changes none, so that no foreign key may act. Its answer.

        False, with nothing done, if it failed or there was no room. Raises StoreBroken.
        """
        self._execute("PRAGMA foreign_keys = OFF")
        try:
            (outcome,) = self.run([Operation(operation)])
        finally:
            self._execute("PRAGMA foreign_keys = ON")
        return outcome.error is None and bool(outcome.value)

    def rewrite(self) -> bool:
        """Make the file anew from its rows, so that nothing else is in it, and empty the log.

        False if there was no room for both, or another process kept it from that. Raises StoreBroken.
        """
        try:
            self._connection.execute("VACUUM")
        except Exception as error:
            if lacks_room(error):
                return False
            raise broken(error) from error
        return self.truncate_log()

    def shorten_log(self) -> bool:
        """Move what no reader needs any more, without waiting. Raises StoreBroken."""
        return self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> bool:
        try:
            self._wait_at_most(CHECKPOINT_SECONDS)
            try:
                busy = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]
            finally:
                self._wait_at_most(BUSY_SECONDS)
        except Exception as error:
            if lacks_room(error):
                return False
            raise broken(error) from error
        return not busy

    def _wait_at_most(self, seconds: float) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _alone(self, operation: Operation | Part) -> Outcome:
        if operation.frees_room:
            try:
                return self._commit([operation])[0]
            except _NoRoom:
                self._roll_back()
        return Outcome(error=StoreUnavailable("there is no room on the disk"))

    def _commit(self, batch: Sequence[Operation | Part]) -> list[Outcome]:
        outcomes = self._together(batch) if len(batch) > FEW_OPERATIONS else []
        outcomes = outcomes or self._one_by_one(batch)
        self._execute("COMMIT")
        return outcomes

    def _together(self, batch: Sequence[Operation | Part]) -> list[Outcome]:
        """All of them without savepoints, of which each costs as much as many an operation; the joint
        ones last, behind what has made room.

        Empty, with nothing done, if one has failed.
        """
        self._execute("BEGIN IMMEDIATE")
        try:
            return self._joined(batch)
        except Exception as error:
            self._judge(error)
            self._execute("ROLLBACK")
            return []

    def _joined(self, batch: Sequence[Operation | Part]) -> list[Outcome]:
        values: list[Any] = [None] * len(batch)
        joints: dict[Joint, tuple[list[int], list[Any]]] = {}
        for index, operation in enumerate(batch):
            if isinstance(operation, Part):
                places, asked = joints.setdefault(operation.joint, ([], []))
                places.append(index)
                asked.append(operation.asked)
            else:
                values[index] = operation.run(self._connection)
        for joint, (places, asked) in joints.items():
            for index, value in zip(places, joint(self._connection, asked), strict=True):
                values[index] = value
        return [Outcome(value) for value in values]

    def _one_by_one(self, batch: Sequence[Operation | Part]) -> list[Outcome]:
        """Each with a savepoint, so that whoever fails undoes nothing of the others."""
        self._execute("BEGIN IMMEDIATE")
        return [self._step(operation) for operation in batch]

    def _step(self, operation: Operation | Part) -> Outcome:
        self._execute("SAVEPOINT operation")
        try:
            outcome = Outcome(value=operation.run(self._connection))
        except Exception as error:
            self._judge(error)
            self._execute("ROLLBACK TO operation")
            outcome = Outcome(error=error)
        self._execute("RELEASE operation")
        return outcome

    def _judge(self, error: Exception) -> None:
        """Return if it is the operation's own failure; raise if the transaction failed with it."""
        if lacks_room(error):
            raise _NoRoom from error
        if is_fatal(error) or not self._connection.in_transaction:
            raise broken(error) from error

    def _execute(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except Exception as error:
            if lacks_room(error):
                raise _NoRoom from error
            raise broken(error) from error

    def _roll_back(self) -> None:
        # SQLite rolls back by itself on some errors, not on others.
        if self._connection.in_transaction:
            self._execute("ROLLBACK")
