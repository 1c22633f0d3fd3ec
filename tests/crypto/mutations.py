"""Small changes of byte strings, for tests that nothing but the original is accepted."""

from __future__ import annotations

from collections.abc import Iterator


def flipped(original: bytes, step: int = 1) -> Iterator[bytes]:
    """Each byte (or each `step`-th) with one bit turned over; which bit goes round with the place."""
    for at in range(0, len(original), step):
        yield original[:at] + bytes((original[at] ^ (1 << (at % 8)),)) + original[at + 1 :]


def resized(original: bytes) -> Iterator[bytes]:
    """Cut short at many places, or with something behind."""
    for size in {0, 1, 2, 3, *range(0, len(original), max(1, len(original) // 40)), len(original) - 1}:
        yield original[:size]
    yield original + b"\0"
    yield original + original
