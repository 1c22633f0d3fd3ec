"""Whom a chat can show and complete: contacts, who is online, and whose messages are unread.

Asks the messenger again whenever something may have changed, one question at a time. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from e2ee.client.events import Contact, UnreadOf
from e2ee.errors import Failure
from e2ee.ids import Address
from e2ee.ui import render
from e2ee.ui.suggestions import Person
from e2ee.ui.waiting import Task

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


class KnownPeople:
    """As of the last answers; `changed` is called after each."""

    def __init__(self, messenger: Conversations, changed: Callable[[], None]) -> None:
        self._messenger = messenger
        self._tell = changed
        self._contacts: dict[Address, Contact] = {}
        self._names: dict[Address, str | None] = {}
        self._asking: Task[None] | None = None
        self._watching: Task[None] | None = None
        self._again = False
        self._ended = False
        self.unread: list[UnreadOf] = []
        self.present: tuple[Address, ...] = ()
        self.persons: tuple[Person, ...] = ()

    def begin(self) -> None:
        """Ask for everything, and have presence told."""
        self.refresh()
        self._watching = Task(self._watch())

    def end(self) -> None:
        """Ask for nothing more; what is being asked may end as it likes."""
        self._ended = True

    def connected(self) -> None:
        """A new connection: others may be there now."""
        if not self._ended and (self._watching is None or self._watching.done):
            self._watching = Task(self._watch())

    def changed(self, address: Address, name: str | None, online: bool) -> None:
        """Somebody has come or left."""
        others = {one for one in self.present if one != address}
        self.present = tuple(sorted(others | {address} if online else others))
        self._names[address] = name
        self._know()

    def refresh(self) -> None:
        """Contacts and counts may be others."""
        self._again = True
        if not self._ended and (self._asking is None or self._asking.done):
            self._asking = Task(self._ask())

    def contact(self, address: Address) -> Contact | None:
        """The entry in the address book."""
        return self._contacts.get(address)

    def label(self, address: Address) -> str:
        """How people call this one."""
        contact = self._contacts.get(address)
        return render.label(contact.name if contact else self._names.get(address), address)

    async def _ask(self) -> None:
        while self._again and not self._ended:
            self._again = False
            try:
                contacts = await self._messenger.contacts()
                self.unread = await self._messenger.unread()
            except (Failure, CancelledError):
                return
            self._contacts = {one.address: one for one in contacts if not one.blocked}
            self._know()
            self._tell()

    async def _watch(self) -> None:
        try:
            await self._messenger.watch_presence()
            found = dict(await self._messenger.online())
        except (Failure, CancelledError):
            # No connection, or the server tells nobody: the next connection asks again.
            return
        self._names.update(found)
        self.present = tuple(sorted(found))
        self._know()
        self._tell()

    def _know(self) -> None:
        known = sorted({*self._contacts, *self.present})
        self.persons = tuple(self._person(address) for address in known)

    def _person(self, address: Address) -> Person:
        label = self.label(address)
        return Person(str(address), None if label == address else label, address in self.present)
