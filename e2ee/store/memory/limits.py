"""Counted limits as token buckets, in memory: for those that a restart may forget, and for tests.

Knows names, keys and service time; not what is limited. See `e2ee.store.server.limits`.
"""

from __future__ import annotations

from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.limits import shortfall
from e2ee.store.server.ports import Bucket


class MemoryLimits:
    """`ports.Limits` in memory. Whoever keeps one calls `expire` now and then: it grows with its keys."""

    def __init__(self, store: MemoryStore) -> None:
        self._full_at = store.full_at

    async def take(self, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0) -> float:
        """See `ports.Limits.take`."""
        return self.take_now(name, key, bucket, now, cost)

    def take_now(self, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0) -> float:
        """The same, at once."""
        if not bucket.burst:
            return 0.0
        which = (name, key)
        full_at = self._full_at.get(which, now)
        missing = shortfall(bucket, full_at, now, cost)
        if not missing:
            self._full_at[which] = (full_at if full_at > now else now) + cost * bucket.refill_seconds
        return missing

    def missing(self, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0) -> float:
        """Seconds until `cost` can be taken; takes nothing."""
        if not bucket.burst:
            return 0.0
        return shortfall(bucket, self._full_at.get((name, key), now), now, cost)

    async def give_back(self, name: str, key: str, bucket: Bucket, cost: float = 1.0) -> None:
        """See `ports.Limits.give_back`."""
        if (name, key) in self._full_at:
            self._full_at[name, key] -= cost * bucket.refill_seconds

    async def expire(self, now: float) -> int:
        """See `ports.Limits.expire`."""
        full = [key for key, full_at in self._full_at.items() if full_at <= now]
        for key in full:
            del self._full_at[key]
        return len(full)
