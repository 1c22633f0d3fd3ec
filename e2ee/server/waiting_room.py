"""Who waits before login, by source: whose turn it is to make room. Pure.

Knows sources and the order of arrival; not limits or connections. All that it does takes the same time
however many wait, since it is asked the most when there are too many.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingRoom(Generic[T]):
    """Guests are compared and hashed by identity."""

    def __init__(self) -> None:
        self._source: dict[T, str] = {}
        self._guests: dict[str, dict[T, None]] = {}  # of each source, in the order of arrival
        self._sources: dict[int, dict[str, None]] = {}  # by the number of their guests
        self._most = 0

    def __len__(self) -> int:
        return len(self._source)

    def enter(self, guest: T, source: str) -> int:
        """One more; how many of this source wait now."""
        guests = self._guests.setdefault(source, {})
        self._source[guest] = source
        guests[guest] = None
        self._moved(source, len(guests) - 1, len(guests))
        return len(guests)

    def leave(self, guest: T) -> None:
        """It waits no more, if it did."""
        source = self._source.pop(guest, None)
        if source is None:
            return
        guests = self._guests[source]
        del guests[guest]
        self._moved(source, len(guests) + 1, len(guests))
        if not guests:
            del self._guests[source]

    def first_of(self, source: str) -> T:
        """Of this source, which is here, the one that has waited longest."""
        return next(iter(self._guests[source]))

    def first_of_most(self) -> T:
        """Of the source that has the most, the one that has waited longest.

        So that many of one source take no place from a source that has few. Of sources with the same
        number it is the one that has had so many for the longest. Somebody must wait.
        """
        return self.first_of(next(iter(self._sources[self._most])))

    def _moved(self, source: str, before: int, now: int) -> None:
        """This source had so many guests and has one more now, or one less."""
        if before:
            del self._sources[before][source]
            if not self._sources[before]:
                del self._sources[before]
        if now:
            self._sources.setdefault(now, {})[source] = None
        if now > self._most or (before == self._most and before not in self._sources):
            self._most = now
