"""Copies of the server's database while it is written, and its examination.

Knows files and tables. A copy is made safe to be put back: whatever must not be served twice, or has
been used since, is not in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.store.aside import Stopped
from e2ee.store.connection import Connection, connect, is_fatal
from e2ee.store.directories import sync_directory
from e2ee.store.server.traces import Traces

PAGES_AT_ONCE = 512
"""Copied between two looks at whether the server ends: some milliseconds."""
FAULTS_SHOWN = 5

_NOT_TWICE = (
    # A key that was handed out after the copy was made would be handed out again: none is kept, and
    # their owners publish new ones at their next login.
    "DELETE FROM one_time_prekey",
    # A code that was used after the copy was made would be good again.
    "DELETE FROM passcode",
)

Connect = Callable[[Path], Connection]


def write_snapshot(
    connection: Connection, target: Path, connect: Connect, stopped: Stopped
) -> int:
    """Copy what `connection` sees to a new database at `target`; its size in bytes, all on disk.

    `connect` opens the target under the key that it shall have. Nothing is left of a copy that
    fails. Raises StoreUnavailable if the server ends meanwhile, StoreError with the reason for the
    rest, such as a full disk.
    """
    try:
        _copy(connection, target, connect, stopped)
        return _settle(target)
    except BaseException:
        for suffix in ("", "-wal", "-shm", "-journal"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        raise


def open_copy(path: Path, key: bytes) -> Connection:
    """A new database for a copy, under this key (32 bytes)."""
    return connect(path, key)


def faults(connection: Connection) -> list[str]:
    """What is wrong with the database file: authentication of its pages, structure, references.

    Empty if nothing is. SQLite's words, which name tables and pages, never content.
    """
    found: list[str] = []
    try:
        for fault in _faults(connection):
            found.append(fault)
            if len(found) == FAULTS_SHOWN:
                break
    except Exception as error:
        if not is_fatal(error):
            raise
        found.append(str(error))
    return found


def _faults(connection: Connection) -> Iterator[str]:
    for (fault,) in connection.execute("PRAGMA cipher_integrity_check"):
        yield str(fault)
    for (fault,) in connection.execute(f"PRAGMA integrity_check({FAULTS_SHOWN})"):
        if fault != "ok":
            yield str(fault)
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"a row of {table} refers to a missing row of {parent}"


def _copy(connection: Connection, target: Path, connect: Connect, stopped: Stopped) -> None:
    def look_up(status: int, remaining: int, total: int) -> None:
        if stopped():
            raise StoreUnavailable("the server ends")

    copy = connect(target)
    try:
        source: Any = connection
        # The source holds one state for as long as this takes, so the copy never starts anew.
        source.backup(copy, pages=PAGES_AT_ONCE, progress=look_up)
        copy.execute("PRAGMA foreign_keys = OFF")
        copy.execute("BEGIN")
        for statement in _NOT_TWICE:
            copy.execute(statement)
        Traces().tidy(copy)
        copy.execute("COMMIT")
        # The whole copy in one file.
        copy.execute("PRAGMA journal_mode = DELETE")
        wrong = faults(copy)
    finally:
        copy.close()
    if wrong:
        raise StoreError(f"the copy is damaged, and so may be the database: {wrong[0]}")


def _settle(target: Path) -> int:
    """On disk, name and content."""
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    sync_directory(target.parent)
    return size
