"""The words of a seat: its states, what it tells senders, and its effects on the world.

Knows no rules (`seat`) and nobody who carries the effects out (`courier`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from e2ee.errors import E2eeError
from e2ee.store.server.ports import MailItem


class State(Enum):
    """Where a device stands; always computed from what is there, never stored."""

    AWAY = "away"  # no connection
    SETTLING = "settling"  # a connection that waits for the batch of the one before
    DRAINING = "draining"  # connected, and something is unpushed or being inserted
    LIVE = "live"  # connected, nothing unpushed, no insert in flight


class Outcome(Enum):
    """What became of a submit. The refusals of the mailbox have the values of `AppendRefused`."""

    DELIVERED = "delivered"
    STORED = "stored"
    SET_ASIDE = "set_aside"  # the recipient's vault has it and has not opened it; the sender hears `stored`
    FULL = "full"
    QUOTA = "quota"
    NO_DEVICE = "no_device"
    HELD = "held"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"


class WrongAcknowledgement(E2eeError):
    """An acknowledgement of what was never pushed, or of another envelope: a protocol error."""


class Waiter(Struct, gc=False):
    """Who waits for an answer: a seat hands him back with it, whatever else he knows of himself.

    `may_know`: may see, now, whether the recipient is connected.
    """

    may_know: bool


class Entry(Struct, gc=False):
    """A submit on its way. `push` is its number on the present connection."""

    item: MailItem
    waiters: tuple[Waiter, ...]
    push: int | None = None
    pushed_at: float = 0.0
    acknowledged: bool = False


# --- effects ----------------------------------------------------------------------------------


class PushItem(Struct, frozen=True, gc=False):
    """Send this envelope to the connection under this number."""

    push: int
    item: MailItem


class PushDrained(Struct, frozen=True, gc=False):
    """Tell the connection that all that waited at its login has been pushed."""


class Append(Struct, frozen=True, gc=False):
    """Write these to the mailbox as one batch, then report to `appended`."""

    items: Sequence[MailItem]


class Read(Struct, frozen=True, gc=False):
    """Read the next rows, then report to `rows_read` with the same `turn`."""

    turn: int
    after: int
    count: int
    size: int


class Remove(Struct, frozen=True, gc=False):
    """Forget these acknowledged rows."""

    epoch: int
    seqs: Sequence[int]


class Answer(Struct, frozen=True, gc=False):
    """Answer the one who waits; each is answered once."""

    waiter: Waiter
    outcome: Outcome


class Attach(Struct, frozen=True, gc=False):
    """The old connection's batch is settled: raise the epoch, then report to `attached`."""


Effect = PushItem | PushDrained | Append | Read | Remove | Answer | Attach
