"""Whether a mailbox takes one more envelope. Pure: counts in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.store.server.ports import AppendRefused, MailboxLimits


@dataclass(slots=True)
class Usage:
    """What waits: messages, their bytes, and how many of them came without contact token."""

    messages: int = 0
    bytes: int = 0
    strangers: int = 0

    def add(self, size: int, known: bool) -> None:
        """Count one more envelope of `size` bytes."""
        self.messages += 1
        self.bytes += size
        self.strangers += not known


def refusal(
    limits: MailboxLimits, mailbox: Usage, of_sender: Usage, size: int, known: bool
) -> AppendRefused | None:
    """Why one more envelope of `size` bytes is not stored, or None. A limit of 0 is none.

    `mailbox` is all that waits for the device, `of_sender` what of it is this sender's account's.
    """
    if _exceeds(mailbox.messages + 1, limits.messages) or _exceeds(mailbox.bytes + size, limits.bytes):
        return AppendRefused.FULL
    if _exceeds(of_sender.messages + 1, _part(limits.messages, limits.share)):
        return AppendRefused.QUOTA
    if _exceeds(of_sender.bytes + size, _part(limits.bytes, limits.share)):
        return AppendRefused.QUOTA
    if known:
        return None
    if _exceeds(mailbox.strangers + 1, limits.strangers_waiting):
        return AppendRefused.QUOTA
    if _exceeds(of_sender.strangers + 1, limits.stranger_waiting):
        return AppendRefused.QUOTA
    return None


def _exceeds(count: int, limit: int) -> bool:
    return limit > 0 and count > limit


def _part(limit: int, share: float) -> int:
    """One sender's part; at least 1, since 0 would mean no limit at all."""
    if not limit or not share:
        return 0
    return max(1, int(limit * share))
