"""Names of files that come from others, made anew from an allow-list. Pure.

Nothing of what comes in counts but letters, digits and a few marks; what leaves here is one name, never a
path, never hidden, never special to a shell, a terminal or another system.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

NAME_BYTES = 180
"""Of UTF-8: below the 255 of most file systems, with room for a number."""
SUFFIX_CHARACTERS = 12
"""The longest ending that is kept when a name is shortened."""
FALLBACK = "file"
_MARKS = frozenset(" ._-+,=@()[]")
_LETTERS = frozenset(("Lu", "Ll", "Lt", "Lo", "Nd", "Mn", "Mc"))
_TAKEN_ELSEWHERE = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "123456789"))
)
"""Names of devices on some systems, with any ending."""
CANDIDATES = 1000


def safe_name(given: str) -> str:
    """A harmless name like `given`: of its last part letters, digits, blanks and ``._-+,=@()[]``."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    composed = unicodedata.normalize("NFC", last[: 4 * NAME_BYTES])
    kept = "".join(each if _is_harmless(each) else "_" for each in composed)
    # No leading dot (hidden) or dash (an option), no blanks around it, no final dot.
    name = " ".join(kept.split()).lstrip(".-_ ").rstrip(". ")
    stem, dot, suffix = _parted(name)
    name = _shortened(stem, NAME_BYTES - len(suffix.encode()) - len(dot)).rstrip(". ") + dot + suffix
    if not name.strip("._-+,=@()[] "):
        return FALLBACK
    return f"_{name}" if name.split(".", 1)[0].strip().lower() in _TAKEN_ELSEWHERE else name


def candidates(name: str) -> Iterator[str]:
    """The name, then ``name (1).ending``, ``name (2).ending`` …"""
    yield name
    stem, dot, suffix = _parted(name)
    for number in range(1, CANDIDATES):
        yield f"{stem} ({number}){dot}{suffix}"


def _is_harmless(each: str) -> bool:
    return each in _MARKS or unicodedata.category(each) in _LETTERS


def _parted(name: str) -> tuple[str, str, str]:
    """What comes before the ending, the dot, and the ending; a long one is none."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > SUFFIX_CHARACTERS or not suffix.strip():
        return name, "", ""
    return stem, dot, suffix


def _shortened(text: str, size: int) -> str:
    return text.encode()[: max(0, size)].decode("utf-8", "ignore")
