"""Whether a mailbox takes one more envelope. Pure: counts in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from e2ee.store.server.ports import AppendRefused, MailboxLimits


@dataclass(slots=True)
class Usage:
    """What waits: messages, their bytes, and how many of them came without contact token."""

    messages: int = 0
    bytes: int = 0
    strangers: int = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """All three, as rows have them."""
        return self.messages, self.bytes, self.strangers

    def add(self, size: int, known: bool) -> None:
        """Count one more envelope of `size` bytes."""
        self.messages += 1
        self.bytes += size
        self.strangers += not known


class Quotas:
    """The most that may wait, under `limits`: in a mailbox, and in it of one sender's account."""

    __slots__ = ("_bytes", "_messages", "_of_sender", "_stranger", "_strangers")

    def __init__(self, limits: MailboxLimits) -> None:
        self._messages = _most(limits.messages)
        self._bytes = _most(limits.bytes)
        self._of_sender = _part(limits.messages, limits.share), _part(limits.bytes, limits.share)
        self._strangers = _most(limits.strangers_waiting)
        self._stranger = _most(limits.stranger_waiting)

    def refusal(self, mailbox: Usage, of_sender: Usage, size: int, known: bool) -> AppendRefused | None:
        """Why one more envelope of `size` bytes is not stored, or None.

        `mailbox` is all that waits for the device, `of_sender` what of it is this sender's account's.
        """
        if mailbox.messages >= self._messages or mailbox.bytes + size > self._bytes:
            return AppendRefused.FULL
        messages, octets = self._of_sender
        if of_sender.messages >= messages or of_sender.bytes + size > octets:
            return AppendRefused.QUOTA
        if not known and (mailbox.strangers >= self._strangers or of_sender.strangers >= self._stranger):
            return AppendRefused.QUOTA
        return None


def _most(limit: int) -> float:
    """A limit of 0 is none."""
    return limit or inf


def _part(limit: int, share: float) -> float:
    """One sender's part; at least 1."""
    return max(1, int(limit * share)) if limit and share else inf
