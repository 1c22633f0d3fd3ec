"""`e2ee chat`: the line interface over standard input and output.

Knows how its parts are composed; the conversation is `chat`'s.
"""

from __future__ import annotations

import os

from e2ee.ui.chat import Chat
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation


async def run_chat(call: Invocation, partner: str | None) -> int:
    """Talk until the user has had enough. Raises Failure, OutputClosed."""
    async with call.conversations(lasting=True, reads_lines=True) as messenger:
        chat = Chat(messenger, call.console(), call.reactor, call.now, os.urandom)
        await chat.run(partner, call.left())
    return DONE
