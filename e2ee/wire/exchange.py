"""Requests and their answers, pushes and their acknowledgements: the numbers of a connection.

Knows how numbers must fit together, not phases or bytes. Both sides keep the same account of requests
and of the last push, the client that of the window, too; whose fault a complaint is depends on who was
about to speak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from e2ee.wire import limits
from e2ee.wire import messages as m
from e2ee.wire.phases import ANSWERS, Role


class Exchange:
    """What waits for an answer, and how much was pushed, on one connection.

    A step takes one kind of message into account; or says why its numbers do not fit, and changes nothing.
    The window of pushes is counted by the side that they come to, which must not have to hold more than
    that: the other side's own account of it is `server.window`.
    """

    def __init__(self) -> None:
        self.unanswered: dict[int, type[m.Message]] = {}
        """Requests without an answer, by their numbers; others only read it."""
        self._pushed = 0
        self._unacknowledged: dict[int, int] = {}  # push number → bytes of its envelope
        self._unacknowledged_bytes = 0

    @property
    def pushed(self) -> int:
        """The number of the last push, 0 before the first."""
        return self._pushed

    def _nothing(self, message: Any) -> str:
        return ""

    def _request(self, request: Any) -> str:
        if request.n in self.unanswered:
            return "the number of a request that is still unanswered"
        self.unanswered[request.n] = type(request)
        return ""

    def _answer(self, answer: Any) -> str:
        if answer.n is None:
            return ""  # the last word of a server answers nothing
        request = self.unanswered.get(answer.n)
        if request is None:
            return "an answer to nothing that was asked"
        kind = type(answer)
        if kind not in ANSWERS[request] and kind is not m.Refused:
            return f"{kind.__name__} is no answer to {request.__name__}"
        del self.unanswered[answer.n]
        return ""

    def _acknowledged(self, acknowledgement: Any) -> str:
        """Server: it comes."""
        if acknowledgement.push > self._pushed:
            return "an acknowledgement of what was never pushed"
        return ""

    def _acknowledge(self, acknowledgement: Any) -> str:
        """Client: it goes out."""
        if acknowledgement.push > self._pushed:
            return "an acknowledgement of what was never pushed"
        self._unacknowledged_bytes -= self._unacknowledged.pop(acknowledgement.push, 0)
        return ""

    def _push(self, push: Any) -> str:
        """Server: it goes out."""
        if push.push != self._pushed + 1:
            return "pushes are numbered 1, 2, 3 …"
        self._pushed = push.push
        return ""

    def _pushed_to_us(self, push: Any) -> str:
        """Client: it comes."""
        if push.push != self._pushed + 1:
            return "pushes are numbered 1, 2, 3 …"
        size = len(push.envelope)
        total = self._unacknowledged_bytes + size
        if len(self._unacknowledged) >= limits.WINDOW_MESSAGES or total > limits.WINDOW_BYTES:
            return "more is pushed than the window of unacknowledged pushes has room for"
        self._pushed = push.push
        self._unacknowledged[push.push] = size
        self._unacknowledged_bytes = total
        return ""


Step = Callable[[Exchange, Any], str]

_STEPS: Final[Mapping[type[m.Message], Step]] = {
    m.Refused: Exchange._answer,
    **dict.fromkeys((answer for answers in ANSWERS.values() for answer in answers), Exchange._answer),
    **dict.fromkeys(ANSWERS, Exchange._request),
}
"""What has a number and is counted alike on both sides."""
_STEPS_OF: Final[Mapping[Role, Mapping[type[m.Message], Step]]] = {
    Role.CLIENT: {**_STEPS, m.Push: Exchange._pushed_to_us, m.Acknowledge: Exchange._acknowledge},
    Role.SERVER: {**_STEPS, m.Push: Exchange._push, m.Acknowledge: Exchange._acknowledged},
}
"""What has a number; everything else is taken as it comes."""


def step_for(role: Role, kind: type[m.Message]) -> Step:
    """How the exchange of this side takes messages of this kind into account."""
    return _STEPS_OF[role].get(kind, Exchange._nothing)
