"""Which own messages of a chat the server has not accepted yet, and how long that is worth waiting for.

Knows points in time that it is given, no clock, no messenger.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.client.events import SentMessage, SentState
from e2ee.errors import Code
from e2ee.ids import Address, MessageId

NEEDS_A_PERSON = frozenset({Code.KEY_CHANGED})
"""Reasons that no waiting removes."""


@dataclass(slots=True)
class _Waiting:
    to: Address
    retry_at: float = 0.0
    code: Code | None = None


class Acceptance:
    """Messages from `sent` until the server has them, or will never have them. Times are seconds."""

    def __init__(self) -> None:
        self._waiting: dict[MessageId, _Waiting] = {}
        self._said: set[tuple[Address, Code]] = set()
        self._granted: set[tuple[Address, Code]] = set()
        self._progress_at = 0.0

    def sent(self, message_id: MessageId, to: Address) -> None:
        """This one is about to be queued."""
        self._waiting[message_id] = _Waiting(to)

    def forget(self, message_id: MessageId) -> None:
        """It waits no longer, or was not queued."""
        waiting = self._waiting.pop(message_id, None)
        if waiting is not None and all(other.to != waiting.to for other in self._waiting.values()):
            self._said = {(to, code) for to, code in self._said if to != waiting.to}

    def changed(self, message: SentMessage, now: float) -> bool:
        """Take in its state; whether there is a reason to wait that is news.

        What makes a message to somebody wait makes all behind it wait: it is news once, until nothing
        waits for him any more.
        """
        waiting = self._waiting.get(message.message_id)
        if waiting is None:
            return False
        if message.state is not SentState.QUEUED:
            self.forget(message.message_id)
            self._progress_at = now
            self._granted = {(to, code) for to, code in self._granted if to != waiting.to}
            return False
        error = message.error
        if error is None:
            waiting.code, waiting.retry_at = None, 0.0
            return False
        waiting.code = error.code
        reason = (waiting.to, error.code)
        if reason not in self._granted:
            # Only once between two acceptances: who is refused again and again is not coming back.
            self._granted.add(reason)
            waiting.retry_at = now + (error.retry_after or 0.0)
        news = reason not in self._said
        self._said.add(reason)
        return news

    @property
    def count(self) -> int:
        """How many are not accepted."""
        return len(self._waiting)

    @property
    def hopeful(self) -> bool:
        """Whether one of them can be accepted without somebody's doing."""
        return any(waiting.code not in NEEDS_A_PERSON for waiting in self._waiting.values())

    def patience_ends(self, began: float, patience: float) -> float:
        """When to stop waiting: `patience` after the last acceptance, or the first `retry_after` since."""
        retries = (one.retry_at for one in self._waiting.values() if one.code not in NEEDS_A_PERSON)
        return max(began, self._progress_at, *retries) + patience
