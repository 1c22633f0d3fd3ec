"""Counters and ranges of numbers inside of contents: read strictly and written in one way.

Knows bounds, not what is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from e2ee.crypto import limits
from e2ee.crypto.encoding import FieldReader, number
from e2ee.errors import EncodingRefused


class NumberRange(NamedTuple):
    """Sequence numbers from `first` to `last`, both included."""

    first: int
    last: int


def counter(value: int) -> bytes:
    """8 bytes; ValueError for what is none."""
    if not 0 <= value < limits.COUNTERS:
        raise ValueError("a counter is a number below 2**53")
    return number(value, 8)


def read_counter(reader: FieldReader) -> int:
    """The reverse. Raises EncodingRefused."""
    value = reader.number(8)
    if value >= limits.COUNTERS:
        raise EncodingRefused("a number out of its range")
    return value


def encode_ranges(ranges: Sequence[NumberRange]) -> bytes:
    """A count in 1 byte, then each range; ValueError for what has no encoding."""
    if len(ranges) > limits.RESUME_RANGES or not _ascend(ranges):
        raise ValueError(f"at most {limits.RESUME_RANGES} ranges that ascend, with a number between two")
    return number(len(ranges), 1) + b"".join(counter(end) for one in ranges for end in one)


def _ascend(ranges: Sequence[NumberRange]) -> bool:
    """Whether this is the one way to write these numbers down."""
    before = -1
    for first, last in ranges:
        if first <= before + 1 or last < first:
            return False
        before = last
    return True


def read_ranges(reader: FieldReader) -> tuple[NumberRange, ...]:
    """The reverse of `encode_ranges`. Raises EncodingRefused."""
    count = reader.number(1)
    if count > limits.RESUME_RANGES:
        raise EncodingRefused("too many ranges")
    ranges = tuple(NumberRange(read_counter(reader), read_counter(reader)) for _ in range(count))
    if not _ascend(ranges):
        raise EncodingRefused("ranges that do not ascend")
    return ranges
