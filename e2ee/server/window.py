"""What has been pushed on one connection and not been acknowledged.

Knows sizes and numbers; not what a push was for: `place` is the seat's own mark, a row's sequence
number, the key of an entry in memory, or None when nothing is left to do at the acknowledgement.
"""

from __future__ import annotations

from msgspec import Struct

from e2ee.ids import DeviceAddress, EnvelopeId
from e2ee.wire.limits import WINDOW_BYTES, WINDOW_MESSAGES

Key = tuple[DeviceAddress, EnvelopeId]
"""An envelope of a sender: others cannot take its place by sending the same bytes."""
Place = int | Key | None


class Pushed(Struct, gc=False):
    """One unacknowledged push; `size` in bytes."""

    key: Key
    size: int
    place: Place


class Window:
    """At most WINDOW_MESSAGES pushes and WINDOW_BYTES bytes at a time."""

    __slots__ = ("_bytes", "_pushed", "_settled", "last_push", "needs")

    def __init__(self) -> None:
        self._pushed: dict[int, Pushed] = {}
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

    def push_row(self, key: Key, size: int, seq: int) -> int:
        """Count a row in; its push number, from 1."""
        number = self._settled[key] = self._push(key, size, seq)
        return number

    def push_entry(self, key: Key, size: int) -> int | None:
        """The same for an entry in memory, whose key is its place; None if there is no room, or if its
        envelope was pushed before from a row and is not acknowledged."""
        if key in self._settled or self._bytes + size > WINDOW_BYTES or len(self._pushed) >= WINDOW_MESSAGES:
            return None
        return self._push(key, size, key)

    def _push(self, key: Key, size: int, place: Place) -> int:
        number = self.last_push = self.last_push + 1
        self._pushed[number] = Pushed(key, size, place)
        self._bytes += size
        self.needs = 0
        return number

    def get(self, push: int) -> Pushed | None:
        """The push of this number, if it is not acknowledged."""
        return self._pushed.get(push)

    def settle(self, push: int, place: int | None) -> None:
        """The entry of this push has become a row, or has been refused (None)."""
        pushed = self._pushed[push]
        pushed.place = place
        self._settled[pushed.key] = push

    def free(self, push: int, pushed: Pushed) -> None:
        """Acknowledged."""
        del self._pushed[push]
        self._bytes -= pushed.size
        if pushed.place is not pushed.key and self._settled.get(pushed.key) == push:
            del self._settled[pushed.key]
