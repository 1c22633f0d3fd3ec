"""Files of contacts, vCard or CSV: read and written, within bounds.

Knows formats and numbers, not the vault; which names are allowed there, the address book says. Blocks: call
what takes a path in a thread. See `docs/command-line.md`, "Contacts in files".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from e2ee.client.backups.backup_file import Draft, refuse_existing
from e2ee.client.contacts.contact_csv import NotCsv, read_rows, write_rows
from e2ee.client.contacts.contact_values import IMPORTED_CONTACTS, LeftOut, NamedNumber
from e2ee.client.contacts.lookalikes import name_refused
from e2ee.client.contacts.vcard import NotVCard, looks_like_cards, read_cards, write_cards
from e2ee.client.profiles.private_files import read_public
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, Failure, InvalidAddress
from e2ee.ids import Address

FILE_BYTES = 32 * 1024 * 1024
"""Address books come with photographs."""
_QUOTED = 60
_BLANKS = re.compile(r"[ \t\r\n]*[\t\r\n][ \t\r\n]*")


class ContactFormat(StrEnum):
    """In which form contacts are written."""

    VCARD = "vcard"
    CSV = "csv"


def format_of(path: Path) -> ContactFormat:
    """By the end of a file's name. Raises Failure(USAGE)."""
    suffix = path.suffix.casefold()
    if suffix in (".vcf", ".vcard"):
        return ContactFormat.VCARD
    if suffix == ".csv":
        return ContactFormat.CSV
    raise Failure(Code.USAGE, f"{path.name}: the name of the file ends in .vcf or .csv, or give --format")


# --- writing ----------------------------------------------------------------------------------


def write_contacts(
    path: Path, contacts: Iterable[NamedNumber], form: ContactFormat, entropy: Entropy
) -> None:
    """Put contacts into a new file of mode 0600, which appears whole or not at all.

    Raises Failure(USAGE) where there is one, FAILED where it cannot be written.
    """
    named = [(contact.name or str(contact.address), str(contact.address)) for contact in contacts]
    content = write_cards(named) if form is ContactFormat.VCARD else write_rows(named)
    draft = Draft(path, entropy)
    try:
        refuse_existing(path)
        with draft.open() as file:
            file.write(content.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.publish()
    except FileExistsError:
        raise Failure(Code.USAGE, f"{path} exists already; nothing is replaced") from None
    except OSError as error:
        raise Failure(Code.FAILED, f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.discard()


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadContacts:
    """What a file has. `wrong` could not be taken; `beside` was not meant to be: further numbers of somebody.
    `without_number` counts those who have none."""

    contacts: Sequence[NamedNumber]
    wrong: Sequence[LeftOut] = ()
    beside: Sequence[LeftOut] = ()
    without_number: int = 0


def read_contacts(path: Path) -> ReadContacts:
    """The contacts of a vCard or CSV file, in its order. Raises Failure(USAGE) for anything else."""
    content = read_public(path, FILE_BYTES)
    try:
        return contacts_of(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Failure(Code.USAGE, f"{path} is not UTF-8") from None
    except (NotVCard, NotCsv) as error:
        raise Failure(Code.USAGE, f"{path}: {error}") from None


def contacts_of(text: str) -> ReadContacts:
    """The same for a file's text. Raises NotVCard, NotCsv, Failure(USAGE) for too many."""
    found = _Found()
    for line, name, numbers in _entries(text):
        found.add(line, _BLANKS.sub(" ", name).strip(), numbers)
        if found.count > IMPORTED_CONTACTS:
            raise Failure(Code.USAGE, f"more than {IMPORTED_CONTACTS} contacts: import them in parts")
    return ReadContacts(found.contacts, found.wrong, found.beside, found.without_number)


def _entries(text: str) -> Iterator[tuple[int, str, Sequence[str]]]:
    if looks_like_cards(text):
        for card in read_cards(text):
            yield card.line, card.name, card.numbers
    elif text.strip():
        for line, name, number in read_rows(text):
            yield line, name, [number] if number else []


@dataclass(slots=True)
class _Found:
    contacts: list[NamedNumber] = field(default_factory=list)
    wrong: list[LeftOut] = field(default_factory=list)
    beside: list[LeftOut] = field(default_factory=list)
    without_number: int = 0

    @property
    def count(self) -> int:
        """Of all that has to be remembered."""
        return len(self.contacts) + len(self.wrong) + len(self.beside)

    def add(self, line: int, name: str, numbers: Sequence[str]) -> None:
        """Take the first of the numbers that is one; a name stands for one number only."""
        what = f"line {line}: {_short(name)}" if name else f"line {line}"
        if not numbers:
            self.without_number += 1
            return
        taken, refused = _first_possible(what, numbers)
        if taken is None:
            self.wrong += refused[:1]
            return
        self.beside += refused
        bare = name == taken
        reason = None if bare else name_refused(name)
        if reason is None:
            self.contacts.append(NamedNumber(taken, None if bare else name))
        else:
            self.wrong.append(LeftOut(what, reason.removeprefix(f"{name}: ")))


def _first_possible(what: str, numbers: Sequence[str]) -> tuple[Address | None, list[LeftOut]]:
    """The first that is a number, and why the others are not taken."""
    taken: Address | None = None
    refused = []
    for number in numbers:
        try:
            address = Address.parse(number)
        except InvalidAddress as error:
            refused.append(LeftOut(what, f"{_short(number)}: {error}"))
            continue
        if taken is None:
            taken = address
        elif address != taken:
            refused.append(LeftOut(what, f"{address}: a name has one number, {taken} was taken"))
    return taken, refused


def _short(text: str) -> str:
    """Enough to find it in the file."""
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
