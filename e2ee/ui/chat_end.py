"""How a chat ends: what was written is waited for, as long as that makes sense.

Knows the own messages and why they may stay in the outbox; neither lines nor who reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from e2ee.errors import Code, Failure
from e2ee.ui.own_messages import OwnMessages, count_messages

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

END_OF_INPUT_SECONDS = 30.0
"""How long after the last acceptance the end of input waits for the next."""
QUIT_SECONDS = 5.0
"""The same for somebody who has typed `quit` and may be sitting there."""


async def end_of_input(own: OwnMessages, messenger: Conversations, check: Callable[[], None]) -> None:
    """Wait until all is accepted. Raises Failure if some of it stays in the outbox, and what `check` does."""
    if await own.settled(END_OF_INPUT_SECONDS, None, check):
        return
    stays = f"{count_messages(own.left)} not accepted; what was written stays in the outbox"
    if not messenger.is_connected:
        raise Failure(Code.UNREACHABLE, f"the server cannot be reached; {stays}")
    if not own.hopeful:
        raise Failure(Code.KEY_CHANGED, f"{stays} until the changed key is trusted")
    raise Failure(Code.TIMEOUT, stays)


async def quit_typed(own: OwnMessages, check: Callable[[], None]) -> str | None:
    """The same for a moment, and without an error: who quits knows what he does. What is left, in words."""
    if await own.settled(QUIT_SECONDS, QUIT_SECONDS, check):
        return None
    return f"{count_messages(own.left)} in the outbox, sent at the next connection"
