"""Tells the service manager that started this server how it is: the datagrams of sd_notify(3).

Knows the socket that the environment names, what is written to it, and the watchdog's pace; not what
the server does. Without such a socket nothing is told to anybody.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Self

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

BEATS_IN_TIME = 2
"""Signs of life within the time after which the watchdog bites; sd_watchdog_enabled(3) asks for this."""
_PATH, _ABSTRACT = "/", "@"
_MICROSECONDS = 1_000_000


class NotifySocket:
    """One for the process. No method raises: a server that cannot say that it is well still is."""

    _log = Logger()

    def __init__(
        self,
        address: str,
        clock: IReactorTime,
        watchdog_seconds: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address` is a path, or a name behind ``@`` (Linux), or empty; `watchdog_seconds` 0: none."""
        self._address = "\0" + address[1:] if address.startswith(_ABSTRACT) else address
        self._monotonic = monotonic
        self._failed = False
        self._serves = False
        # Kept open from the start: the watchdog must not bite because no file can be opened any more.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._pace = watchdog_seconds / BEATS_IN_TIME
        self._beat = LoopingCall(self._tell, "WATCHDOG=1")
        self._beat.clock = clock

    @classmethod
    def from_environment(
        cls, environment: MutableMapping[str, str], process: int, clock: IReactorTime
    ) -> Self:
        """As the environment says, out of which it is taken: programs that are run are not asked.

        `process` is the number of this one; a watchdog that waits for another is none of ours.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(process))
        if not address.startswith((_PATH, _ABSTRACT)):
            address = ""
        ours = meant == str(process) and microseconds.isascii() and microseconds.isdigit()
        return cls(address, clock, int(microseconds) / _MICROSECONDS if ours else 0.0)

    def ready(self, status: str) -> None:
        """It serves; from now on the watchdog is fed."""
        self._serves = True
        self._tell("READY=1", f"STATUS={status}")
        if self._socket is not None and self._pace and not self._beat.running:
            self._beat.start(self._pace)

    def reloading(self) -> None:
        """A reload begins; `reloaded` ends it. Neither is told before `ready` or after `stopping`."""
        if self._serves:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * _MICROSECONDS)}")

    def reloaded(self) -> None:
        """The reload is over, well or not."""
        if self._serves:
            self._tell("READY=1")

    def stopping(self) -> None:
        """The end begins. The watchdog is fed until `close`."""
        self._serves = False
        self._tell("STOPPING=1", "STATUS=stopping")

    def close(self) -> None:
        """Nothing more is told. May be called twice."""
        if self._beat.running:
            self._beat.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._socket is None:
            return
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        try:
            self._socket.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._failed:
                self._log.warn("the service manager cannot be told: {reason}", reason=error.strerror)
            self._failed = True
