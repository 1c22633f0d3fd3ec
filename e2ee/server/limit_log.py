"""Limits of the whole server that were reached: counted each time, logged now and then.

Knows their names only. Whoever reaches one can do so a thousand times a second, and must not fill
the operator's disk with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger

LOG_SECONDS = 60.0
"""At most so often for each limit."""


class LimitLog:
    """One for the passcodes. `reached` counts by limit since the start; `now` is in seconds."""

    _log = Logger()

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._logged: dict[str, tuple[float, int]] = {}
        self.reached: Counter[str] = Counter()

    def note(self, limit: str) -> None:
        """It has refused somebody."""
        self.reached[limit] += 1
        at, count = self._logged.get(limit, (-LOG_SECONDS, 0))
        if self._now() - at < LOG_SECONDS:
            return
        self._logged[limit] = self._now(), self.reached[limit]
        self._log.warn(
            "the limit {limit} of this server is reached: {count} requests refused since the last such line",
            limit=str(limit),
            count=self.reached[limit] - count,
        )
