"""The line being typed on a terminal, with all that stands around it: drawn by prompt_toolkit.

Runs in a thread of its own, with that thread's event loop; whoever uses it says what is to happen there
(`post`) and hears of lines through callbacks, which come in that thread. Asks the terminal nothing, so
nothing comes back from it but keys. Knows no chat and no reactor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.renderer import print_formatted_text

from e2ee.ui.live_records import LiveRecords, Row
from e2ee.ui.sanitiser import FURTHER_LINE, clean_line
from e2ee.ui.status_line import Standing, fitted, status_line
from e2ee.ui.suggestions import Suggestion
from e2ee.ui.toolkit import STYLE, Silent, Suggesting, Typed, fragments

LEAVE_HINT = "Ctrl-C again, or Ctrl-D, leaves"

@dataclass
class Screen:
    """All that is drawn; changed in the editor's thread only."""

    live: LiveRecords = field(default_factory=LiveRecords)
    prompt: str = ">"
    standing: Standing = field(default_factory=Standing)


Act = Callable[[Screen], None]


@dataclass(frozen=True)
class Heard:
    """What an editor tells; called in its thread. `line`: None when the user wants to leave. `typing`: some
    text is being written."""

    line: Callable[[str | None], None]
    remember: Callable[[str], None]
    ended: Callable[[BaseException | None], None]
    typing: Callable[[], None] = lambda: None


class LineEditor:
    """One line after the other, until `leave`. `typed` are earlier lines, oldest first."""

    def __init__(
        self,
        heard: Heard,
        typed: Sequence[str],
        suggest: Callable[[str], Iterable[Suggestion]],
        keyboard: Input,
        output: Silent,
    ) -> None:
        self._heard = heard
        self._output = output
        self._screen = Screen()
        self._lock = Lock()
        self._posted: deque[tuple[Act, Callable[[], None]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._leaving = self._over = False
        self._interrupted = False
        self._awaited: list[asyncio.Event] = []
        self._session: PromptSession[None] = PromptSession(
            message=self._message,
            bottom_toolbar=self._toolbar,
            completer=Suggesting(suggest),
            complete_while_typing=False,
            prompt_continuation=FURTHER_LINE,
            history=Typed(typed, heard.remember),
            key_bindings=self._keys(),
            style=STYLE,
            erase_when_done=True,
            enable_suspend=True,
            input=keyboard,
            output=output,
        )
        self._session.default_buffer.accept_handler = self._accept
        self._session.default_buffer.on_text_changed += self._typing
        self._session.app.before_render += self._shrink
        self._session.app.after_render += self._drawn

    # --- from any thread ----------------------------------------------------------------------

    def post(self, act: Act, done: Callable[[], None] = lambda: None) -> bool:
        """Have `act` change the screen; `done` is called when that has been drawn. False at the end."""
        with self._lock:
            if self._over:
                return False
            self._posted.append((act, done))
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._wake.set)
        return True

    def leave(self) -> None:
        """Give the terminal back, with all that was posted on it."""
        with self._lock:
            self._leaving = True
            loop = None if self._over else self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._exit)

    # --- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """Edit until `leave`, or until the terminal has gone. Blocks."""
        error: BaseException | None = None
        try:
            asyncio.run(self._edit())
            self._finish()
        except (Exception, EOFError) as failure:
            error = failure
            with self._lock:
                self._over = True
        self._heard.ended(error)

    async def _edit(self) -> None:
        loop = asyncio.get_running_loop()
        broken: list[BaseException] = []

        def fail(_: object, context: dict[str, Any]) -> None:
            broken.append(context.get("exception") or RuntimeError(str(context["message"])))
            self._exit()

        loop.set_exception_handler(fail)
        await self._session.app.run_async(
            pre_run=self._begin, set_exception_handler=False, handle_sigint=False
        )
        if broken:
            raise broken[0]

    def _begin(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            leaving = self._leaving
        self._session.app.create_background_task(self._work())
        self._wake.set()
        if leaving:
            asyncio.get_running_loop().call_soon(self._exit)

    def _exit(self) -> None:
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit()

    async def _work(self) -> None:
        """Do what is posted, and say that it is done when it has been drawn."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while done := self._act():
                gone = self._scrolled()
                if gone:
                    await run_in_terminal(lambda gone=gone: self._write(gone))  # type: ignore[misc]
                else:
                    await self._redrawn()
                for one in done:
                    one()

    async def _redrawn(self) -> None:
        drawn = asyncio.Event()
        self._awaited.append(drawn)
        self._session.app.invalidate()
        await drawn.wait()

    def _drawn(self, _: object) -> None:
        awaited, self._awaited = self._awaited, []
        for drawn in awaited:
            drawn.set()

    def _shrink(self, app: Application[None]) -> None:
        """What is drawn never becomes lower by itself: begin anew where less is wanted."""
        last, size = app.renderer.last_rendered_screen, self._output.get_size()
        wanted = app.layout.container.preferred_height(size.columns, size.rows).preferred
        if last is not None and last.height > wanted:
            app.renderer.erase()

    def _act(self) -> list[Callable[[], None]]:
        with self._lock:
            posted = list(self._posted)
            self._posted.clear()
        for act, _ in posted:
            act(self._screen)
        return [done for _, done in posted]

    def _scrolled(self) -> list[Row]:
        size = self._output.get_size()
        return self._screen.live.scrolled(size.columns, size.rows // 2)

    def _write(self, rows: Iterable[Row]) -> None:
        """Rows that the terminal keeps, above all that is drawn anew."""
        depth = self._session.app.color_depth
        print_formatted_text(self._output, fragments(rows), STYLE, color_depth=depth)

    def _finish(self) -> None:
        """Leave everything on the terminal that it has not got yet."""
        with self._lock:
            self._over = True
        done = self._act()
        self._write(self._screen.live.rows(self._output.get_size().columns))
        for one in done:
            one()

    # --- what is drawn ------------------------------------------------------------------------

    def _message(self) -> StyleAndTextTuples:
        columns = self._output.get_size().columns
        rows = fragments(self._screen.live.rows(columns))
        prompt = fitted(clean_line(self._screen.prompt), max(columns // 3, 2))
        return [*rows, ("class:asked", prompt), ("", " ")]

    def _toolbar(self) -> StyleAndTextTuples:
        columns = self._output.get_size().columns
        said = status_line(self._screen.standing, columns)
        return [("", fitted(LEAVE_HINT, columns) if self._interrupted else said)]

    # --- keys ---------------------------------------------------------------------------------

    def _accept(self, buffer: Buffer) -> bool:
        """One line is finished; it is shown again by whoever obeys it, if at all."""
        self._interrupted = False
        self._heard.line(buffer.text)
        return False

    def _typing(self, buffer: Buffer) -> None:
        """Whoever goes on typing wants to stay."""
        self._interrupted = False
        if buffer.text and not buffer.text.startswith("/"):
            self._heard.typing()

    def _keys(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("c-c")
        def interrupt(event: KeyPressEvent) -> None:
            """Clear the line; twice: leave."""
            if self._interrupted:
                self._heard.line(None)
            self._session.default_buffer.reset()
            self._interrupted = True
            event.app.invalidate()

        @bindings.add("escape", "enter")
        def another_line(event: KeyPressEvent) -> None:
            """A line end within the message."""
            event.current_buffer.newline(copy_margin=False)

        @bindings.add("c-d")
        def leave_or_delete(event: KeyPressEvent) -> None:
            """Leave, from an empty line."""
            if event.current_buffer.text:
                event.current_buffer.delete()
            else:
                self._heard.line(None)

        return bindings
