"""One call of the program: what was asked for, where it prints, and the profile that it opens.

Knows how the pieces are composed; the verbs know what is done with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from e2ee.client.config import default_data_dir
from e2ee.client.events import ReceiptReceived, ShownEvent
from e2ee.client.profile import OpenProfile, Passphrases, Profile
from e2ee.errors import Failure
from e2ee.ui import event_render, render
from e2ee.ui.console import Printer, in_thread_of
from e2ee.ui.options import DEFAULT_TIMEOUT, Options
from e2ee.ui.printer import RecordPrinter, print_error, report
from e2ee.ui.progress import ProgressBar, may_draw
from e2ee.ui.streams import LINE_BYTES, Interruption, LineSink, LineSource
from e2ee.ui.terminal import Terminal, has_cursor, has_person

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations
    from e2ee.client.messenger import Messenger


class Invocation:
    """What a verb gets to work with. `reactor` tells how much time has passed, too, not what time it is."""

    def __init__(
        self,
        options: Options,
        reactor: Any,
        interruption: Interruption,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self.options = options
        self.reactor = reactor
        self.on_broken = on_broken
        self.interruption = interruption
        self._began = float(reactor.seconds())
        self.in_thread = in_thread_of(reactor)
        self.progress = ProgressBar(drawn=may_draw(options.json))
        records = RecordPrinter(LineSink(1, interruption), folded=not options.json)
        self.printer = Printer(records, self.in_thread)

    # --- time ---------------------------------------------------------------------------------

    def left(self) -> float:
        """Seconds of `--timeout` that are left for a one-shot."""
        given = DEFAULT_TIMEOUT if self.options.timeout is None else self.options.timeout
        return max(0.0, self._began + given - float(self.reactor.seconds()))

    def now(self) -> int:
        """Milliseconds since 1970, to say when something was."""
        return int(time.time() * 1000)

    # --- output -------------------------------------------------------------------------------

    async def show(self, records: list[str], *objects: Mapping[str, Any]) -> None:
        """Print the objects with `--json`, else the records."""
        self.progress.clear()
        await self.printer.print(*(map(render.as_json, objects) if self.options.json else records))

    async def draw(self, lines: list[str]) -> None:
        """Draw a figure for people; with `--json` there is none."""
        if not self.options.json:
            await self.printer.draw(*lines)

    async def show_event(self, event: ShownEvent) -> None:
        """Print what came in; receipts are for scripts, a person finds the states in the history."""
        self.progress.clear()
        if self.options.json:
            await self.printer.print(render.as_json(event_render.event_object(event)))
        elif not isinstance(event, ReceiptReceived):
            await self.printer.print(event_render.event_record(event, self.now()))

    def mention(self, sentence: str) -> None:
        """Say something beside the data, on standard error."""
        self.progress.clear()
        print_error(render.notice(sentence))

    def report(self, failure: Failure) -> int:
        """Say what went wrong, on standard error; returns the exit code."""
        return report(failure, self.options.json)

    # --- input --------------------------------------------------------------------------------

    def lines(self, limit: int = LINE_BYTES) -> LineSource:
        """Standard input; `limit`: bytes of the longest line."""
        return LineSource(0, self.interruption, limit)

    @property
    def on_terminal(self) -> bool:
        """Whether standard input and output both are one."""
        return os.isatty(0) and os.isatty(1)

    @property
    def has_line_editor(self) -> bool:
        """Whether it is one that can do more than print."""
        return self.on_terminal and has_cursor()

    def terminal(self) -> Terminal | None:
        """Where a person can be asked, if there is one."""
        return Terminal(self.interruption) if has_person() else None

    # --- profile ------------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """The chosen one. Raises Failure(USAGE) for an impossible name."""
        return Profile(self.options.data_dir or default_data_dir(), self.options.profile)

    @property
    def passphrases(self) -> Passphrases:
        """The sources that this call has."""
        terminal = self.terminal()
        return Passphrases(self.options.passphrase_file, terminal.passphrase if terminal else None)

    @asynccontextmanager
    async def conversations(
        self,
        *,
        connect: bool = True,
        once: bool = False,
        lasting: bool = False,
        patient: bool = False,
        reads_lines: bool = False,
    ) -> AsyncIterator[Conversations]:
        """The conversations of the profile, started, whichever process holds its vault.

        What waits in the outbox is sent before the end.

        `once`: tries the server once; `lasting`: goes on until it is told to end; `patient`: waits for
        the vault for ever; `reads_lines`: standard input is read meanwhile, so that later on nobody can
        be asked for a passphrase there.
        """
        from e2ee.client.agent import Conversations, Way

        way = Way(
            self.reactor, self.profile, self.passphrases, os.urandom, self.on_broken,
            lasting=lasting, ask_again=not reads_lines,
        )  # fmt: skip
        conversations = Conversations(way, self.reactor, os.urandom, connect=connect, once=once)
        try:
            await conversations.start(None if patient and self.options.timeout is None else self.left())
            yield conversations
            await conversations.outbox_sent(self.left())
        finally:
            await conversations.close()

    @asynccontextmanager
    async def started(self, opened: OpenProfile) -> AsyncIterator[Messenger]:
        """The messenger of a profile that this process has open, started; the profile stays open."""
        from e2ee.client.messenger import Messenger

        messenger = Messenger(opened, self.reactor, os.urandom)
        try:
            await messenger.start()
            yield messenger
        finally:
            await messenger.stop()
