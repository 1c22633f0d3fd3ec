"""What has been pushed on one connection and not been acknowledged.

Knows sizes and numbers, and of a row its sequence number; an entry in memory is the seat's own.
"""

from __future__ import annotations

from msgspec import Struct

from e2ee.ids import DeviceAddress, EnvelopeId
from e2ee.store.server.ports import MailRow
from e2ee.wire.limits import WINDOW_BYTES, WINDOW_MESSAGES

Key = bytes
"""An envelope of a sender, `mark_of` him and then its id: others cannot take its place by sending the same
bytes. One object for many in flight, and hashed once: a pair of a pair would be for each look-up."""


def mark_of(sender: DeviceAddress) -> bytes:
    """How the keys of this sender's envelopes begin; what follows has one length."""
    return sender.address.encode("ascii") + sender.device


def key_of(sender: DeviceAddress, envelope_id: EnvelopeId) -> Key:
    """The key of an envelope that is not at hand with its sender's mark."""
    return mark_of(sender) + envelope_id


class Pushed(Struct, gc=False):
    """What was pushed and is not acknowledged: a `Row`, or an entry in memory (`seat_terms.Entry`)."""

    key: Key


class Row(Pushed, gc=False):
    """Of the mailbox; `size` in bytes. `seq` is None when nothing is left to do at the acknowledgement."""

    size: int
    seq: int | None


class Window:
    """At most WINDOW_MESSAGES pushes and WINDOW_BYTES bytes at a time."""

    __slots__ = ("_bytes", "_pushed", "_settled", "get", "last_push", "needs")

    def __init__(self) -> None:
        self._pushed: dict[int, Pushed] = {}
        self.get = self._pushed.get
        """The push of this number, None if it is acknowledged."""
        self._settled: dict[Key, int] = {}
        """The last push of each that is in memory no more; an envelope may wait twice in a mailbox."""
        self._bytes = 0
        self.last_push = 0
        self.needs = 0
        """The size of the next envelope where it is known not to have fitted."""

    @property
    def free_messages(self) -> int:
        """How many more pushes there may be."""
        return WINDOW_MESSAGES - len(self._pushed)

    @property
    def free_bytes(self) -> int:
        """How many more bytes there may be."""
        return WINDOW_BYTES - self._bytes

    @property
    def open(self) -> bool:
        """Whether it is worth while to fetch the next envelope."""
        return self.free_messages > 0 and self.free_bytes >= max(1, self.needs)

    def takes(self, size: int) -> bool:
        """Whether an envelope of this size fits now."""
        return len(self._pushed) < WINDOW_MESSAGES and self._bytes + size <= WINDOW_BYTES

    def push_row(self, row: MailRow) -> int:
        """Count a row in; its push number, from 1."""
        key, size = key_of(row.item.sender, row.item.envelope_id), len(row.item.envelope)
        number = self._settled[key] = self._push(Row(key, size, row.seq), size)
        return number

    def push_entry(self, entry: Pushed, size: int) -> int | None:
        """The same for an entry in memory; None if there is no room, or if its envelope was pushed before
        from a row and is not acknowledged."""
        if (
            len(self._pushed) >= WINDOW_MESSAGES
            or self._bytes + size > WINDOW_BYTES
            or entry.key in self._settled
        ):
            return None
        return self._push(entry, size)

    def _push(self, pushed: Pushed, size: int) -> int:
        number = self.last_push = self.last_push + 1
        self._pushed[number] = pushed
        self._bytes += size
        self.needs = 0
        return number

    def settle(self, push: int, size: int, seq: int | None) -> None:
        """The entry of this push has become a row, or has been refused (None). It is not kept."""
        key = self._pushed[push].key
        self._pushed[push] = Row(key, size, seq)
        self._settled[key] = push

    def free(self, push: int, size: int) -> None:
        """An entry in memory is acknowledged."""
        del self._pushed[push]
        self._bytes -= size

    def free_row(self, push: int, row: Row) -> None:
        """A row is acknowledged."""
        self.free(push, row.size)
        if self._settled.get(row.key) == push:
            del self._settled[row.key]
