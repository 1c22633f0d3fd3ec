"""A line editor on a terminal in memory: keys go in through a pipe, and an emulator shows what comes out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pyte
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth
from twisted.internet import reactor
from twisted.internet.task import deferLater

from e2ee.ui.line_editor import Heard, LineEditor
from e2ee.ui.suggestions import Suggestion
from e2ee.ui.toolkit import Silent
from examples.screen import Emulator


class Wire(io.StringIO):
    """What the editor writes, into the emulator; remembers all of it."""

    def __init__(self, screen: Emulator) -> None:
        super().__init__()
        self.stream = pyte.Stream(screen)
        self.written = ""
        self.broken = False

    def write(self, text: str) -> int:
        """Show it. What a terminal's driver does to a line feed is done here."""
        if self.broken:
            raise OSError(5, "the terminal has gone")
        self.written += text
        self.stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        return len(text)


class Desk:
    """A terminal of some size, at which one editor runs. Use `make_editor` for a console."""

    def __init__(self, case: Any, columns: int = 40, rows: int = 12) -> None:
        self.screen = Emulator(columns, rows)
        self.wire = Wire(self.screen)
        self.size = Size(rows=rows, columns=columns)
        self._input = create_pipe_input()
        self.keyboard = self._input.__enter__()
        case.addCleanup(self._input.__exit__, None, None, None)

    def make_editor(
        self, heard: Heard, typed: Sequence[str], suggest: Any = lambda line: ()
    ) -> LineEditor:
        """See `terminal_console.MakeEditor`."""
        output = Silent(
            self.wire, lambda: self.size, term="xterm", default_color_depth=ColorDepth.DEPTH_1_BIT
        )
        return LineEditor(heard, typed, suggest, self.keyboard, output)

    def resize(self, columns: int, rows: int) -> None:
        """Another size."""
        self.size = Size(rows=rows, columns=columns)
        self.screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        """Press keys."""
        self.keyboard.send_text(keys)

    @property
    def rows(self) -> list[str]:
        """What stands on the screen, without the empty rows below."""
        rows = self.screen.rows
        while rows and not rows[-1]:
            rows.pop()
        return rows

    async def until(self, what: str, *rows: str) -> None:
        """Wait until each of these is a row of the screen."""
        for _ in range(12_000):
            if all(row in self.rows for row in rows):
                return
            await deferLater(reactor, 0.01)
        shown = "\n".join(self.rows)
        raise AssertionError(f"{what}: waited for {rows!r} on\n{shown}")


def no_suggestions(line: str) -> Iterable[Suggestion]:
    """Nothing to complete."""
    return ()


async def eventually(what: str, condition: Any) -> None:
    """Wait for what a thread does."""
    for _ in range(12_000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError(f"gave up waiting for {what}")


