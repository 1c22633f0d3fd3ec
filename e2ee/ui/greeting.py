"""What a chat says at its beginning of all that waits for the user: unread messages and requests.

Asks the messenger; knows neither the console nor where the chat stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2ee.ids import Address
from e2ee.ui import render
from e2ee.ui.own_messages import count_messages

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


async def what_waits(messenger: Conversations, partner: Address | None, *, opens_chats: bool) -> list[str]:
    """A notice about each kind. `opens_chats`: what the open chat's `partner` wrote is shown at once."""
    return [*await _unread(messenger, partner, opens_chats), *await _requests(messenger)]


async def _unread(messenger: Conversations, partner: Address | None, opens_chats: bool) -> list[str]:
    unread = await messenger.unread()
    if not unread:
        return []
    ask = "3" if partner is None else "/offline"
    shown_now = opens_chats and {one.address for one in unread} == {partner}
    hint = "" if shown_now else f"; {ask} lists them"
    count = count_messages(sum(one.texts for one in unread))
    return [render.notice(f"{count} came while you were away{hint}")]


async def _requests(messenger: Conversations) -> list[str]:
    count = len([contact for contact in await messenger.contacts() if contact.request])
    if not count:
        return []
    waits = "1 request waits" if count == 1 else f"{count} requests wait"
    return [render.notice(f"{waits} for your word; requests, in a chat /requests, lists them")]
