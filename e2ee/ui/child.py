"""Runs a command to its end, and passes on what it prints as it comes.

Knows processes, pipes and signals; not why the command is run, and no reactor: beside a command that
runs for hours there is nothing in memory but this. Blocks, and belongs into the main thread.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from e2ee.ui.tail import Tail

NOT_FOUND = 127
"""The exit codes that shells give for what cannot be started."""
NOT_EXECUTABLE = 126
_CHUNK = 64 * 1024
_LEFT_IN_PIPES = 1024 * 1024
"""The most that a pipe holds; whatever else comes after the end is of a process left behind."""

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_BOTH_GET = (signal.SIGINT, signal.SIGQUIT)
"""A terminal sends these to the command as well, and we stay to tell how it ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: with `status`, or by `signal`, or never begun, for the `reason`.

    `tail` is the end of what it printed, to standard output and standard error as they came.
    """

    status: int
    seconds: float
    tail: str = ""
    signal: int | None = None
    reason: str | None = None

    @property
    def exit_code(self) -> int:
        """As a shell reports it."""
        return self.status if self.signal is None else 128 + self.signal


def run_child(command: Sequence[str]) -> Ended:
    """Run `command`, found as a shell finds it, on our standard input, until its process has ended.

    SIGTERM and SIGHUP are passed on to it.
    """
    began = time.monotonic()
    tail = Tail()
    with _Signals() as signals:
        try:
            # What the caller of the program has typed; no shell is in between.
            child = subprocess.Popen(  # noqa: S603
                [argument.encode() for argument in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            return Ended(status, time.monotonic() - began, reason=error.strerror)
        with child:
            signals.pass_to(child)
            _Outputs(child, tail).pass_on()
    code = child.returncode
    seconds = time.monotonic() - began
    return Ended(max(code, 0), seconds, tail.text(), signal=-code if code < 0 else None)


class _Signals:
    """While entered, signals end the command and not us. What our parent switched off stays off."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (*_PASSED_ON, *_BOTH_GET):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_to(self, child: subprocess.Popen[bytes]) -> None:
        """This is the command; what came while it was started is passed on now."""
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def _came(self, number: int, _frame: FrameType | None) -> None:
        if number in _PASSED_ON and self._child is None:
            self._early.append(number)
        elif number in _PASSED_ON and self._child is not None:
            self._child.send_signal(number)


class _Outputs:
    """Standard output and standard error of a command, on their way to ours."""

    def __init__(self, child: subprocess.Popen[bytes], tail: Tail) -> None:
        self._child = child
        self._tail = tail
        self._selector = selectors.DefaultSelector()

    def pass_on(self) -> None:
        """Until the process has ended, whoever else may still hold its pipes."""
        ended, ending = os.pipe()
        waiting = threading.Thread(target=self._wait, args=(ending,))
        waiting.start()
        with self._selector as selector:
            for pipe, ours in ((self._child.stdout, 1), (self._child.stderr, 2)):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe.fileno(), selectors.EVENT_READ, ours)
            selector.register(ended, selectors.EVENT_READ)
            while all(key.fd != ended for key in self._pass_some()):
                pass
            selector.unregister(ended)
            self._pass_rest()
        waiting.join()
        os.close(ended)

    def _wait(self, ending: int) -> None:
        self._child.wait()
        os.close(ending)

    def _pass_some(self) -> list[selectors.SelectorKey]:
        ready = [key for key, _ in self._selector.select()]
        for key in ready:
            if key.data is not None:
                self._pass(key.fd, key.data)
        return ready

    def _pass_rest(self) -> None:
        """What was printed before the end, and is still in the pipes."""
        for key in tuple(self._selector.get_map().values()):
            for _ in range(_LEFT_IN_PIPES // _CHUNK):
                if not self._pass(key.fd, key.data):
                    break

    def _pass(self, theirs: int, ours: int) -> bool:
        """Pass on what is there; whether there may be more."""
        try:
            output = os.read(theirs, _CHUNK)
        except BlockingIOError:
            return False
        if output:
            self._tail.add(output)
            if _written(ours, output):
                return True
            # As without us in between: who prints to a closed pipe gets SIGPIPE.
            self._close(theirs)
        else:
            self._selector.unregister(theirs)
        return False

    def _close(self, theirs: int) -> None:
        self._selector.unregister(theirs)
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None and not pipe.closed and pipe.fileno() == theirs:
                pipe.close()


def _written(descriptor: int, output: bytes) -> bool:
    """Write all of it; False if nobody reads there any more."""
    rest = memoryview(output)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True
