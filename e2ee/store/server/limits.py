"""Counted limits as token buckets, in SQL. Knows names, keys and service time; not what is limited.

A bucket is stored as the moment at which it will be full again (the generic cell rate algorithm,
ITU-T I.371): one number, changed by one statement.
"""

from __future__ import annotations

from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.ports import Bucket

ROUNDING_SECONDS = 1e-6
"""Whoever waits exactly as long as he was told is not refused for the last bit of a float."""


class SqlLimits:
    """`ports.Limits` on a database: these survive a restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0) -> float:
        """See `ports.Limits.take`."""
        if not bucket.burst:
            return 0.0
        return await self._database.write(
            lambda connection: take_from(connection, name, key, bucket, now, cost)
        )

    async def give_back(self, name: str, key: str, bucket: Bucket, cost: float = 1.0) -> None:
        """See `ports.Limits.give_back`."""

        def undo(connection: Connection) -> None:
            connection.execute(
                "UPDATE bucket SET full_at = full_at - ? WHERE name = ? AND key = ?",
                (cost * bucket.refill_seconds, name, key),
            )

        await self._database.write(undo, frees_room=True)

    async def expire(self, now: float) -> int:
        """See `ports.Limits.expire`."""
        return await self._database.write(
            lambda connection: connection.execute("DELETE FROM bucket WHERE full_at <= ?", (now,)).rowcount,
            frees_room=True,
        )


def shortfall(bucket: Bucket, full_at: float, now: float, cost: float) -> float:
    """Seconds until `cost` can be taken from a bucket that will be full at `full_at`; 0.0: now."""
    used = full_at - now if full_at > now else 0.0
    missing = used + (cost - bucket.burst) * bucket.refill_seconds
    return missing if missing > ROUNDING_SECONDS else 0.0


def take_from(
    connection: Connection, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0
) -> float:
    """Take inside the caller's transaction: 0.0, or the seconds until it is there."""
    if not bucket.burst:
        return 0.0
    taken = connection.execute(
        "INSERT INTO bucket SELECT :name, :key, :now + :costs WHERE :costs <= :most"
        " ON CONFLICT DO UPDATE SET full_at = max(full_at, :now) + :costs"
        " WHERE max(full_at, :now) + :costs - :now <= :most RETURNING 1",
        {
            "name": name,
            "key": key,
            "now": now,
            "costs": cost * bucket.refill_seconds,
            "most": bucket.burst * bucket.refill_seconds + ROUNDING_SECONDS,
        },
    ).fetchone()
    return 0.0 if taken else missing_from(connection, name, key, bucket, now, cost)


def missing_from(
    connection: Connection, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0
) -> float:
    """Seconds until `cost` can be taken; takes nothing."""
    if not bucket.burst:
        return 0.0
    row = connection.execute(
        "SELECT full_at FROM bucket WHERE name = ? AND key = ?", (name, key)
    ).fetchone()
    return shortfall(bucket, row[0] if row else now, now, cost)
