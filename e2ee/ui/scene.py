"""What stands around a conversation beside the records that it prints.

On a pipe that is nothing; here is also the plain terminal, without a line editor. A `Chat` tells its
scene what happens; knows no console of its own kind (`terminal_scene` has that of a line editor).
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.events import Event, MessageSent, SentState, ShownEvent
from e2ee.ids import Address, MessageId
from e2ee.ui import render
from e2ee.ui.suggestions import Place

SHOWN_STATES = (SentState.STORED, SentState.DELIVERED, SentState.READ)
QUOTED_CHARACTERS = 40


class Scene:
    """A pipe's: every line is finished, every record printed, and there is nothing else."""

    opens_chats = False
    """Whether what somebody wrote meanwhile is shown when a chat with him is opened."""

    async def begin(self) -> None:
        """The conversation begins."""

    async def leave(self, waiting: int) -> None:
        """No line is read any more; so many own messages wait to be accepted."""

    async def end(self) -> None:
        """It has ended, however."""

    def hear(self, event: Event) -> None:
        """Something happened."""

    def entered(self, partner: Address | None) -> None:
        """The chat with this one is open now, or none."""

    def reading(self, place: Place) -> None:
        """The next line is read, and this is what it means."""

    def holds_back(self, event: ShownEvent) -> bool:
        """Whether this waits until a chat with its sender is opened."""
        return False

    async def obeying(self, prompt: str, line: str) -> None:
        """A command is about to be carried out."""

    async def writing(self, message_id: MessageId, to: Address, text: str) -> None:
        """A text is about to be queued."""

    def refused(self, message_id: MessageId) -> None:
        """It could not be queued."""


class PlainTerminal(Scene):
    """A terminal that can only print: the states of own messages are notices. `tell` prints a record."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._texts: dict[MessageId, str] = {}
        self._states: dict[MessageId, SentState] = {}

    async def writing(self, message_id: MessageId, to: Address, text: str) -> None:
        """Remember it."""
        self._texts[message_id] = text

    def refused(self, message_id: MessageId) -> None:
        """Forget it."""
        self._texts.pop(message_id, None)

    def hear(self, event: Event) -> None:
        """Say each state once."""
        if not isinstance(event, MessageSent):
            return
        message_id, state = event.message.message_id, event.message.state
        if message_id in self._texts and state in SHOWN_STATES and self._states.get(message_id) is not state:
            self._states[message_id] = state
            self._tell(state_notice(state, [self._texts[message_id]]))


def state_notice(state: SentState, texts: list[str]) -> str:
    """How far own messages have come that cannot be marked themselves."""
    if len(texts) > 1:
        return render.notice(f"{state.value}: {len(texts)} earlier messages")
    first = texts[0].split("\n")[0]
    whole = first == texts[0] and len(first) <= QUOTED_CHARACTERS
    return render.notice(f"{state.value}: {first if whole else f'{first[:QUOTED_CHARACTERS]}…'}")
