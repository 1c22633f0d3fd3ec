"""Requests and their answers, pushes and their acknowledgements: the numbers of a connection.

Knows how numbers must fit together, not phases or bytes. Both sides keep the same account of the
same conversation; whose fault a complaint is depends on who was about to speak.
"""

from __future__ import annotations

from e2ee.wire import limits
from e2ee.wire import messages as m
from e2ee.wire.phases import ANSWERS


class Exchange:
    """What waits for an answer, and how much was pushed, on one connection."""

    def __init__(self) -> None:
        self._unanswered: dict[int, type[m.Message]] = {}
        self._pushed = 0
        self._unacknowledged: dict[int, int] = {}  # push number → bytes of its envelope
        self._unacknowledged_bytes = 0

    @property
    def unanswered(self) -> int:
        """Requests without an answer."""
        return len(self._unanswered)

    @property
    def pushed(self) -> int:
        """The number of the last push, 0 before the first."""
        return self._pushed

    def complaint(self, message: m.Message) -> str:
        """Why the numbers of this message do not fit; empty if they do."""
        if isinstance(message, m.Push):
            return self._push_complaint(message)
        if isinstance(message, m.Acknowledge):
            return "" if message.push <= self._pushed else "an acknowledgement of what was never pushed"
        number: int | None = getattr(message, "n", None)
        if number is None:
            return ""
        request = self._unanswered.get(number)
        if type(message) in ANSWERS:
            return "" if request is None else "the number of a request that is still unanswered"
        if request is None:
            return "an answer to nothing that was asked"
        if isinstance(message, (m.Refused, *ANSWERS[request])):
            return ""
        return f"{type(message).__name__} is no answer to {request.__name__}"

    def note(self, message: m.Message) -> None:
        """Take a message without a complaint into account."""
        if isinstance(message, m.Push):
            self._pushed = message.push
            self._unacknowledged[message.push] = len(message.envelope)
            self._unacknowledged_bytes += len(message.envelope)
            return
        if isinstance(message, m.Acknowledge):
            self._unacknowledged_bytes -= self._unacknowledged.pop(message.push, 0)
            return
        number: int | None = getattr(message, "n", None)
        if number is None:
            return
        if type(message) in ANSWERS:
            self._unanswered[number] = type(message)
        else:
            del self._unanswered[number]

    def _push_complaint(self, message: m.Push) -> str:
        if message.push != self._pushed + 1:
            return "pushes are numbered 1, 2, 3 …"
        size = self._unacknowledged_bytes + len(message.envelope)
        if len(self._unacknowledged) >= limits.WINDOW_MESSAGES or size > limits.WINDOW_BYTES:
            # The server keeps to it (`window`); a client must not have to hold what another one pushes.
            return "more is pushed than the window of unacknowledged pushes has room for"
        return ""
