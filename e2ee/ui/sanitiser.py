"""Makes one record harmless for a terminal: what leaves here can be printed, whoever wrote it.

A record is what the interface prints at once: a notice, a listed line, somebody's message. It may be of
several lines, and all but the first are marked, so that nothing inside a record can pose as the beginning
of another one, as the prompt or as a notice. Knows nothing of colours, widths of fonts or JSON (which is
printable ASCII already and passes unaltered).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

FURTHER_LINE = "    | "
"""Begins each line of a record but the first. No record of ours begins with a space."""

REPLACEMENT = "\ufffd"
"""Stands where something was that could have steered the terminal."""

COMBINING_RUN = 8
"""Marks on one letter; scripts need up to four, heaps of them cover the neighbouring lines."""

_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_STEERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional marks, embeddings, overrides and isolates."""
_INVISIBLE_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2065, 0x2065),
    (0x2800, 0x2800),  # the blank Braille pattern
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),  # tags and further variation selectors
)


def printable(record: str, columns: int | None = None) -> str:
    """`record` as it may be printed, without a final newline.

    `columns` is the width of the terminal: longer lines are folded with the same mark, since a terminal
    that wraps a line of blanks by itself shows the rest of it at the beginning of a row. None: not folded.
    """
    lines = [clean_line(line) for line in _LINE_ENDS.split(record)]
    if columns is not None:
        marked = max(columns - len(FURTHER_LINE), 1)
        lines = [
            piece
            for number, line in enumerate(lines)
            for piece in _folded(line, columns if number == 0 else marked, marked)
        ]
    return f"\n{FURTHER_LINE}".join(lines)


def clean_line(line: str) -> str:
    """One line without control, steering and invisible characters; nothing in it is left out but those."""
    if line.isascii() and line.isprintable():
        return line
    return _thinned(line.translate(_SHOWN))


class _Shown(dict[int, str]):
    """What is printed for a code point: asked anew each time, so that nobody can make it grow."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        category = unicodedata.category(character)
        if character == "\t":
            return "    "
        if character in _STEERING or category in ("Cc", "Cs", "Zl", "Zp") or _is_noncharacter(point):
            return REPLACEMENT
        if category == "Cf" or any(low <= point <= high for low, high in _INVISIBLE_RANGES):
            return ""
        return " " if category == "Zs" else character


_SHOWN = _Shown()


def _is_noncharacter(point: int) -> bool:
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE


def _thinned(line: str) -> str:
    """Without the marks beyond COMBINING_RUN on one letter."""
    kept: list[str] = []
    run = 0
    for character in line:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run <= COMBINING_RUN:
            kept.append(character)
    return "".join(kept)


def _folded(line: str, room: int, further: int) -> Iterator[str]:
    """The line in pieces that fit into `room` cells, those after the first into `further`."""
    begin, width, space = 0, 0, 0
    for place, character in enumerate(line):
        size = cells(character)
        if width + size > room and place > begin:
            # After a blank if there is one in the later half and the next piece has room for what is
            # behind it, else within the word.
            cut, moved = space, sum(map(cells, line[space:place]))
            if space - begin <= (place - begin) // 2 or moved + size > further:
                cut, moved = place, 0
            yield line[begin:cut]
            begin, room, width = cut, further, moved
        width += size
        if character == " ":
            space = place + 1
    yield line[begin:]


def cells(character: str) -> int:
    """The most cells that a terminal gives to this character."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    ambiguous = unicodedata.east_asian_width(character) in ("W", "F", "A")
    return 2 if ambiguous or unicodedata.category(character) in ("So", "Sk") else 1
