"""`twistd e2ee-server` with a watch on the reactor: how long it was ever away from its poller.

Run as ``python -m benchmarks.watched_server REPORT OPTIONS…``. On SIGUSR1 it writes the longest turn
since the last report, in milliseconds, to the file REPORT.
"""

from __future__ import annotations

import importlib
import signal
import sys
import time
from pathlib import Path
from typing import Any


class WatchedPoller:
    """An epoll object that notes the time between two calls of `poll`: one turn of the reactor."""

    def __init__(self, poller: Any) -> None:
        self._poller = poller
        self._woke = time.perf_counter()
        self.longest = 0.0

    def poll(self, *arguments: Any) -> Any:
        """Wait for events, as before."""
        self.longest = max(self.longest, time.perf_counter() - self._woke)
        events = self._poller.poll(*arguments)
        self._woke = time.perf_counter()
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


def main(report: str, options: list[str]) -> None:
    """Put the watch in and hand over to twistd."""
    reactor: Any = importlib.import_module("twisted.internet.reactor")
    watch = WatchedPoller(reactor._poller)
    reactor._poller = watch

    def write(*_: object) -> None:
        Path(report).write_text(f"{watch.longest * 1000:.2f}\n")
        watch.longest = 0.0

    signal.signal(signal.SIGUSR1, write)
    from twisted.scripts.twistd import run

    sys.argv = ["twistd", "-n", "--pidfile=", "e2ee-server", *options]
    run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
