"""How many distinct numbers each account has looked up in the last day.

Knows keyed hashes in memory only: the key is made at start and dies with the process, so nothing
here tells who asked for whom. Asking for the same number again is free.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable

from e2ee.ids import Address
from e2ee.server.counters import Limit
from e2ee.server.policy import DAY_SECONDS
from e2ee.server.refusal import Refusal
from e2ee.wire.messages import RefusalCode

_HASH_BYTES = 8


class LookUps:
    """A sliding day of distinct numbers for each account. `limit` 0: nothing is counted."""

    def __init__(self, limit: int, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self.limit = limit
        self._now = now
        self._key = entropy(32)
        self._asked: dict[bytes, OrderedDict[bytes, float]] = {}

    def charge(self, asker: Address, number: Address) -> None:
        """Count a look-up; raises Refusal (RATE_LIMITED) for one distinct number too many."""
        if not self.limit:
            return
        now = self._now()
        asked = self._asked.setdefault(self._hash(asker), OrderedDict())
        _drop_old(asked, now)
        number_hash = self._hash(number)
        if number_hash in asked:
            return
        if len(asked) >= self.limit:
            wait = next(iter(asked.values())) + DAY_SECONDS - now
            raise Refusal(
                RefusalCode.RATE_LIMITED, "too many different numbers in one day", wait, Limit.LOOKUPS
            )
        asked[number_hash] = now

    def expire(self) -> None:
        """Forget what is older than a day."""
        now = self._now()
        for asker, asked in list(self._asked.items()):
            _drop_old(asked, now)
            if not asked:
                del self._asked[asker]

    def _hash(self, number: Address) -> bytes:
        return hmac.digest(self._key, number.encode("ascii"), "sha256")[:_HASH_BYTES]


def _drop_old(asked: OrderedDict[bytes, float], now: float) -> None:
    """Numbers stand in the order in which they were first asked for."""
    while asked and next(iter(asked.values())) <= now - DAY_SECONDS:
        asked.popitem(last=False)
