"""Fields of fixed-layout structures, read strictly and written in one way.

Knows big-endian integers and length prefixes, not what a structure means. All numbers are unsigned.
"""

from __future__ import annotations

from e2ee.errors import EncodingRefused


class FieldReader:
    """Takes fields off the front of `source`. Whatever is too short or too long is EncodingRefused."""

    __slots__ = ("_at", "_source")

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._source):
            raise EncodingRefused("too short")
        piece = self._source[self._at : end]
        self._at = end
        return piece

    def number(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def flag(self) -> bool:
        """One byte that is 0 or 1."""
        value = self.number(1)
        if value > 1:
            raise EncodingRefused("a flag is 0 or 1")
        return value == 1

    def prefixed(self, size: int) -> bytes:
        """Bytes behind their length, which has `size` bytes itself."""
        return self.take(self.number(size))

    def expect(self, expected: bytes) -> None:
        """Exactly these bytes: a type or a version."""
        if self.take(len(expected)) != expected:
            raise EncodingRefused("of another type or version")

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self._at == len(self._source)

    def end(self) -> None:
        """Nothing may follow."""
        if not self.ended:
            raise EncodingRefused("too long")


def number(value: int, size: int) -> bytes:
    """`value` in `size` bytes; ValueError if it does not fit."""
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"not a number of {size} bytes") from None


def prefixed(value: bytes, size: int) -> bytes:
    """`value` behind its length in `size` bytes; ValueError if it is too long."""
    return number(len(value), size) + value
