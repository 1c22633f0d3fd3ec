"""Contacts as vCards: written in version 4.0, read in 2.1, 3.0 and 4.0 (RFC 6350, RFC 2426, vCard 2.1).

Pure. Knows lines, parameters and escapes; not which numbers are possible nor which names are allowed
(`contact_file`). Of all properties it knows FN, N and TEL; the others are skipped, whatever is in them.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from e2ee.errors import E2eeError

LINE_OCTETS = 75
"""RFC 6350, section 3.2: longer lines are folded."""
CARD_NUMBERS = 50
"""Nobody has more."""
MAIN_NUMBERS = ("cell", "mobile", "pref")

_BEGIN, _END = "BEGIN:VCARD", "END:VCARD"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NAME = re.compile(r"(?:[A-Za-z0-9-]+\.)?([A-Za-z0-9-]+)", re.ASCII)


class NotVCard(E2eeError, ValueError):
    """A file that is none; the text says in which line."""


@dataclass(slots=True)
class Card:
    """One card: in which line it begins, the name, and all its numbers as they are written, the main one
    first."""

    line: int
    name: str = ""
    numbers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Property:
    line: int
    name: str
    parameters: tuple[tuple[str, str], ...]
    value: str

    def has(self, name: str, *values: str) -> bool:
        return any(key == name and word in values for key, text in self.parameters
                   for word in text.casefold().split(","))  # fmt: skip

    @property
    def text(self) -> str:
        """The value as a person reads it."""
        if not self.has("ENCODING", "quoted-printable") and not self.has("", "quoted-printable"):
            return _unescaped(self.value)
        charset = next((text for key, text in self.parameters if key == "CHARSET"), "utf-8")
        try:
            return _unescaped(quopri.decodestring(self.value.encode()).decode(charset))
        except (LookupError, UnicodeError, ValueError):
            raise NotVCard(f"line {self.line}: these are no characters of {charset[:40]}") from None


# --- writing ----------------------------------------------------------------------------------


def write_cards(contacts: Iterable[tuple[str, str]]) -> str:
    """Cards of version 4.0 for names and numbers in E.164 form."""
    return "".join(_folded(line) for name, number in contacts for line in (
        _BEGIN, "VERSION:4.0", f"FN:{_escaped(name)}", f"TEL;VALUE=uri:tel:{number}", _END
    ))  # fmt: skip


def _escaped(text: str) -> str:
    for one in ("\\", ",", ";"):
        text = text.replace(one, "\\" + one)
    return text.replace("\n", "\\n")


def _folded(line: str) -> str:
    """The line with its end, in pieces of LINE_OCTETS at the most, each of whole characters."""
    pieces: list[str] = [""]
    room = LINE_OCTETS
    for character in line:
        size = len(character.encode())
        if size > room:
            pieces.append("")
            room = LINE_OCTETS - 1
        pieces[-1] += character
        room -= size
    return "\r\n ".join(pieces) + "\r\n"


# --- reading ----------------------------------------------------------------------------------


def looks_like_cards(text: str) -> bool:
    """Whether this begins like a vCard."""
    return text.lstrip()[: len(_BEGIN)].upper() == _BEGIN


def read_cards(text: str) -> Iterator[Card]:
    """The cards of a file, one after another. Raises NotVCard at the first line that belongs into none."""
    card: Card | None = None
    names: dict[str, str] = {}
    numbers: list[tuple[bool, str]] = []
    for found in _properties(text):
        word = f"{found.name}:{found.value.strip().upper()}"
        if card is None:
            if word != _BEGIN:
                raise NotVCard(f"line {found.line} is outside of any card")
            card, names, numbers = Card(found.line), {}, []
        elif word == _BEGIN:
            raise NotVCard(f"line {found.line}: a card within a card")
        elif word == _END:
            card.name = names.get("FN") or names.get("N") or ""
            card.numbers = [number for _, number in sorted(numbers, key=lambda one: not one[0])]
            yield card
            card = None
        elif found.name == "FN":
            names.setdefault("FN", found.text)
        elif found.name == "N":
            names.setdefault("N", _structured(found))
        elif found.name == "TEL":
            main = found.has("PREF", "1") or found.has("TYPE", *MAIN_NUMBERS) or found.has("", *MAIN_NUMBERS)
            numbers.append((main, found.text.strip()))
            if len(numbers) > CARD_NUMBERS:
                raise NotVCard(f"line {found.line}: more than {CARD_NUMBERS} numbers")
    if card is not None:
        raise NotVCard(f"the card that begins in line {card.line} has no end")


def _structured(found: _Property) -> str:
    """Family and given name in the order in which people say them."""
    family, _, rest = found.text.replace("\\;", " ").partition(";")
    return f"{rest.partition(';')[0]} {family}".strip()


def _properties(text: str) -> Iterator[_Property]:
    for line, content in _unfolded(text):
        head, colon, value = _divided(content)
        name, *parameters = head
        spelled = _NAME.fullmatch(name)
        if not colon or spelled is None:
            raise NotVCard(f"line {line} is no line of a vCard")
        yield _Property(line, spelled[1].upper(), tuple(map(_parameter, parameters)), value)


def _parameter(text: str) -> tuple[str, str]:
    """Name and value; version 2.1 has values alone."""
    name, equals, value = text.partition("=")
    return (name.upper(), value.replace('"', "")) if equals else ("", name)


def _divided(content: str) -> tuple[list[str], bool, str]:
    """What stands before the first colon outside of quotes, at its semicolons, and what stands behind."""
    parts, begin, quoted = [], 0, False
    for at, character in enumerate(content):
        if character == '"':
            quoted = not quoted
        elif character in ":;" and not quoted:
            parts.append(content[begin:at])
            begin = at + 1
            if character == ":":
                return parts, True, content[begin:]
    return [*parts, content[begin:]], False, ""


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are meant, with the number of the first of which each is made."""
    pieces: list[str] = []
    first, soft = 0, False
    for number, raw in enumerate(lines_of(text), 1):
        line = raw.rstrip("\r\n")
        if pieces and soft:
            pieces[-1] = pieces[-1][:-1]
            pieces.append(line)
        elif pieces and line[:1] in (" ", "\t"):
            pieces.append(line[1:])
        else:
            if pieces:
                yield first, "".join(pieces)
            pieces, first = ([line], number) if line.strip() else ([], number)
        # Version 2.1 breaks lines of quoted-printable at an equals sign of their own.
        soft = bool(pieces) and pieces[-1].endswith("=") and "QUOTED-PRINTABLE" in pieces[0][:200].upper()
    if pieces:
        yield first, "".join(pieces)


def lines_of(text: str) -> Iterator[str]:
    """Line after line, with its end; a long file is not taken apart all at once."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _unescaped(text: str) -> str:
    """RFC 6350, section 3.4; other escapes stand for the character itself."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)
