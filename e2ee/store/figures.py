"""Counts that one thread keeps and others may read at any time. Knows numbers, not what they count.

There are no locks: each object has one writer, and a reader may see a count that is one behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for waits, from a commit on a good disk to what a client gives up on."""
CODE_SECONDS = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)
"""Bounds for passcodes on their way, from a line in a file to a gateway's last try."""
OPERATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 500)
"""Bounds for batches; 500 is the most that one commit takes."""


class Tally:
    """How many values were at most each of `bounds` (ascending), how many above all, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class CommitFigures:
    """What the writer of a database has done; its thread counts."""

    __slots__ = ("operations", "seconds", "unavailable")

    def __init__(self) -> None:
        self.operations = Tally(OPERATIONS)
        self.seconds = Tally(SECONDS)
        self.unavailable = 0
        """Operations that were refused, for want of room on the disk or in the queue."""
