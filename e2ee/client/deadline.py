"""How long a command may take, with the time taken out that it spends waiting for a person.

Knows a clock, nothing of what is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IReactorTime


class Deadline:
    """`seconds` from now, or never with None; stands still inside `paused`."""

    def __init__(self, clock: IReactorTime, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._began = clock.seconds()

    def left(self) -> float | None:
        """Seconds until it passes, 0 when it has, None when there is none."""
        if self._seconds is None:
            return None
        return max(0.0, self._began + self._seconds - self._clock.seconds())

    def allows(self, seconds: float) -> bool:
        """Whether that many seconds still fit in."""
        left = self.left()
        return left is None or seconds <= left

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time spent inside does not count."""
        paused_at = self._clock.seconds()
        try:
            yield
        finally:
            self._began += self._clock.seconds() - paused_at
