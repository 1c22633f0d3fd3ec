"""Bytes as they come → lines, none of which is longer than a bound. Pure.

A longer line is skipped to its end and told once; never more than the bound is kept.
"""

from __future__ import annotations

from collections.abc import Iterator


class LineTooLong:
    """In place of a line that was skipped."""


class LineSplitter:
    """Lines end with a line feed; one carriage return before it belongs to the end, too."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, received: bytes) -> Iterator[bytes | LineTooLong]:
        """The lines that are complete now. To be consumed before the next call."""
        *ended, rest = received.split(b"\n")
        for piece in ended:
            yield from self._add(piece)
            if not self._skipping:
                line = bytes(self._buffer)
                self._buffer.clear()
                yield line.removesuffix(b"\r")
            self._skipping = False
        yield from self._add(rest)

    def end(self) -> Iterator[bytes | LineTooLong]:
        """Nothing more comes: a last line needs no line feed."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if rest:
            yield rest

    def _add(self, piece: bytes) -> Iterator[LineTooLong]:
        if self._skipping:
            return
        if len(self._buffer) + len(piece) > self._limit:
            self._buffer.clear()
            self._skipping = True
            yield LineTooLong()
        else:
            self._buffer += piece
