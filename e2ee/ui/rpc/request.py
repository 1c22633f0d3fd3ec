"""One request of a program, as the verbs see it: a call whose output is its answer.

The verbs run as they are. Knows what becomes of what they print; not where the answer goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from e2ee.client.events import ShownEvent
from e2ee.errors import Code, Failure
from e2ee.ui import event_render, render
from e2ee.ui.exit_codes import exit_code
from e2ee.ui.invocation import Invocation

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations
    from e2ee.ui.rpc.desk import Desk

ANSWER_BYTES = 8 * 1024 * 1024
"""The longest answer to a line: it is held in memory until its reader has taken it."""


class Room:
    """What is left of ANSWER_BYTES for the answer to one line, be it a request or a batch of them."""

    def __init__(self) -> None:
        self._left = ANSWER_BYTES

    def take(self, size: int) -> None:
        """Raises Failure(USAGE) when there is not so much left."""
        self._left -= size
        if self._left < 0:
            raise Failure(Code.USAGE, f"the answer is longer than {ANSWER_BYTES} bytes: ask for less at once")


class Request(Invocation):
    """With the conversations and the desk of the program that asks; `timeout` in seconds is its own."""

    def __init__(self, call: Invocation, desk: Desk, timeout: float | None, room: Room) -> None:
        options = replace(
            call.options, json=True, timeout=call.options.timeout if timeout is None else timeout
        )
        super().__init__(options, call.reactor, call.interruption, call.on_broken)
        self.desk = desk
        self.printed: list[str] = []
        self.after_flush: Callable[[], Awaitable[None]] | None = None
        """What is to be done once the answer has been taken."""
        self._room = room

    @property
    def shared(self) -> Conversations:
        """The conversations that all requests of this program use."""
        return self.desk.conversations

    @property
    def line(self) -> object:
        """The same for all requests of one line, which are answered together, and for no other."""
        return self._room

    def add(self, shown: Mapping[str, Any]) -> None:
        """A part of the answer. Raises Failure(USAGE) when there is too much of it."""
        text = render.as_json(shown)
        self._room.take(len(text) + 1)
        self.printed.append(text)

    # --- what verbs use -----------------------------------------------------------------------

    async def show(self, records: list[str], *objects: Mapping[str, Any]) -> None:
        """See `Invocation.show`."""
        for one in objects:
            self.add(one)

    async def draw(self, lines: list[str]) -> None:
        """Programs see no figures."""

    async def show_event(self, event: ShownEvent) -> None:
        """See `Invocation.show_event`."""
        self.add(event_render.event_object(event))

    def mention(self, sentence: str) -> None:
        """What stands beside the data is told as a notification, to who has subscribed."""
        self.desk.news.notice(sentence)

    def report(self, failure: Failure) -> int:
        """What failed stands in the objects that were shown."""
        return exit_code(failure.code)

    def terminal(self) -> None:
        """Nobody can be asked."""

    @asynccontextmanager
    async def conversations(self, **_: bool) -> AsyncIterator[Conversations]:
        """Those that are there: they outlast this request."""
        yield self.shared
