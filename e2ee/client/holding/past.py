"""The past of one profile, through whichever process holds its vault.

Knows in what pieces it is asked for; neither what holds it (`archive`) nor who answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from e2ee.client.events import Forgotten, HistoryEntry, HistoryQuery
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.roaming import Roaming
from e2ee.ids import Address, MessageId

PAGE_ENTRIES = 500
"""Texts that are taken from the vault at once: others can use it in between."""


class Past:
    """All texts that were sent or released to readers. Works without a connection."""

    def __init__(self, roaming: Roaming) -> None:
        self._ask = roaming.ask

    async def pages(self, query: HistoryQuery) -> AsyncIterator[list[HistoryEntry]]:
        """What is asked for, oldest first, in pieces."""
        rows = await self._ask(lambda: h.FindHistory(query))
        for start in range(0, len(rows), PAGE_ENTRIES):
            page = rows[start : start + PAGE_ENTRIES]
            yield list(await self._ask(lambda: h.LoadHistory(page)))  # noqa: B023 (awaited at once)

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The same in one piece."""
        return [entry async for page in self.pages(query) for entry in page]

    async def forget_message(self, message_id: MessageId) -> Forgotten:
        """Delete a text for good. Raises Failure(USAGE) for an unknown id, FAILED for one that waits."""
        return await self._ask(lambda: h.ForgetMessage(message_id))

    async def forget_conversation(self, address: Address) -> Forgotten:
        """Delete all texts with this number for good, but for those that wait to be accepted.

        Its keys and its entry in the address book stay.
        """
        return await self._ask(lambda: h.ForgetConversation(address))
