"""A real terminal for a real process: a pseudo-terminal with an emulated screen.

Needs pexpect and pyte, which come with `pip install '.[test]'`. The emulator answers what a terminal is
asked, and remembers that it was. Knows keys and what stands on the screen, no messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import pexpect
import pyte

from examples.stage import PATIENCE_SECONDS, StageError

ENTER, TAB, INTERRUPT, END, UP, ESCAPE = "\r", "\t", "\x03", "\x04", "\x1b[A", "\x1b"


class Sheet(pyte.Screen):
    """A screen that keeps what it has answered to the process."""

    def __init__(self, columns: int, rows: int, **options: float) -> None:
        super().__init__(columns, rows, **options)
        self.answers: list[str] = []

    def write_process_input(self, data: str) -> None:
        """The process has asked for something."""
        self.answers.append(data)

    @property
    def rows(self) -> list[str]:
        """What stands on the screen, without blanks at the ends of rows."""
        return [row.rstrip() for row in self.display]


class Emulator(Sheet, pyte.HistoryScreen):
    """One that keeps what has scrolled off it, too."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows, history=10_000, ratio=0.5)

    @property
    def scrolled(self) -> list[str]:
        """What has scrolled off it."""
        return [
            "".join(row[column].data for column in range(self.columns)).rstrip()
            for row in self.history.top
        ]


class Terminal:
    """A process on a terminal of its own. `seen` is called with each piece of its output."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
        seen: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.screen = Emulator(columns, rows)
        self.output = ""
        self._stream = pyte.Stream(self.screen)
        self._seen = seen
        self._process = pexpect.spawn(
            command[0], list(command[1:]), env=dict(environment), dimensions=(rows, columns),
            encoding="utf-8", codec_errors="replace", echo=True,
        )  # fmt: skip
        self._process.delaybeforesend = None

    def type(self, keys: str) -> None:
        """Press these keys."""
        self._process.send(keys)

    def enter(self, line: str) -> None:
        """Type a line, and see it before it is finished."""
        self.type(line)
        self.wait_for(lambda: any(line[-20:] in row for row in self.screen.rows), line)
        self.type(ENTER)

    def paste(self, text: str) -> None:
        """What a terminal makes of a paste, where the process has asked to be told."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._process.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what the process writes; False when it has ended."""
        try:
            piece = self._process.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.output += piece
        self._stream.feed(piece)
        self._seen(piece)
        answers, self.screen.answers[:] = "".join(self.screen.answers), []
        if answers:
            self.type(answers)
        return True

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Take in output until this holds; raises StageError with the screen after a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if (not self.read() and not condition()) or time.monotonic() > deadline:
                shown = "\n".join(["", *self.screen.scrolled, "-" * 20, *self.screen.rows])
                raise StageError(f"gave up waiting for {what!r} on this screen:{shown}")

    def see(self, text: str) -> None:
        """Wait until this stands on one row of the screen."""
        self.wait_for(lambda: any(text in row for row in self.screen.rows), text)

    def row(self, begin: str) -> str:
        """The last row that begins so; empty if there is none."""
        return next((row for row in reversed(self.screen.rows) if row.startswith(begin)), "")

    def finish(self) -> int:
        """Wait for the end of the process; its exit status, 128 and more for a signal."""
        self.wait_for(lambda: not self.read(), "the end")
        self._process.close()
        if self._process.signalstatus:
            return 128 + int(self._process.signalstatus)
        return int(self._process.exitstatus)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.close(force=True)
