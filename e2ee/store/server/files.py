"""Which files wait for whom, in SQL. Knows ids, owners and counts of chunks; not the chunks (`shelf`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from e2ee.ids import Address
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.ports import FileLimits, FileRefused, StoredFile

_COLUMNS = "id, owner, capability_hash, chunks, complete"
_AT_ONCE = 500
"""Ids in one query."""


class SqlFiles:
    """`ports.Files` on a database."""

    def __init__(self, database: Database, limits: FileLimits) -> None:
        self._database = database
        self._limits = limits

    def apply(self, limits: FileLimits) -> None:
        """See `ports.Files.apply`."""
        self._limits = limits

    async def offer(self, offered: StoredFile, now: float) -> StoredFile | FileRefused:
        """See `ports.Files.offer`."""
        limits = self._limits

        def insert(connection: Connection) -> StoredFile | FileRefused:
            found = _find(connection, offered.file_id)
            if found is not None:
                return same_file(found, offered)
            refused = refusal(limits, _chunks_of(connection, offered.owner), offered.chunks)
            if refused is not None:
                return refused
            connection.execute(
                "INSERT INTO file (id, owner, capability_hash, chunks, at) VALUES (?, ?, ?, ?, ?)",
                (offered.file_id, offered.owner, offered.capability_hash, offered.chunks, now),
            )
            return offered

        return await self._database.write(insert)

    async def find(self, file_id: bytes) -> StoredFile | None:
        """See `ports.Files.find`."""
        return await self._database.read(lambda connection: _find(connection, file_id))

    async def complete(self, file_id: bytes) -> bool:
        """See `ports.Files.complete`."""

        def update(connection: Connection) -> bool:
            done = connection.execute("UPDATE file SET complete = 1 WHERE id = ?", (file_id,))
            return done.rowcount > 0

        return await self._database.write(update, frees_room=True)

    async def remove(self, file_id: bytes) -> bool:
        """See `ports.Files.remove`."""

        def delete(connection: Connection) -> bool:
            return connection.execute("DELETE FROM file WHERE id = ?", (file_id,)).rowcount > 0

        return await self._database.write(delete, frees_room=True)

    async def expire(self, now: float) -> int:
        """See `ports.Files.expire`."""
        seconds = self._limits.seconds

        def delete(connection: Connection) -> int:
            gone = "DELETE FROM file WHERE owner NOT IN (SELECT address FROM account)"
            count = connection.execute(gone).rowcount
            if seconds:
                count += connection.execute("DELETE FROM file WHERE at <= ?", (now - seconds,)).rowcount
            return count

        return await self._database.write(delete, frees_room=True)

    async def known(self, file_ids: Sequence[bytes]) -> set[bytes]:
        """See `ports.Files.known`."""

        def read(connection: Connection) -> set[bytes]:
            found: set[bytes] = set()
            for first in range(0, len(file_ids), _AT_ONCE):
                some = tuple(file_ids[first : first + _AT_ONCE])
                marks = ", ".join("?" * len(some))
                rows = connection.execute(f"SELECT id FROM file WHERE id IN ({marks})", some)  # noqa: S608
                found.update(file_id for (file_id,) in rows)
            return found

        return await self._database.read(read)


def _find(connection: Connection, file_id: bytes) -> StoredFile | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM file WHERE id = ?", (file_id,)).fetchone()  # noqa: S608
    return None if row is None else StoredFile(row[0], Address(row[1]), row[2], row[3], bool(row[4]))


def _chunks_of(connection: Connection, owner: Address) -> int:
    query = "SELECT coalesce(sum(chunks), 0) FROM file WHERE owner = ?"
    return int(connection.execute(query, (owner,)).fetchone()[0])


def same_file(found: StoredFile, offered: StoredFile) -> StoredFile | FileRefused:
    """The file that is there, if it is the one that is offered."""
    return found if replace(found, complete=offered.complete) == offered else FileRefused.CONFLICT


def refusal(limits: FileLimits, chunks_of_owner: int, chunks: int) -> FileRefused | None:
    """Why a file of so many chunks is not taken, or None. A limit of 0 is none."""
    if limits.chunks and chunks > limits.chunks:
        return FileRefused.TOO_LARGE
    if limits.chunks_of_account and chunks_of_owner + chunks > limits.chunks_of_account:
        # What can never fit is not worth waiting for.
        never = chunks > limits.chunks_of_account
        return FileRefused.TOO_LARGE if never else FileRefused.QUOTA
    return None
