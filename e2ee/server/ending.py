"""How the server's process ends: signals, exit codes, and a last sentence on standard error.

Knows the process and the reactor; not what a server has to finish. Twisted ends a process that gets
SIGTERM by that very signal, logs what fails at start as a traceback, and has no exit codes: all three
are put right here (`docs/command-line.md`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

FAILED = 1
USAGE = 2
LONGEST_END_SECONDS = 4.8
"""From the signal to the end, whatever hangs; five seconds are promised."""


def say(sentence: str) -> None:
    """One sentence on the real standard error, which Twisted may have put its log in place of."""
    text = " ".join(sentence.split())
    os.write(2, f"e2ee-server: {text}\n".encode("utf-8", "backslashreplace"))


def leave(status: int, sentence: str) -> NoReturn:
    """End before the reactor runs."""
    say(sentence)
    sys.exit(status)


class Ending:
    """The end of one process. `status` is its exit code; `stopping`: it has begun."""

    def __init__(self, reactor: Any, exit_now: Callable[[int], object] = os._exit) -> None:
        self._reactor = reactor
        self._exit_now = exit_now
        self.stopping = False
        self.status = 0

    def prepare(self, reload: Callable[[], None]) -> None:
        """Take the signals over as soon as the reactor runs; SIGHUP calls `reload`."""
        self._reactor.addSystemEventTrigger("after", "shutdown", self._after_shutdown)
        self._reactor.callWhenRunning(self._take_signals, reload)

    def fail(self, sentence: str) -> None:
        """Say why, and end with exit code 1 after an orderly shutdown."""
        say(sentence)
        self.status = FAILED
        self.stop()

    def stop(self) -> None:
        """End in good order, once."""
        if self.stopping:
            return
        self.stopping = True
        self._reactor.callWhenRunning(self._stop)

    def _stop(self) -> None:
        self._reactor.callLater(LONGEST_END_SECONDS, self._give_up)
        self._reactor.stop()

    def _give_up(self) -> None:
        say("the server could not be stopped in time")
        self._exit_now(FAILED)

    def _take_signals(self, reload: Callable[[], None]) -> None:
        def on_reactor(call: Callable[[], None]) -> Callable[[int, object], None]:
            return lambda number, frame: self._reactor.callFromThread(call)

        signal.signal(signal.SIGTERM, on_reactor(self.stop))
        signal.signal(signal.SIGHUP, on_reactor(reload))

    def _after_shutdown(self) -> None:
        if self.status:
            # Twisted knows no exit codes; nothing is left to do, and a thread may hang.
            self._exit_now(self.status)
