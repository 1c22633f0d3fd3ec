"""Who else is connected, and what the server may say of us.

Knows tokens and pages; names belong to the address book. See `docs/protocol.md`, section 7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from e2ee.client.contacts.own_token import is_announced, note_announced, own_token
from e2ee.client.context import Context
from e2ee.client.events import PresenceChanged
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.ids import Address
from e2ee.store.client import contacts
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from e2ee.wire.limits import WATCHED_TARGETS


class Presence:
    """One profile's."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._watching = False
        self._here: set[str] = set()
        """Of those who are watched: the last answer, and what was pushed since."""
        self._told: set[str] = set()
        """Who was here when the watching began on this connection, and what was told since."""
        self._looking = self._again = False

    def connected(self) -> None:
        """A new connection: tell the server what it does not know, watch again."""
        self._context.tasks.spawn(self._connected())

    async def _connected(self) -> None:
        try:
            await self.announce()
            if self._watching:
                await self.watch()
        except (LinkLost, Refusal):
            pass  # the next connection does it

    async def announce(self) -> None:
        """Have the server know the hash of the own contact token, and whether we hide."""
        context = self._context

        def prepare(tx: Connection) -> tuple[bytes, bool]:
            token_hash = hashlib.sha256(own_token(tx, context.entropy)).digest()
            return token_hash, is_announced(tx, _announcement(token_hash, context.hidden))

        token_hash, known = await context.write(prepare)
        if not known:
            await context.ask(m.SetPresence(0, token_hash, context.hidden), m.Done)
            announcement = _announcement(token_hash, context.hidden)
            await context.write(lambda tx: note_announced(tx, announcement))

    async def watch(self) -> None:
        """Have changes pushed, from now on and on later connections. Raises LinkLost or Refusal."""
        self._watching = True
        self._told = set(await self._subscribe(await self._targets()))

    def learned(self) -> None:
        """Somebody may have given us his token, or be a contact now: if he is here already, it is told."""
        if self._watching and self._context.is_up:
            self._again = True
            if not self._looking:
                self._looking = True
                self._context.tasks.spawn(self._look())

    async def _look(self) -> None:
        """One question for all that come while the one before is answered."""
        try:
            while self._again:
                self._again = False
                new = await self._subscribe(await self._targets()) - self._told
                self._told |= new
                # All at once, so that whoever leaves after the answer is told after it.
                await self._tell(sorted(new), online=True)
        except (LinkLost, Refusal):
            pass  # whoever is told of a new connection asks then
        finally:
            self._looking = False

    async def changed(self, push: m.PresenceChanged) -> None:
        """The server says that somebody came or left."""
        for numbers in (self._here, self._told):
            if push.online:
                numbers.add(push.number)
            else:
                numbers.discard(push.number)
        await self._tell([push.number], push.online)

    async def _tell(self, numbers: Sequence[str], online: bool) -> None:
        known = await self._context.vault.read(
            lambda tx: [contacts.load_contact(tx, one) for one in map(Address, numbers)]
        )
        self._context.listeners.tell(
            [PresenceChanged(one.address, one.name, online) for one in known if not one.blocked]
        )

    async def online(self) -> list[tuple[Address, str | None]]:
        """Who else is connected, as far as the server says it, sorted. Raises LinkLost or Refusal."""
        targets = await self._targets()
        numbers: set[str] = set()
        for at in range(WATCHED_TARGETS, len(targets), WATCHED_TARGETS):
            await self._pages(targets[at : at + WATCHED_TARGETS], numbers)
        # Those who are watched come last: each request replaces the targets of the one before, and whoever
        # comes or leaves after its answer is to be heard of.
        if self._watching:
            numbers |= await self._subscribe(targets)
        else:
            await self._pages(targets[:WATCHED_TARGETS], numbers)
        return await self._context.vault.read(
            lambda tx: [(one, contacts.load_contact(tx, one).name) for one in map(Address, sorted(numbers))]
        )

    async def _subscribe(self, targets: list[m.Target]) -> set[str]:
        """Watch as many as one may; who of them is online. From each answer on changes are pushed."""
        numbers: set[str] = set()
        self._here = numbers  # what is pushed between two pages belongs there, too
        await self._pages(targets[:WATCHED_TARGETS], numbers, subscribe=True)
        return numbers

    async def _pages(self, targets: list[m.Target], numbers: set[str], *, subscribe: bool = False) -> None:
        """Add those of the targets who are online to `numbers`."""
        after = ""
        while True:
            page = await self._context.ask(m.Watch(0, tuple(targets), after, subscribe), m.Online)
            numbers.update(page.numbers)
            if not page.more or not page.numbers or page.numbers[-1] <= after:
                return
            after = page.numbers[-1]

    async def _targets(self) -> list[m.Target]:
        """Those who gave us a contact token; who is accepted comes first."""

        def load(tx: Connection) -> list[m.Target]:
            known = sorted(contacts.list_contacts(tx), key=lambda contact: not contact.accepted)
            return [
                m.Target(str(contact.address), bytes(contact.token))
                for contact in known
                if contact.token is not None and not contact.blocked
            ]

        return await self._context.vault.read(load)


def _announcement(token_hash: bytes, hidden: bool) -> bytes:
    return token_hash + bytes((hidden,))
