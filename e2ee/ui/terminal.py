"""Questions to a person at the controlling terminal, which standard input need not be.

Knows how to ask without echo; not what the answers are. Blocks: call it in a thread.
"""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from e2ee.errors import Code, Failure
from e2ee.ui.sanitiser import printable
from e2ee.ui.streams import Interruption, LineSource

PRINTING_TERMINALS = ("", "dumb", "unknown")
"""Values of TERM for what has no cursor to move."""
_ECHO_FLAGS = 3
"""The place of the local modes in what `termios.tcgetattr` gives."""


def has_person() -> bool:
    """Whether somebody can be asked: standard input is a terminal. Otherwise nothing ever prompts."""
    return os.isatty(0)


def has_cursor() -> bool:
    """Whether the terminal, if there is one, can do more than print."""
    return os.environ.get("TERM", "").lower() not in PRINTING_TERMINALS


class Terminal:
    """The controlling terminal of this process."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def passphrase(self, new: bool) -> str:
        """The profile's passphrase, unseen; a new one is typed until both times are the same."""
        if not new:
            return self.ask("Passphrase:", hidden=True)
        self._say("A passphrase protects what this profile keeps on this machine.\n")
        return self._twice("New passphrase:")

    def new_pin(self) -> str:
        """A new registration PIN, unseen, typed until both times are the same."""
        return self._twice("New registration PIN:")

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """One typed line. Raises Failure(FAILED) if there is none, Interrupted."""
        with self._opened() as descriptor, _echo(descriptor, not hidden):
            os.write(descriptor, f"{printable(question)} ".encode())
            line = LineSource(descriptor, self._interruption).read_line()
            if hidden or line is None:
                os.write(descriptor, b"\n")
        if line is None:
            raise Failure(Code.FAILED, "nothing was typed")
        return line

    def _twice(self, question: str) -> str:
        while True:
            typed = self.ask(question, hidden=True)
            if typed == self.ask("The same again:", hidden=True):
                return typed
            self._say("These were not the same.\n")

    def _say(self, text: str) -> None:
        with self._opened() as descriptor:
            os.write(descriptor, text.encode())

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise Failure(Code.FAILED, "there is no terminal to ask at") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _echo(descriptor: int, wanted: bool) -> Iterator[None]:
    """Switch the echo for a while; what was typed before is forgotten when it is switched off."""
    before = termios.tcgetattr(descriptor)
    during = termios.tcgetattr(descriptor)
    if not wanted:
        during[_ECHO_FLAGS] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN if wanted else termios.TCSAFLUSH, during)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
