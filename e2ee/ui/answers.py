"""What the line interface answers to its commands: lists, safety numbers, the past.

Knows the messenger and how answers look; not where the chat stands, nor who reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from e2ee.client.events import HistoryQuery
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.ui import render, requests, trust_records
from e2ee.ui.address_book import checked_digits
from e2ee.ui.commands import Verb
from e2ee.ui.times import parse_span

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

HISTORY_ENTRIES = 20
"""As many as fit on a screen."""

HELP_OUTSIDE = (
    "1 or online, 2 or chat ADDRESS, 3 or offline, 4 or exit, 5 or quit, menu, help",
    "requests who wrote without being accepted, accept ADDRESS, block ADDRESS",
    "ADDRESS is a number such as +15550100102, or a name of the address book",
)
HELP_INSIDE = (
    "every line is sent, except menu and these:",
    "/online who is connected, /offline messages that came meanwhile, /who you are talking to",
    "/verify the safety number, /verify DIGITS compare it, /trust accept a changed key",
    "/history the last messages, /search TEXT find one",
    "/timer after what time messages disappear, /timer 1d set it, /timer off",
    "/accept whom you are talking to, or /block, /requests who else waits for that",
    "/file PATH send a file",
    "/menu or /exit leave the chat, /quit end; a line that begins with // is sent with one slash",
)

_DECISIONS = {Verb.ACCEPT: requests.accept, Verb.BLOCK: requests.block}
"""About strangers."""


async def answer(
    messenger: Conversations, partner: Address | None, verb: Verb, rest: str, now: Callable[[], int]
) -> list[str]:
    """Of the commands that only ask; `partner` is the open chat's. Raises Failure."""
    if verb is Verb.ONLINE:
        return await online(messenger)
    if verb is Verb.HELP:
        return [render.notice(line) for line in (HELP_OUTSIDE if partner is None else HELP_INSIDE)]
    if verb is Verb.HISTORY or verb is Verb.SEARCH:
        if verb is Verb.SEARCH and not rest:
            raise Failure(Code.USAGE, "/search needs a text to look for")
        return await past(messenger, partner, rest or None, now)
    if verb is Verb.REQUESTS:
        return await requests.listed(messenger)
    if verb in _DECISIONS and rest:
        return await _DECISIONS[verb](messenger, await messenger.resolve(rest))
    if partner is None:
        missing = f"{verb.value} needs an ADDRESS" if verb in _DECISIONS else "no chat is open"
        raise Failure(Code.USAGE, missing)
    if verb in _DECISIONS:
        return await _DECISIONS[verb](messenger, partner)
    if verb is Verb.VERIFY:
        return await verify(messenger, partner, rest)
    if verb is Verb.TRUST:
        return await trust(messenger, partner)
    if verb is Verb.TIMER:
        return await timer(messenger, partner, rest)
    return await who(messenger, partner)


async def online(messenger: Conversations) -> list[str]:
    """Who else is connected. Raises Failure without a connection."""
    found = await messenger.online()
    return [render.online_record(*one) for one in found] or [render.notice("nobody else is online")]


async def verify(messenger: Conversations, address: Address, digits: str) -> list[str]:
    """The safety number; with digits, after comparing them. Raises Failure."""
    if digits:
        number = await messenger.confirm(address, checked_digits(digits))
    else:
        number = await messenger.safety_number(address)
    return [render.notice(record) for record in trust_records.safety_number_records(number)]


async def trust(messenger: Conversations, address: Address) -> list[str]:
    """Both safety numbers after the change was accepted. Raises Failure."""
    return [render.notice(record) for record in trust_records.trust_records(await messenger.trust(address))]


async def timer(messenger: Conversations, address: Address, span: str) -> list[str]:
    """After what time messages disappear; with a time, once that is so. Raises Failure."""
    contact = await messenger.set_timer(address, parse_span(span) if span else None)
    return [render.notice(render.timer_sentence(contact.timer))]


async def past(
    messenger: Conversations, address: Address | None, search: str | None, now: Callable[[], int]
) -> list[str]:
    """The last texts, with one person or with all."""
    entries = await messenger.archive.history(HistoryQuery(address, search, limit=HISTORY_ENTRIES))
    found = [render.history_record(entry, now()) for entry in entries]
    return found or [render.notice("nothing found")]


async def who(messenger: Conversations, address: Address) -> list[str]:
    """Whom this chat is with."""
    known = [contact for contact in await messenger.contacts() if contact.address == address]
    return [render.notice(render.contact_record(known[0]) if known else str(address))]


async def marks_of(messenger: Conversations, address: Address) -> str:
    """Whether and by whom this one is verified, to stand behind the name; empty if by nobody."""
    marks = []
    for contact in await messenger.contacts():
        if contact.address == address:
            marks += ["verified"] * contact.verified
            marks += [] if contact.verified_by is None else [f"verified by {contact.verified_by}"]
    return f" ({', '.join(marks)})" if marks else ""


def error(failure: Failure) -> str:
    """What did not work; the chat goes on."""
    return render.notice(f"error: {render.failure_sentence(failure)}")


async def name_of(messenger: Conversations, address: Address) -> str:
    """How people call this one: the name in the address book, else the number."""
    names = {contact.address: contact.name for contact in await messenger.contacts()}
    return render.label(names.get(address), address)
