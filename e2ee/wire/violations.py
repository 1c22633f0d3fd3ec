"""What can be wrong with a frame: the other side's fault, or our own.

Knows the codes of refusals, not who sends them.
"""

from __future__ import annotations

from e2ee.errors import E2eeError
from e2ee.wire.messages import RefusalCode


class ProtocolViolation(E2eeError):
    """The other side sent what the protocol does not allow; the connection is over.

    `sentence` is ours alone: nothing of the offending bytes is in it.
    """

    def __init__(self, code: RefusalCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class OutOfTurn(E2eeError, ValueError):
    """We were about to send what is not legal now: a defect of the caller. Nothing was sent."""
