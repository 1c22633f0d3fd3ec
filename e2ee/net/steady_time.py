"""Time for a reactor that no change of the wall clock can move.

Knows the one attribute in which Twisted's reactors keep their clock; nothing of what is scheduled.
"""

from __future__ import annotations

import time
from typing import Any, Final

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Unlike `monotonic` it counts the sleep of a machine: deadlines that passed meanwhile are over."""


def steady_seconds() -> float:
    """Seconds that only grow, at the pace of real time; they begin anywhere, such as at the boot."""
    return time.clock_gettime(_CLOCK)


def use_steady_time(reactor: Any) -> None:
    """Let this reactor schedule by `steady_seconds`. Call it once, before anything is scheduled.

    Twisted's own `seconds()` is the wall clock: set back by an hour it would hold up every delayed
    call for that hour, set forward it would end every connection at once. What a person is told in
    times of day comes from `time.time`, never from a reactor.
    """
    reactor.seconds = steady_seconds
