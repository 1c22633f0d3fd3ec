"""One statement for many rows of parameters.

A statement gives the interpreter's lock away and has to win it back, which under load costs more than a
row; so rows go in together, a power of two at a time, that there be few different texts. Knows `VALUES`,
not what stands around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from e2ee.store.connection import Connection

MOST_ROWS = 128
"""In one statement."""


class RowStatement:
    """`head` VALUES … `tail`, with rows of so many columns. Only `head` may have parameters of its own."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        sizes = [MOST_ROWS >> shift for shift in range(MOST_ROWS.bit_length())]
        self._texts = [(size, f"{head} VALUES {', '.join([row] * size)} {tail}") for size in sizes]

    def run(self, connection: Connection, rows: Sequence[Sequence[object]], *head: object) -> list[Any]:
        """For all these rows, in their order; what the statement returns, if anything. `head`: its
        parameters."""
        found: list[Any] = []
        start = 0
        for size, text in self._texts:
            while len(rows) - start >= size:
                some = rows[start : start + size]
                found += connection.execute(text, [*head, *chain.from_iterable(some)]).fetchall()
                start += size
        return found
