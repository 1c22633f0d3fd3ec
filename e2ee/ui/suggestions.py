"""What the line being typed in a chat could go on with: commands, names and numbers. Pure.

Knows the words of the line interface, and whom it is told of; no keyboard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from e2ee.ui.commands import INSIDE_WORDS, OUTSIDE_WORDS

OUTSIDE_WHOM = ("chat", "accept", "block")
INSIDE_WHOM = ("/accept", "/block")
"""Words that somebody's name or number follows."""


class Place(Enum):
    """What the next line is."""

    MENU = "menu"
    ADDRESS = "address"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be meant."""

    number: str
    name: str | None
    online: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`text` would take the place of the last `replaces` characters; `meaning` stands beside it."""

    text: str
    replaces: int
    meaning: str = ""


def suggestions(line: str, place: Place, people: Iterable[Person]) -> list[Suggestion]:
    """For what stands before the cursor."""
    if "\n" in line:
        return []
    if place is Place.ADDRESS:
        return list(_whom(line, people))
    words = INSIDE_WORDS if place is Place.CHAT else OUTSIDE_WORDS
    verb, blank, rest = line.partition(" ")
    if not blank:
        return [Suggestion(word, len(line), meaning) for word, meaning in words.items()
                if word.startswith(line.casefold()) and (line or place is Place.MENU)]  # fmt: skip
    whom = OUTSIDE_WHOM if place is Place.MENU else INSIDE_WHOM
    if verb.casefold() in whom:
        return list(_whom(rest.lstrip(), people))
    return []


def _whom(begun: str, people: Iterable[Person]) -> Iterator[Suggestion]:
    for person in people:
        meaning = "online" if person.online else ""
        if person.name and person.name.casefold().startswith(begun.casefold()):
            yield Suggestion(person.name, len(begun), " ".join(filter(None, (person.number, meaning))))
        elif person.number.startswith(begun) and (begun or not person.name):
            yield Suggestion(person.number, len(begun), " ".join(filter(None, (person.name, meaning))))
