"""Contacts from a file into the address book: all of them or none.

One operation over a transaction of the vault. Knows names and numbers, not files. A file is less than the
user's own word: it gives nobody another name, unblocks nobody and verifies nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.client.contacts.contact_values import Imported, LeftOut, NamedNumber
from e2ee.client.contacts.lookalikes import likeness, name_refused
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.store.client import contacts
from e2ee.store.connection import Connection


def import_contacts(
    tx: Connection, own: Address, entries: Sequence[NamedNumber], *, skip: bool
) -> Imported:
    """Name and accept these numbers. Their owners are told nothing: they get the contact token with the
    next text.

    Raises Failure(USAGE) for what the address book refuses, unless `skip`: then it is left out.
    """
    taking = _Import(tx, own)
    for entry in entries:
        reason = taking.refused(entry)
        if reason is not None:
            taking.left_out.append(LeftOut(str(entry.address), reason))
        else:
            taking.take(entry)
    if taking.left_out and not skip:
        raise _refusal(taking.left_out)
    return Imported(taking.added, taking.known, tuple(taking.kept), tuple(taking.left_out))


def _refusal(left_out: Sequence[LeftOut]) -> Failure:
    first, more = left_out[0], len(left_out) - 1
    others = f" (and {more} more)" if more else ""
    return Failure(Code.USAGE, f"{first.what}: {first.reason}{others}; nothing imported")


class _Import:
    """One run."""

    def __init__(self, tx: Connection, own: Address) -> None:
        self._tx = tx
        self._own = own
        self._taken = {key: (whose, name) for whose, name in contacts.names(tx) for key in likeness(name)}
        self._seen: dict[Address, str | None] = {}
        self.added = 0
        self.known = 0
        self.kept: list[LeftOut] = []
        self.left_out: list[LeftOut] = []

    def refused(self, entry: NamedNumber) -> str | None:
        """Why this cannot be in the address book, or None."""
        if entry.address == self._own:
            return "this is your own number"
        if entry.name is None:
            return None
        reason = name_refused(entry.name)
        if reason is not None:
            return reason
        if self._seen.get(entry.address, entry.name) != entry.name:
            return f"{entry.name}: the file has another name for this number, too"
        if contacts.load_contact(self._tx, entry.address).name is not None:
            return None
        for key in likeness(entry.name):
            whose, name = self._taken.get(key, (entry.address, ""))
            if whose != entry.address:
                return f"{entry.name}: another contact is called {name}, which looks the same"
        return None

    def take(self, entry: NamedNumber) -> None:
        """Add it, or find it there."""
        before = contacts.load_contact(self._tx, entry.address)
        self._seen[entry.address] = entry.name
        contacts.touch_contact(self._tx, entry.address, accepted=not before.blocked)
        if entry.name is not None and before.name not in (None, entry.name):
            self.kept.append(LeftOut(str(entry.address), f"stays {before.name}, not {entry.name}"))
            return
        if entry.name is None or before.name == entry.name:
            fresh = not before.listed or before.is_request
            self.added += fresh
            self.known += not fresh
            return
        contacts.name_contact(self._tx, entry.address, entry.name)
        self._taken |= dict.fromkeys(likeness(entry.name), (entry.address, entry.name))
        self.added += 1
