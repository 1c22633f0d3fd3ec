"""Message keys of envelopes that have not come yet, kept for a while.

Knows their limits in number and age, not how they are derived. Times are ms since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice

from e2ee.crypto import limits
from e2ee.crypto.encoding import FieldReader, number
from e2ee.crypto.primitives import KEY_BYTES
from e2ee.errors import EncodingRefused

Place = tuple[bytes, int]
"""A ratchet key, and the number of a message in its chain."""
_COUNT_BYTES = 2
_NUMBER_BYTES = 4
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True)
class SkippedKeys:
    """At most SKIPPED_STORED keys in the order of their coming. Never changed: each step makes a new one."""

    _keys: Mapping[Place, tuple[bytes, int]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, place: Place, now: int) -> bytes | None:
        """The message key for this place; None if there is none, or it is too old."""
        found = self._keys.get(place)
        if found is None or _is_old(found[1], now):
            return None
        return found[0]

    def without(self, place: Place) -> SkippedKeys:
        """After the envelope of this place has come."""
        return SkippedKeys({other: kept for other, kept in self._keys.items() if other != place})

    def adding(self, ratchet_key: bytes, keys: Iterable[tuple[int, bytes]], now: int) -> SkippedKeys:
        """With more (number, message key) of one chain; the oldest go first if there are too many."""
        merged = dict(self._keys)
        merged.update(((ratchet_key, number), (key, now)) for number, key in keys)
        excess = max(0, len(merged) - limits.SKIPPED_STORED)
        return SkippedKeys(dict(islice(merged.items(), excess, None)))

    def forgetting_old(self, now: int) -> SkippedKeys:
        """Without the keys that have waited too long."""
        if not self._keys or not any(_is_old(since, now) for _, since in self._keys.values()):
            return self
        return SkippedKeys({place: kept for place, kept in self._keys.items() if not _is_old(kept[1], now)})

    def encode(self) -> bytes:
        """For the vault only. Neighbours of one chain stand together behind their ratchet key."""
        pieces = []
        for ratchet_key, run in groupby(self._keys.items(), key=lambda entry: entry[0][0]):
            members = [
                number(place[1], _NUMBER_BYTES) + number(since, _TIME_BYTES) + key
                for place, (key, since) in run
            ]
            pieces.append(ratchet_key + number(len(members), _COUNT_BYTES) + b"".join(members))
        return number(len(self._keys), _COUNT_BYTES) + b"".join(pieces)

    @classmethod
    def read(cls, reader: FieldReader) -> SkippedKeys:
        """The reverse, off a longer encoding; raises EncodingRefused."""
        count = reader.number(_COUNT_BYTES)
        if count > limits.SKIPPED_STORED:
            raise EncodingRefused("more skipped keys than are kept")
        keys: dict[Place, tuple[bytes, int]] = {}
        while len(keys) < count:
            ratchet_key = reader.take(KEY_BYTES)
            before, members = len(keys), reader.number(_COUNT_BYTES)
            for _ in range(members):
                place = ratchet_key, reader.number(_NUMBER_BYTES)
                since = reader.number(_TIME_BYTES)
                keys[place] = reader.take(KEY_BYTES), since
            if members == 0 or len(keys) != before + members:
                raise EncodingRefused("a skipped key that stands twice, or a chain without any")
        if len(keys) != count:
            raise EncodingRefused("another number of skipped keys than announced")
        return cls(keys)


NO_SKIPPED_KEYS = SkippedKeys()
"""What every session begins with."""


def _is_old(since: int, now: int) -> bool:
    return now - since > limits.SKIPPED_MS
