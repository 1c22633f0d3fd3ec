"""The server's database under another key: written anew beside it, and put into its place whole.

Knows files and one table; nothing of where keys come from. Whatever is killed in the middle: the file
opens with the one key or with the other, and has all its rows. Everything here blocks.

SQLCipher's own `PRAGMA rekey` changes the file in its place, page by page, through the write-ahead log:
until that is emptied, the file needs both keys. A copy needs room twice, and never both keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2ee.errors import StoreError, StoreLocked, StoreUnavailable
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.connection import Connection, connect, lacks_room
from e2ee.store.directories import sync_directory
from e2ee.store.server.snapshot import faults

SUFFIX = "-rekeyed"
_FULL = "database or disk is full"
"""What SQLite says; the binding gives the errors of a backup no code."""
_BESIDE = ("", "-wal", "-shm", "-journal")

Reseal = Callable[[PasscodeSessionId, Address, bytes], bytes]
"""A sealed code under the key that belongs to the new one of the database."""


def opens(path: Path, key: bytes) -> bool:
    """Whether the database at `path` opens with this key; nothing is made if there is none.

    Raises StoreError for what has nothing to do with the key.
    """
    if not path.exists():
        return False
    try:
        connect(path, key).close()
    except StoreLocked:
        return False
    return True


def rekey(path: Path, old: bytes, new: bytes, reseal: Reseal) -> None:
    """Put the database at `path` under the key `new`; on return it is on disk. No one else has it open.

    Raises StoreLocked if `old` does not open it, StoreUnavailable without room for it twice, StoreError
    for the rest; then it is as it was.
    """
    target = path.with_name(path.name + SUFFIX)
    _remove(target)
    try:
        with _in_words():
            _write(path, old, target, new, reseal)
            _put_into_place(target, path)
    except BaseException:
        _remove(target)
        raise


def discard_copy(path: Path) -> None:
    """Remove what a rekey of the database at `path` has left that was killed. Raises StoreError."""
    with _in_words():
        _remove(path.with_name(path.name + SUFFIX))


def _write(path: Path, old: bytes, target: Path, new: bytes, reseal: Reseal) -> None:
    source = connect(path, old)
    try:
        if source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise StoreError("another process has the database open")
        copy = connect(target, new)
        try:
            _fill(copy, source, reseal)
        finally:
            copy.close()
    finally:
        source.close()
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError("another process has the database open")


def _fill(copy: Connection, source: Any, reseal: Reseal) -> None:
    source.backup(copy)
    copy.execute("BEGIN")
    for session, address, sealed in copy.execute(
        "SELECT session, address, sealed_code FROM passcode"
    ).fetchall():
        resealed = reseal(PasscodeSessionId(session), Address(address), sealed)
        copy.execute("UPDATE passcode SET sealed_code = ? WHERE session = ?", (resealed, session))
    copy.execute("COMMIT")
    # The whole copy in one file; the server goes over to a write-ahead log again when it opens it.
    copy.execute("PRAGMA journal_mode = DELETE")
    if wrong := faults(copy):
        raise StoreError(f"the copy is damaged, and so may be the database: {wrong[0]}")


def _put_into_place(target: Path, path: Path) -> None:
    """The name changes hands when the content is on the disk, and that is on the disk as well."""
    owner = path.stat()
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    target.replace(path)
    sync_directory(path.parent)


def _remove(target: Path) -> None:
    for suffix in _BESIDE:
        target.with_name(target.name + suffix).unlink(missing_ok=True)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"the database cannot be written anew: {error.strerror}") from None
    except Exception as error:
        if lacks_room(error) or str(error) == _FULL:
            raise StoreUnavailable("there is no room on the disk for the database twice") from None
        raise StoreError(f"the database cannot be written anew: {error}") from None
