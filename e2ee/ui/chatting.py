"""`e2ee chat`: the line interface over standard input and output.

Knows how its parts are composed, on a pipe and on a terminal; the conversation is `chat`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from e2ee.ui.chat import Chat
from e2ee.ui.console import PlainConsole
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.scene import PlainTerminal, Scene
from e2ee.ui.terminal_console import TerminalConsole, editor_of_terminal

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

Tell = Callable[[str], None]


async def run_chat(call: Invocation, partner: str | None) -> int:
    """Talk until the user has had enough. Raises Failure, OutputClosed."""
    async with call.conversations(lasting=True, reads_lines=True) as messenger:
        chat = _on_terminal(call, messenger) if call.has_line_editor else _plain(call, messenger)
        await chat.run(partner, call.left())
    return DONE


def _plain(call: Invocation, messenger: Conversations) -> Chat:
    """A pipe, or a terminal that can only print."""
    prompts = call.on_terminal
    console = PlainConsole(call.lines(), call.printer, call.in_thread, prompts=prompts)

    def scene(tell: Tell) -> Scene:
        return PlainTerminal(tell) if prompts else Scene()

    return Chat(messenger, console, call.reactor, call.now, os.urandom, scene)


def _on_terminal(call: Invocation, messenger: Conversations) -> Chat:
    # Imported here: a pipe draws nothing.
    from e2ee.ui.terminal_scene import TerminalScene

    def remember(line: str) -> None:
        """What cannot be kept is no reason to end a conversation."""
        Deferred.fromCoroutine(messenger.remember_line(line)).addErrback(lambda _: None)

    make_editor = editor_of_terminal(os.environ.get("TERM"))
    console = TerminalConsole(call.reactor, call.printer, make_editor, remember)

    def scene(tell: Tell) -> Scene:
        return TerminalScene(messenger, console, call.reactor, call.now, tell)

    return Chat(messenger, console, call.reactor, call.now, os.urandom, scene)
