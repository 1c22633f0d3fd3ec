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

        def read(connection: Connection) -> bytes | None:
            row = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
            return None if row is None else bytes(row[0])

        return await self._database.read(read)

    async def put(self, name: str, value: bytes) -> None:
        """See `ports.Facts.put`."""

        def write(connection: Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

        await self._database.write(write)
