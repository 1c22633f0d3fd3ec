"""The words of a seat: its states, what it tells senders, and its effects on the world.

Knows no rules (`seat`) and nobody who carries the effects out (`courier`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from threading import Lock

from msgspec import Struct

from e2ee.errors import E2eeError
from e2ee.ids import DeviceAddress, EnvelopeId
from e2ee.server.policy import BATCH_BYTES, BATCH_MESSAGES
from e2ee.server.window import Pushed
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


class Entry(Pushed, gc=False):
    """A submit on its way: a `MailItem` by its parts. `push` is its number on the present connection."""

    to: DeviceAddress
    sender: DeviceAddress
    envelope: bytes
    known: bool
    state_token: bytes
    waiters: tuple[Waiter, ...]
    push: int | None = None
    pushed_at: float = 0.0
    acknowledged: bool = False

    @property
    def item(self) -> MailItem:
        """What is written; most entries never are."""
        envelope_id = EnvelopeId(self.key[-EnvelopeId.SIZE :])
        return MailItem(self.to, self.sender, envelope_id, self.envelope, self.known, self.state_token)


class Batch:
    """What one append writes. It takes more until somebody reads it for the first time: the mailbox does,
    in a thread of its own, when the write begins. So all that came until then is in one commit.
    """

    __slots__ = ("_begun", "_bytes", "_items", "_lock")

    def __init__(self, items: Iterable[MailItem]) -> None:
        self._items = list(items)
        self._bytes = sum(len(item.envelope) for item in self._items)
        self._begun = False
        self._lock = Lock()

    def add(self, item: MailItem) -> bool:
        """Put it behind the others; False if the write has begun, or there is as much as one takes."""
        with self._lock:
            if self._begun or len(self._items) >= BATCH_MESSAGES or self._bytes >= BATCH_BYTES:
                return False
            self._items.append(item)
            self._bytes += len(item.envelope)
            return True

    def __iter__(self) -> Iterator[MailItem]:
        with self._lock:
            self._begun = True
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Batch({self._items}, begun={self._begun})"


# --- effects ----------------------------------------------------------------------------------


class PushItem(Struct, frozen=True, gc=False):
    """Send this envelope to the connection under this number."""

    push: int
    sender: DeviceAddress
    envelope: bytes


class PushDrained(Struct, frozen=True, gc=False):
    """Tell the connection that all that waited at its login has been pushed."""


class Append(Struct, frozen=True, gc=False):
    """Write these to the mailbox as one batch, then report to `appended` with a result for each of them."""

    items: Batch


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
