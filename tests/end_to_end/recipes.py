"""Code blocks of the documentation, so that they can be run as they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"^(?P<level>#+) (?P<title>[^\n]*)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Recipe:
    """The block of code below a heading."""

    title: str
    language: str
    code: str


def recipes(document: str) -> dict[str, Recipe]:
    """By heading; no heading has more than one block."""
    found: dict[str, Recipe] = {}
    title = ""
    for match in _BLOCK.finditer((DOCS / document).read_text("utf-8")):
        if match["title"]:
            title = match["title"]
        elif title in found:
            raise AssertionError(f"{title} has two blocks")
        else:
            found[title] = Recipe(title, match["language"], match["code"])
    return found
