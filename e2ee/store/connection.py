"""One connection to one encrypted SQLite file, as every statement here needs it.

Knows SQLCipher, its pragmas and its error codes, and who may read the file; knows no tables and no
threads. The key is raw: 32 random bytes, so that opening costs no key derivation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlcipher3 import dbapi2

from e2ee.errors import StoreBroken, StoreError, StoreLocked, StoreUnavailable

KEY_BYTES = 32
BUSY_SECONDS = 10.0
"""How long another process (an operator's look at the database) may hold the file's lock."""
CHECKPOINT_SECONDS = 0.25
"""How long a checkpoint waits for readers: it is tried again, and nobody's write may wait for them."""
CACHE_KIB = 16 * 1024
"""The most that pages take in memory. A page that had to go costs its decryption and its MAC when it is
needed again: with SQLite's 2 MiB, 20,000 waiting messages were enough for that."""
LOG_INDEX_BYTES = 32 * 1024
"""What the index of the write-ahead log takes when a database is opened: without so much room SQLite says
that there was an I/O error."""

Parameters = Sequence[object] | Mapping[str, object]


class Cursor(Protocol):
    """What a statement returns."""

    rowcount: int

    def fetchone(self) -> Any:
        """The next row as a tuple, or None."""

    def fetchall(self) -> list[Any]:
        """All rows left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """The part of DB-API that operations use. Transactions belong to the database, not to them."""

    def execute(self, sql: str, parameters: Parameters = ...) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        """Run one statement for each row."""

    def executescript(self, script: str) -> Cursor:
        """Run many statements; only for schemas."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def interrupt(self) -> None:
        """End the statement that another thread runs now, if one runs."""

    def close(self) -> None:
        """Close the file."""


def connect(path: Path, key: bytes) -> Connection:
    """Open `path` with this key, making it (mode 0600, whatever the umask) if it is not there.

    Raises StoreLocked for a wrong key or a file that is not a database, StoreUnavailable without
    room on the disk, StoreError with the reason for what else the file system refuses.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a database key has {KEY_BYTES} bytes")
    _make_private(path)
    connection = dbapi2.connect(os.fspath(path), isolation_level=None, timeout=BUSY_SECONDS)
    try:
        _prepare(connection, key)
    except dbapi2.Error as error:
        connection.close()
        raise _refusal(error, path) from None
    opened: Connection = connection
    return opened


def _make_private(path: Path) -> None:
    """SQLite gives its -wal and -shm files the mode of the database itself."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}") from None


def _prepare(connection: Connection, key: bytes) -> None:
    # Without this line a wrong key is also told on standard error.
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    # SQLite swallows the errors of its own checkpoints; `GroupCommit` does them instead.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    # A log that begins anew is cut to what is in it: so its size says when it is time to move it.
    connection.execute("PRAGMA journal_size_limit = 0")


def _refusal(error: Exception, path: Path) -> StoreError:
    if lacks_room(error) or (primary_code(error) == _IO_ERROR and _room(path) < LOG_INDEX_BYTES):
        return StoreUnavailable("there is no room for the database on the disk")
    if primary_code(error) == _NOT_A_DATABASE:
        return StoreLocked("the key does not open the database, or the file is not one")
    return StoreError(f"the database cannot be opened: {error}")


def _room(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


# Result codes of SQLite, https://www.sqlite.org/rescode.html; the binding exports few of them.
_BUSY, _NO_MEMORY, _IO_ERROR, _CORRUPT, _FULL, _NOT_A_DATABASE = 5, 7, 10, 11, 13, 26
_IO_ERROR_SHM_SIZE = 4874
"""What a full disk gives where the index of the write-ahead log has to grow."""


def _code(error: BaseException) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return code if isinstance(code, int) else 0


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of an exception, 0 if it is not SQLite's."""
    return _code(error) & 0xFF


def lacks_room(error: BaseException) -> bool:
    """Whether nothing was written for want of room, or of another process' lock, and may be later."""
    return primary_code(error) in (_FULL, _BUSY) or _code(error) == _IO_ERROR_SHM_SIZE


def is_fatal(error: BaseException) -> bool:
    """Whether nothing can be said any more about what is on the disk."""
    return primary_code(error) in (_NO_MEMORY, _IO_ERROR, _CORRUPT, _NOT_A_DATABASE)


def broken(error: BaseException) -> StoreBroken:
    """The error that ends the process, with SQLite's reason in it."""
    return StoreBroken(f"the database failed: {error}")
