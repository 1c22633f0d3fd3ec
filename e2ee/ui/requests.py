"""Requests: what strangers write, until the user accepts or blocks them.

Says once in a chat that somebody is one, and lists them. Knows the messenger and how such records look;
not where the chat stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2ee.client.events import MessageReceived, ShownEvent
from e2ee.ids import Address
from e2ee.ui import render

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

NO_REQUESTS = "no requests"


class Requests:
    """One chat's: who was announced."""

    def __init__(self) -> None:
        self._announced: set[Address] = set()

    def first_notice(self, event: ShownEvent) -> list[str]:
        """What stands before the first text of a stranger; nothing before any other event."""
        if not isinstance(event, MessageReceived) or not event.request or event.address in self._announced:
            return []
        self._announced.add(event.address)
        who = render.label(event.name, event.address)
        return [render.notice(f"a request: you have not accepted {who} yet; answer, /accept or /block {who}")]


async def listed(messenger: Conversations) -> list[str]:
    """Everybody who waits to be accepted, with what of theirs is unread."""
    unread = {one.address: one.texts for one in await messenger.unread()}
    found = []
    for contact in await messenger.contacts():
        if contact.request:
            count = unread.get(contact.address, 0)
            state = f" ({render.texts(count)} unread)" if count else ""
            found.append(render.notice(f"{render.online_record(contact.address, contact.name)}{state}"))
    return found or [render.notice(NO_REQUESTS)]


async def accept(messenger: Conversations, address: Address) -> list[str]:
    """Accept somebody. Raises Failure."""
    contact = await messenger.accept_contact(address)
    return [render.notice(f"accepted: {render.contact_record(contact)}")]


async def block(messenger: Conversations, address: Address) -> list[str]:
    """Show nothing more of somebody. Raises Failure."""
    contact = await messenger.block_contact(address)
    return [render.notice(f"blocked: {render.online_record(contact.address, contact.name)}")]
