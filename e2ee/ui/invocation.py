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
from e2ee.client.events import ShownEvent
from e2ee.client.profile import OpenProfile, Passphrases, Profile, open_profile
from e2ee.ui import render
from e2ee.ui.console import PlainConsole, Printer, in_thread_of
from e2ee.ui.options import DEFAULT_TIMEOUT, Options
from e2ee.ui.printer import RecordPrinter, print_error
from e2ee.ui.streams import Interruption, LineSink, LineSource
from e2ee.ui.terminal import Terminal, has_person

if TYPE_CHECKING:
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
        self._interruption = interruption
        self._began = float(reactor.seconds())
        self.in_thread = in_thread_of(reactor)
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
        await self.printer.print(*(map(render.as_json, objects) if self.options.json else records))

    async def draw(self, lines: list[str]) -> None:
        """Draw a figure for people; with `--json` there is none."""
        if not self.options.json:
            await self.printer.draw(*lines)

    async def show_event(self, event: ShownEvent) -> None:
        """Print what came in."""
        if self.options.json:
            await self.printer.print(render.as_json(render.event_object(event)))
        else:
            await self.printer.print(render.event_record(event, self.now()))

    def mention(self, sentence: str) -> None:
        """Say something beside the data, on standard error."""
        print_error(render.notice(sentence))

    # --- input --------------------------------------------------------------------------------

    def console(self) -> PlainConsole:
        """Standard input and output for the line interface."""
        lines = LineSource(0, self._interruption)
        prompts = os.isatty(0) and os.isatty(1)
        return PlainConsole(lines, self.printer, self.in_thread, prompts=prompts)

    def terminal(self) -> Terminal | None:
        """Where a person can be asked, if there is one."""
        return Terminal(self._interruption) if has_person() else None

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
    async def opened(self, lock_timeout: float | None) -> AsyncIterator[OpenProfile]:
        """The profile, unlocked for as long as the context lasts."""
        opened = await open_profile(
            self.reactor, self.profile, self.passphrases, timeout=lock_timeout, on_broken=self.on_broken
        )
        try:
            yield opened
        finally:
            await opened.close()

    @asynccontextmanager
    async def conversations(
        self, *, connect: bool = True, once: bool = False, patient: bool = False
    ) -> AsyncIterator[tuple[Messenger, OpenProfile]]:
        """The messenger of the profile, started. What waits in the outbox is sent before the end.

        `once`: tries the server once; `patient`: waits for the profile's lock for ever.
        """
        lock_timeout = None if patient and self.options.timeout is None else self.left()
        # Both take their time, and the vault's key is derived without the interpreter's lock.
        loading = self.in_thread(_load_messenger)
        async with self.opened(lock_timeout) as opened:
            await loading
            async with self.started(opened, connect=connect, once=once) as messenger:
                yield messenger, opened
                await messenger.outbox_sent(self.left())

    @asynccontextmanager
    async def started(
        self, opened: OpenProfile, *, connect: bool = True, once: bool = False
    ) -> AsyncIterator[Messenger]:
        """The messenger of an open profile, started; the profile stays open."""
        from e2ee.client.messenger import Messenger

        messenger = Messenger(opened, self.reactor, os.urandom, once=once)
        try:
            await messenger.start(connect=connect)
            yield messenger
        finally:
            await messenger.stop()


def _load_messenger() -> None:
    """All that talks to a server hangs on this import."""
    import e2ee.client.messenger  # noqa: F401
