"""Small facts about the installation, in SQL. Knows names and bytes, not what they mean."""

from __future__ import annotations

from e2ee.store.connection import Connection
from e2ee.store.database import Database


class SqlFacts:
    """`ports.Facts` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> bytes | None:
        """See `ports.Facts.get`."""

        return await self._database.read(lambda connection: load_fact(connection, name))

    async def put(self, name: str, value: bytes) -> None:
        """See `ports.Facts.put`."""

        await self._database.write(lambda connection: save_fact(connection, name, value))


def load_fact(connection: Connection, name: str) -> bytes | None:
    """The fact of this name, inside an operation."""
    row = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def save_fact(connection: Connection, name: str, value: bytes) -> None:
    """Put it in the place of an older one, inside an operation."""
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
