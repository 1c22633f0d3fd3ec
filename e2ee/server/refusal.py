"""How a room of the server says no.

Knows the codes of the wire and the message that carries one; not connections. The
sentence goes to whoever asked: it holds no secret and no number.
"""

from __future__ import annotations

from e2ee.errors import E2eeError
from e2ee.server.counters import Limit
from e2ee.wire.messages import RefusalCode, Refused

UNAVAILABLE_RETRY_SECONDS = 5.0
"""Deletions make room all the time, and a new server starts in less."""


class Refusal(E2eeError):
    """A request that is not done. `retry_after` is in seconds, where waiting helps.

    `limit` is for the operator's figures: which one it was.
    """

    def __init__(
        self,
        code: RefusalCode,
        sentence: str,
        retry_after: float | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after
        self.limit = limit

    def answer(self, n: int) -> Refused:
        """The message that answers request `n` with it."""
        return Refused(n, self.code, self.sentence, self.retry_after)


def unavailable() -> Refusal:
    """No room on the server's disk, or it is about to end."""
    return Refusal(RefusalCode.UNAVAILABLE, "the server cannot store anything now", UNAVAILABLE_RETRY_SECONDS)


def logged_out() -> Refusal:
    """The device is not one of its account any more."""
    return Refusal(RefusalCode.LOGGED_OUT, "this device has been logged out")
