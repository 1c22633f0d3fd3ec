"""The newest records of a terminal: those that may still change stay near the line being typed. Pure.

What has scrolled up cannot be printed anew. So from the first own message that is still on its way,
records are drawn together with the line being typed, up to a number of rows; all before is left to the
terminal. Every record passes the sanitiser here. Knows rows and columns, not how they are drawn.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

from e2ee.ui.sanitiser import printable


class Tone(Enum):
    """What kind of record it is, for whoever colours it."""

    PLAIN = "record"
    NOTICE = "notice"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the screen: harmless, and not wider than it."""

    text: str
    tone: Tone


@dataclass(slots=True)
class _Live:
    record: str
    key: Hashable | None
    settled: bool

    def rows(self, columns: int) -> list[Row]:
        tone = Tone.OWN if self.key is not None else Tone.PLAIN
        tone = Tone.NOTICE if self.record.startswith("* ") else tone
        return [Row(line, tone) for line in printable(self.record, columns).split("\n")]


class LiveRecords:
    """In the order in which they came."""

    def __init__(self) -> None:
        self._live: list[_Live] = []

    def add(self, record: str, key: Hashable | None = None) -> None:
        """The newest one; with a `key` it may change until it is settled."""
        self._live.append(_Live(record, key, settled=key is None))

    def change(self, key: Hashable, record: str, *, settled: bool) -> bool:
        """Show it like this from now on. False if it is out of reach."""
        for live in self._live:
            if live.key == key:
                live.record, live.settled = record, settled
                return True
        return False

    def rows(self, columns: int) -> list[Row]:
        """All that are within reach."""
        return [row for live in self._live for row in live.rows(columns)]

    def scrolled(self, columns: int, room: int) -> list[Row]:
        """Let go of what will not change before the first that may, and of what exceeds `room` rows."""
        gone: list[Row] = []
        heights = [len(live.rows(columns)) for live in self._live]
        left = sum(heights)
        while self._live and (self._live[0].settled or left > room):
            gone += self._live[0].rows(columns)
            left -= heights.pop(0)
            self._live.pop(0)
        return gone
