"""A terminal with a line editor: the line interface's console for people.

What is printed goes above the line being typed, and own messages change there. Knows threads and the
order of what is printed; how it is drawn, the editor knows (`line_editor`), which is imported where a
terminal needs it and nowhere else.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred

from e2ee.errors import Code
from e2ee.ui.console import Printer
from e2ee.ui.status_line import Standing
from e2ee.ui.streams import LineRefused, OutputClosed
from e2ee.ui.suggestions import Suggestion

if TYPE_CHECKING:
    from e2ee.ui.line_editor import Act, Heard, LineEditor

Suggest = Callable[[str], Iterable[Suggestion]]


class MakeEditor(Protocol):
    """Makes the line editor; tests have one on a terminal in memory."""

    def __call__(self, heard: Heard, typed: Sequence[str], suggest: Suggest, /) -> LineEditor: ...


def editor_of_terminal(term: str | None) -> MakeEditor:
    """Standard input and output, which are a terminal of this kind."""
    from prompt_toolkit.input import create_input

    from e2ee.ui.line_editor import LineEditor
    from e2ee.ui.toolkit import silent

    return lambda heard, typed, suggest: LineEditor(
        heard, typed, suggest, create_input(sys.stdin), silent(sys.stdout, term)
    )


class TerminalConsole:
    """Lines in, records out, from the first `read_line` to `close` by an editor; else by `printer`.

    `remember` is called with each line that the arrow keys are to bring back another time.
    """

    def __init__(
        self, reactor: Any, printer: Printer, make_editor: MakeEditor, remember: Callable[[str], None]
    ) -> None:
        self._reactor = reactor
        self._printer = printer
        self._make_editor = make_editor
        self._remember = remember
        self._editor: LineEditor | None = None
        self._ended: Deferred[None] = Deferred()
        self._drawing: set[Deferred[None]] = set()
        self._gone: BaseException | None = None
        self._lines: deque[str | None] = deque()
        self._reader: Deferred[None] | None = None
        self._standing = Standing()

    # --- the editor's life --------------------------------------------------------------------

    def open(
        self, typed: Sequence[str], suggest: Suggest, typing: Callable[[], None] = lambda: None
    ) -> None:
        """Begin to edit; `typed` are earlier lines, oldest first. `typing` is called as text is written."""
        from e2ee.ui.line_editor import Heard

        call = self._reactor.callFromThread
        heard = Heard(
            line=lambda line: call(self._typed, line),
            remember=lambda line: call(self._remember, line),
            ended=lambda error: call(self._editor_ended, error),
            typing=lambda: call(typing),
        )
        self._editor = self._make_editor(heard, typed, suggest)
        self._post_standing()
        Thread(target=self._editor.run, name="terminal", daemon=True).start()

    async def close(self) -> None:
        """Give the terminal back. What is printed from now on follows on it."""
        editor, self._editor = self._editor, None
        if editor is not None:
            editor.leave()
            await self._ended

    def _editor_ended(self, error: BaseException | None) -> None:
        self._gone = error
        drawing, self._drawing = self._drawing, set()
        for drawn in drawing:
            drawn.errback(OutputClosed())
        self._typed(None)
        self._ended.callback(None)

    # --- records ------------------------------------------------------------------------------

    async def print(self, *records: str) -> None:
        """Return when they are on the terminal. Raises OutputClosed."""

        def act(screen: Any) -> None:
            for record in records:
                screen.live.add(record)

        if not await self._done(act):
            await self._printer.print(*records)

    async def show_own(self, key: Hashable, record: str) -> None:
        """An own message, which `change_own` can change."""
        if not await self._done(lambda screen: screen.live.add(record, key)):
            await self._printer.print(record)

    def change_own(
        self, key: Hashable, record: str, *, settled: bool, beyond: Callable[[], None]
    ) -> None:
        """Show an own message differently; `beyond` is called if it is out of reach."""

        def act(screen: Any) -> None:
            if not screen.live.change(key, record, settled=settled):
                self._reactor.callFromThread(beyond)

        if self._editor is None or not self._editor.post(act):
            beyond()

    def show_standing(self, standing: Standing) -> None:
        """What the status line says."""
        if standing == self._standing:
            return
        self._standing = standing
        self._post_standing()

    def _post_standing(self) -> None:
        standing = self._standing

        def act(screen: Any) -> None:
            screen.standing = standing

        if self._editor is not None:
            self._editor.post(act)

    async def _done(self, act: Act) -> bool:
        """Whether the editor has drawn it; False without one."""
        if self._gone is not None:
            raise OutputClosed from self._gone
        drawn: Deferred[None] = Deferred()
        if self._editor is None:
            return False
        self._drawing.add(drawn)
        if not self._editor.post(act, lambda: self._reactor.callFromThread(self._drawn, drawn)):
            self._drawing.discard(drawn)
            return False
        await drawn
        return True

    def _drawn(self, drawn: Deferred[None]) -> None:
        if drawn in self._drawing:
            self._drawing.discard(drawn)
            drawn.callback(None)

    # --- lines --------------------------------------------------------------------------------

    async def read_line(self, prompt: str) -> str | None:
        """The next line, None when the user wants to leave. Raises LineRefused for what is not UTF-8."""

        def act(screen: Any) -> None:
            screen.prompt = prompt

        if self._editor is not None:
            self._editor.post(act)
        while not self._lines:
            if self._editor is None:
                return None
            self._reader = Deferred()
            await self._reader
        line = self._lines.popleft()
        if line is not None and not line.isascii() and _is_broken(line):
            raise LineRefused(Code.USAGE, "the input is not UTF-8")
        return line

    def _typed(self, line: str | None) -> None:
        self._lines.append(line)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)


def _is_broken(line: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in line)
