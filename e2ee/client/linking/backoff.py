"""How long to wait before the next attempt to connect.

Pure: knows neither a clock nor what failed.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 60.0
_RANDOM_BYTES = 4


class Backoff:
    """0.5 s, doubling to 60 s; the second half of each wait is drawn by lot, so that the clients of a
    server that comes back do not all come at once."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._seconds = FIRST_SECONDS

    def next(self, retry_after: float | None = None) -> float:
        """Seconds until the next attempt, never less than what the server asked for."""
        share = int.from_bytes(self._entropy(_RANDOM_BYTES), "big") / float(1 << (8 * _RANDOM_BYTES))
        wait = self._seconds * (1 + share) / 2
        self._seconds = min(2 * self._seconds, LONGEST_SECONDS)
        return max(wait, retry_after or 0.0)

    def worked_for(self, seconds: float) -> None:
        """A connection has lived that long: one that outlived the last wait makes the next one short."""
        if seconds >= self._seconds:
            self.got_through()

    def got_through(self) -> None:
        """An envelope has come or gone: connections that carry something are worth their cost, however
        short they live."""
        self._seconds = FIRST_SECONDS
