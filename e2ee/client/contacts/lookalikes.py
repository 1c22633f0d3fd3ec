"""What a name in the address book may be, for it stands in front of what its owner writes. Pure.

No two names may look the same, whoever proposed them (a file that is imported, say), and none may look
like a piece of the interface. Follows the idea of Unicode Technical Standard 39, section 4: names with
the same *skeleton* are confusable. The table has letters that are written with the shapes of Latin ones;
what NFKC unites (full width, mathematical letters, ligatures) needs no entry. Knows no address book.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

NAME_CHARACTERS = 100
OWN_NAME = "me"
"""Stands in front of own messages."""

_REMEMBERED = 4096
"""A name that is added is compared with all others."""

_INVISIBLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
    (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Fillers and selectors that Unicode calls letters or marks: nobody sees them."""

_SHAPES = str.maketrans(
    {
        # Cyrillic, Greek, Armenian, and Latin letters outside the usual
        **dict(zip("асеорѕхуіјһӏѵԝԁЬгԛпит", "aceopsxyijhlvwdbrqnut", strict=True)),
        **dict(zip("АВСЕНІЈКМОРЅТХУЗ", "ABCEHlJKMoPSTXY3", strict=True)),
        **dict(zip("αειικνορτυωγ", "aeiikvoptuwy", strict=True)),
        **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHlKMNoPTYX", strict=True)),
        **dict(zip("օսհոցզɑɡıȷɩ", "ouhngqagiji", strict=True)),
        # Digits and strokes
        **dict(zip("0OI1|ǀ∣", "oolllll", strict=True)),
    }
)


def name_refused(name: str) -> str | None:
    """Why this is no name, or None: it would not be seen as it is, or break the line that it begins."""
    if not name.strip() or name != name.strip() or len(name) > NAME_CHARACTERS or not name.isprintable():
        return f"a name has 1 to {NAME_CHARACTERS} printable characters and no space at its ends"
    if any(low <= ord(one) <= high for one in name for low, high in _INVISIBLE):
        return "a name has no characters that cannot be seen"
    if name.startswith(("+", "tel:+")):
        return f"{name}: a name does not begin like a number"
    if ": " in name or name.endswith(":") or "→" in name:
        return f"{name}: a name does not end in a colon, nor has it one before a space, or an arrow"
    if look_alike(name, OWN_NAME):
        return f"{name}: this is how your own messages are shown"
    return None


def look_alike(one: str, other: str) -> bool:
    """Whether these cannot be told apart at a glance, or differ in nothing but capitals."""
    return not set(likeness(one)).isdisjoint(likeness(other))


def likeness(name: str) -> tuple[str, str]:
    """Two keys: names look alike if they have one of them in common."""
    return f"spoken {_spoken(name)}", f"shapes {_skeleton(name)}"


@lru_cache(_REMEMBERED)
def _spoken(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


@lru_cache(_REMEMBERED)
def _skeleton(name: str) -> str:
    """The shapes of a name, without its blanks."""
    shapes = unicodedata.normalize("NFKC", name).translate(_SHAPES)
    return "".join(shapes.split()).replace("rn", "m").replace("vv", "w")
