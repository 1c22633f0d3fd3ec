"""The operator's look at all accounts, in SQL. Knows counts and times; opens nothing."""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.ids import Address, DeviceId
from e2ee.store.aside import Stopped
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.ports import CHUNK_BYTES, AccountFacts, Survey

_ACCOUNTS = """
    SELECT address, device, last_login_at, logged_out, pin_hash IS NOT NULL, messages, bytes,
        (SELECT count(*) FROM one_time_prekey WHERE device_id = device.id AND kind = 'one_time')
    FROM account JOIN device USING (address) WHERE address > ? ORDER BY address LIMIT ?
"""
_MAILBOXES = """
    SELECT count(*), coalesce(sum(messages), 0), coalesce(sum(bytes), 0), coalesce(max(messages), 0),
        (SELECT at FROM mail ORDER BY rowid LIMIT 1)
    FROM device
"""
_FILES = "SELECT count(*), coalesce(sum(chunks), 0) FROM file"
_PREKEYS = "SELECT kind, count(*), count(DISTINCT device_id) FROM one_time_prekey GROUP BY kind"


class SqlCensus:
    """`ports.Census` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accounts(self, after: str, count: int) -> Sequence[AccountFacts]:
        """See `ports.Census.accounts`."""

        def read(connection: Connection) -> list[AccountFacts]:
            rows = connection.execute(_ACCOUNTS, (after, count))
            return [
                AccountFacts(Address(row[0]), DeviceId(row[1]), row[2], bool(row[3]), bool(row[4]), *row[5:])
                for row in rows
            ]

        return await self._database.read(read)

    async def not_seen_since(self, at: int) -> int:
        """See `ports.Census.not_seen_since`."""

        def count(connection: Connection, stopped: Stopped) -> int:
            found = connection.execute(
                "SELECT count(*) FROM account WHERE coalesce(last_login_at, 0) < ?", (at,)
            )
            return int(found.fetchone()[0])

        return await self._database.aside(count)

    async def survey(self) -> Survey:
        """See `ports.Census.survey`."""
        return await self._database.aside(lambda connection, stopped: _survey(connection))


def _survey(connection: Connection) -> Survey:
    accounts, waiting, size, deepest, oldest_at = connection.execute(_MAILBOXES).fetchone()
    stock = {kind: (keys, devices) for kind, keys, devices in connection.execute(_PREKEYS)}
    one_time, owners = stock.get("one_time", (0, 0))
    kem_one_time, kem_owners = stock.get("kem_one_time", (0, 0))
    files, chunks = connection.execute(_FILES).fetchone()
    return Survey(
        accounts=accounts,
        waiting=waiting,
        waiting_bytes=size,
        deepest=deepest,
        oldest_at=oldest_at,
        one_time_prekeys=one_time,
        kem_one_time_prekeys=kem_one_time,
        without_one_time=accounts - owners,
        without_kem_one_time=accounts - kem_owners,
        files=files,
        files_bytes=chunks * CHUNK_BYTES,
    )
