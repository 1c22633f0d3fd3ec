"""Time limits of one connection, on the clock that is given, and what is said when one is over.

Knows seconds, not what a connection does with them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from e2ee.wire import limits


class Overstay(Enum):
    """Which limit has ended a connection: its name for figures, and the sentence for the other side."""

    LOGIN = "login_seconds", f"the login was not finished within {limits.LOGIN_SECONDS:.0f} seconds"
    IDLE = "idle_seconds", f"nothing was heard for {limits.IDLE_SECONDS:.0f} seconds"
    UNREAD = "unread_seconds", "the other side does not read what is sent to it"
    FRAME = "frame_bytes", "a frame was too large"

    def __init__(self, title: str, sentence: str) -> None:
        self.title = title
        self.sentence = sentence


class Deadline:
    """Calls `expired` once, `seconds` after `start`, unless `stop` comes first."""

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expired = expired
        self._call: IDelayedCall | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and is neither over nor stopped."""
        return self._call is not None

    def start(self) -> None:
        """Begin to count; a running one is not extended."""
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._over)

    def stop(self) -> None:
        """Forget it."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _over(self) -> None:
        self._call = None
        self._expired()


class Silence:
    """Notices that nothing has been heard: `ping` once at `ping_after`, `expired` at `limit` seconds.

    `heard` is cheap, since it is called for everything that arrives; one delayed call looks at it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ping_after: float,
        limit: float,
        ping: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._ping_after = ping_after
        self._limit = limit
        self._ping = ping
        self._expired = expired
        self._last = 0.0
        self._pinged = False
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to listen."""
        self.heard()
        if self._call is None:
            self._wait_until(self._last + self._ping_after)

    def stop(self) -> None:
        """Stop listening."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def heard(self) -> None:
        """Something has arrived."""
        self._last = self._clock.seconds()
        self._pinged = False

    def _look(self) -> None:
        self._call = None
        silent = self._clock.seconds() - self._last
        if silent >= self._limit:
            self._expired()
        elif silent < self._ping_after:
            self._wait_until(self._last + self._ping_after)
        else:
            self._wait_until(self._last + self._limit)
            if not self._pinged:
                self._pinged = True
                self._ping()

    def _wait_until(self, moment: float) -> None:
        self._call = self._clock.callLater(max(0.0, moment - self._clock.seconds()), self._look)
