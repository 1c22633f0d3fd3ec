"""Standard input and output without blocking the reactor: a pipe, or a terminal in its plain line mode.

Both are one class: a terminal gets prompts, a pipe none. Knows lines and records, not what they mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThreadPool

from e2ee.ui.printer import RecordPrinter
from e2ee.ui.streams import LineSource

T = TypeVar("T")


class InThread(Protocol):
    """Runs a blocking call off the reactor's thread and gives what it returns or raises."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


def in_thread_of(reactor: Any) -> InThread:
    """The pool of this reactor."""

    def in_thread(work: Callable[[], T], /) -> Awaitable[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return in_thread


class Console(Protocol):
    """What the line interface needs; tests have one in memory."""

    def print(self, *records: str) -> Awaitable[None]:
        """Return when the records are out. Raises OutputClosed."""

    def read_line(self, prompt: str) -> Awaitable[str | None]:
        """The next line, None at the end. `prompt` is shown on a terminal only. Raises Failure(USAGE)."""


class Printer:
    """Records in the order in which they were given, each flushed before the next."""

    def __init__(self, records: RecordPrinter, in_thread: InThread) -> None:
        self._records = records
        self._in_thread = in_thread
        self._turn = DeferredLock()

    async def print(self, *records: str) -> None:
        """Return when the system has taken them. Raises OutputClosed, Interrupted."""
        async with self._turn:
            await self._in_thread(lambda: self._records.print(*records))

    async def draw(self, *lines: str) -> None:
        """A figure, in one piece. As `print`."""
        async with self._turn:
            await self._in_thread(lambda: self._records.draw(*lines))

    async def prompt(self, text: str) -> None:
        """A prompt: what follows is typed behind it."""
        async with self._turn:
            await self._in_thread(lambda: self._records.prompt(text))


class PlainConsole:
    """Lines in, records out. The next line is read only when it is asked for."""

    def __init__(self, lines: LineSource, printer: Printer, in_thread: InThread, *, prompts: bool) -> None:
        self._lines = lines
        self._printer = printer
        self._in_thread = in_thread
        self._prompts = prompts

    async def print(self, *records: str) -> None:
        """Return when the records are out. Raises OutputClosed, Interrupted."""
        await self._printer.print(*records)

    async def read_line(self, prompt: str) -> str | None:
        """The next line, None at the end. Raises Failure(USAGE) for what is not UTF-8, Interrupted."""
        if self._prompts:
            await self._printer.prompt(prompt)
        return await self._in_thread(self._lines.read_line)
