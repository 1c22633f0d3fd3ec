"""Tells contacts that the user is writing to them: now, or not at all.

Such a notice is never kept for later: it goes only over a connection that is there, in a session that is
there, to whom nothing else waits, and what is left of one after a lost connection is dropped. See
`docs/protocol.md`, section 6, "Typing notices".
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.sending.outgoing import Outgoing
from e2ee.client.sending.receipting import may_tell
from e2ee.ids import Address
from e2ee.store.client import contacts, outbox
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.connection import Connection

PAUSE_SECONDS = 5.0
"""Between two to the same contact: a text takes longer than one to write."""


class TypingNotices:
    """One profile's. `wake` is called with each number for whom one has been put into the outbox."""

    def __init__(
        self, context: Context, outgoing: Outgoing, wake: Callable[[Address], None]
    ) -> None:
        self._context = context
        self._outgoing = outgoing
        self._wake = wake
        self._told: dict[Address, float] = {}

    def connected(self) -> None:
        """Whatever is left of the last connection is too late."""
        self._context.tasks.spawn(self._forget())

    async def _forget(self) -> None:
        if await self._context.vault.read(outbox.typing_waits):
            await self._context.write(outbox.remove_typing)

    async def tell(self, address: Address) -> None:
        """The user is writing to this number, who is there: it is told, if the user wants that and has
        accepted its owner, and not all the time."""
        context, now = self._context, self._context.clock.seconds()
        if not context.typing or not context.is_up:
            return
        if now - self._told.get(address, now - PAUSE_SECONDS) < PAUSE_SECONDS:
            return
        if not await context.vault.read(lambda tx: _may_be_told(tx, address)):
            return
        if await context.write(lambda tx: self._queue(tx, address)):
            self._told[address] = now
            self._wake(address)

    def _queue(self, tx: Connection, address: Address) -> bool:
        if not _may_be_told(tx, address):
            return False
        now = self._context.now
        outbox.add_control(tx, address, OutboxKind.TYPING, now)
        if self._outgoing.seal_waiting(tx, address, now):
            return True
        outbox.remove_typing(tx, address)
        return False


def _may_be_told(tx: Connection, address: Address) -> bool:
    contact = contacts.load_contact(tx, address)
    return may_tell(contact, contact.trusted_key) and not outbox.waiting_for(tx, address, 0, 1)
