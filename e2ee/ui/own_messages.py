"""The texts that somebody writes in a chat, until the server has them.

Knows the messenger and what is worth saying about a text; not the chat's commands.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from e2ee.client.events import MessageFailed, SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.ui import render
from e2ee.ui.acceptance import Acceptance
from e2ee.ui.files import file_typed
from e2ee.ui.scene import Scene
from e2ee.ui.waiting import Bell

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


class OwnMessages:
    """`tell` prints a record beside the conversation; `bell` is rung when something has changed;
    `scene` shows each text."""

    def __init__(
        self,
        messenger: Conversations,
        clock: IReactorTime,
        entropy: Callable[[int], bytes],
        bell: Bell,
        tell: Callable[[str], None],
        scene: Scene,
    ) -> None:
        self._messenger = messenger
        self._clock = clock
        self._entropy = entropy
        self._bell = bell
        self._tell = tell
        self._scene = scene
        self._acceptance = Acceptance()
        self._reasons: dict[MessageId, str] = {}

    async def say(self, to: Address, text: str) -> None:
        """Return when the text is committed to the outbox. Raises Failure(USAGE) if it cannot be sent."""
        await self._queue(to, text, lambda chosen: self._messenger.queue(to, text, chosen))

    async def send_file(self, to: Address | None, typed: str) -> None:
        """The same with a file, to the one with whom a chat is open."""
        if to is None:
            raise Failure(Code.USAGE, "no chat is open")
        path = file_typed(typed)
        shown = f"file {os.path.basename(path)}"
        await self._queue(to, shown, lambda chosen: self._messenger.files.queue(to, path, "", chosen))

    async def _queue(
        self, to: Address, shown: str, queue: Callable[[MessageId], Awaitable[SentMessage]]
    ) -> None:
        # Chosen here: news of it can come before `queue` returns.
        message_id = MessageId(self._entropy(MessageId.SIZE))
        self._acceptance.sent(message_id, to)
        try:
            await self._scene.writing(message_id, to, shown)
            message = await queue(message_id)
        except BaseException:
            self._acceptance.forget(message_id)
            self._scene.refused(message_id)
            raise
        if message.error is not None:
            self.changed(message)

    def changed(self, message: SentMessage) -> None:
        """Keep how far it has come; a new reason why it waits is said once."""
        news = self._acceptance.changed(message, self._clock.seconds())
        if news and message.error is not None:
            self._tell(render.notice(f"not sent yet: {render.failure_sentence(message.error)}"))
        if message.state is SentState.FAILED and message.error is not None:
            self._reasons[message.message_id] = message.error.sentence
        self._bell.ring()

    def why_failed(self, event: MessageFailed) -> str | None:
        """The reason that was heard when it failed, if that was in this chat."""
        return self._reasons.pop(event.message_id, None)

    @property
    def left(self) -> int:
        """How many the server does not have."""
        return self._acceptance.count

    @property
    def hopeful(self) -> bool:
        """Whether one of them may still be accepted without anybody's doing."""
        return self._acceptance.hopeful

    async def settled(self, patience: float, limit: float | None, check: Callable[[], None]) -> bool:
        """Wait until all are accepted, and return whether they are.

        Gives up `patience` seconds after the last acceptance and after the last `retry_after` that
        ran, and after `limit` seconds in any case. `check` raises what has ended the conversation.
        """
        began = self._clock.seconds()
        while self.hopeful:
            check()
            ends = self._acceptance.patience_ends(began, patience)
            if limit is not None:
                ends = min(ends, began + limit)
            if self._clock.seconds() >= ends:
                break
            await self._bell.rung(ends - self._clock.seconds())
        return not self.left


def count_messages(count: int) -> str:
    """``1 message``, ``2 messages``."""
    return "1 message" if count == 1 else f"{count} messages"
