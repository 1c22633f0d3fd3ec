"""What each method does: the verb, or what it stands for where its arguments are an argument of their own.

Knows what was given, checked for its kind by then, and the request that collects what is printed; not the
names of methods.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from e2ee.client.contacts.contact_file import ContactFormat
from e2ee.client.events import HistoryQuery
from e2ee.errors import Code, Failure, InvalidIdentifier
from e2ee.ids import MessageId
from e2ee.ui import address_book, backups, contact_files, identities, records, render
from e2ee.ui.arrivals import drained
from e2ee.ui.event_render import event_object
from e2ee.ui.files import files_to_send
from e2ee.ui.rpc.request import Request
from e2ee.ui.sending import WAITS, checked_text, outcomes, queue_all, resolved
from e2ee.ui.times import parse_since, parse_span

ENTRIES = 1000
"""Of the past, unless more are asked for."""
MOST_MESSAGES = 100
"""That `receive` gives at once."""

Given = dict[str, Any]


# --- messages ---------------------------------------------------------------------------------


async def send(request: Request, asked: Given) -> None:
    """Queue in order, wait, and show how each stands. Raises Failure(USAGE)."""
    path = files_to_send([Path(asked["file"])])[0] if "file" in asked else None
    text = checked_text(asked.get("text", "")) if path is None else asked.get("text", "")
    to = asked["to"] if isinstance(asked["to"], list) else [asked["to"]]
    chosen = _message_id(asked["id"]) if "id" in asked else None
    if chosen is not None and len(to) != 1:
        raise Failure(Code.USAGE, "an id is for one recipient")
    async with request.desk.queueing:
        addresses = await resolved(request.shared, to)
        if path is None:
            queued = await queue_all(request.shared, addresses, text, chosen)
        else:
            queued = [await request.shared.files.queue(one, path, text, chosen) for one in addresses]
    wanted = WAITS[asked.get("wait", "accepted")]
    async for outcome in outcomes(request, request.shared, queued, wanted):
        request.add(render.sent_object(outcome.message))


async def receive(request: Request, asked: Given) -> None:
    """As the verb, but no more than there is room for in one answer."""
    most, line = asked.get("max", MOST_MESSAGES), request.line
    events = await request.desk.news.take(most, line, request.left())
    if not events:
        await request.shared.connected(request.left())
        await drained(request.shared, lambda: 0, request.left())
        events = await request.desk.news.take(most, line, request.left())
    if not events and asked.get("wait_first", False):
        events = await request.desk.news.first(most, line, request.left())
    if not events:
        return
    try:
        for event in events:
            request.add(event_object(event))
    except Exception:
        request.desk.news.give_back()
        raise
    request.after_flush = lambda: request.desk.news.shown(events)


async def subscribe(request: Request, asked: Given) -> None:
    """Everything is told from now on."""
    acknowledge, presence = asked.get("acknowledge", False), asked.get("presence", False)
    await request.desk.news.subscribe(acknowledge=acknowledge, presence=presence)
    request.after_flush = request.desk.news.begin
    _show_subscription(request, acknowledge)


async def unsubscribe(request: Request, asked: Given) -> None:
    """Nothing is told any more."""
    request.desk.news.unsubscribe()
    _show_subscription(request, False)


def _show_subscription(request: Request, acknowledge: bool) -> None:
    request.add(
        {
            "type": "subscription",
            "subscribed": request.desk.news.subscribed,
            "acknowledge": acknowledge,
            "connected": request.shared.is_connected,
        }
    )


async def acknowledge(request: Request, asked: Given) -> None:
    """The last arrival has been dealt with."""
    request.desk.news.acknowledge()


async def history(request: Request, asked: Given) -> None:
    """The last texts, unless more are asked for."""
    now = request.now()
    since, until = (
        parse_since(asked[name], now) if name in asked else None for name in ("since", "until")
    )
    query = HistoryQuery(
        None, asked.get("search"), since, until, asked.get("direction"), asked.get("limit", ENTRIES)
    )
    await records.history(request, asked.get("address"), query)


async def forget(request: Request, asked: Given) -> None:
    """Delete texts and conversations."""
    ids = [_message_id(one) for one in _several(asked.get("ids", []))]
    conversations = _several(asked.get("conversations", []))
    if not ids and not conversations:
        raise Failure(Code.USAGE, "nothing to forget: give ids or conversations")
    await records.forget(request, ids, conversations)


async def backup(request: Request, asked: Given) -> None:
    """The profile into a file."""
    if "passphrase_file" in asked:
        request.options = replace(request.options, passphrase_file=Path(asked["passphrase_file"]))
    await backups.backup(request, Path(asked["file"]))


async def cancel(request: Request, asked: Given) -> None:
    """Take a text out of the outbox."""
    await records.cancel(request, _message_id(asked["id"]))


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _message_id(text: str) -> MessageId:
    try:
        return MessageId.from_hex(text.lower())
    except InvalidIdentifier as error:
        raise Failure(Code.USAGE, "an id is 32 hex digits") from error


# --- people -----------------------------------------------------------------------------------


async def add(request: Request, asked: Given) -> None:
    """Name a number."""
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.add_contact(address, asked["name"])))


async def rename(request: Request, asked: Given) -> None:
    """Name it otherwise."""
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.rename_contact(address, asked["name"])))


async def block(request: Request, asked: Given) -> None:
    """Never show anything of it."""
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.block_contact(address)))


async def remove(request: Request, asked: Given) -> None:
    """Take it out of the address book."""
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.remove_contact(address)))


async def timer(request: Request, asked: Given) -> None:
    """Have texts disappear."""
    seconds = parse_span(asked["time"]) if "time" in asked else None
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.set_timer(address, seconds)))


async def export(request: Request, asked: Given) -> None:
    """The address book into a file."""
    form = ContactFormat(asked["format"]) if "format" in asked else None
    await contact_files.export(request, Path(asked["file"]), form)


async def import_(request: Request, asked: Given) -> None:
    """Out of one."""
    await contact_files.take_in(request, Path(asked["file"]), skip=asked.get("skip", False))


async def verify(request: Request, asked: Given) -> None:
    """The safety number, perhaps compared."""
    digits = address_book.checked_digits(asked["confirm"]) if "confirm" in asked else None
    await address_book.verify(request, asked["address"], digits)


async def trust_authorities(request: Request, asked: Given) -> None:
    """Trust those of a file, or keep their lists."""
    if "ca" not in asked and "crl" not in asked:
        raise Failure(Code.USAGE, "give ca, crl or both")
    await identities.trust_authorities(request, _path(asked, "ca"), _path(asked, "crl"))


async def attach(request: Request, asked: Given) -> None:
    """Have a certificate handed out."""
    await identities.attach(request, Path(asked["certificate"]), Path(asked["key"]))


def _path(asked: Given, name: str) -> Path | None:
    return Path(asked[name]) if name in asked else None


async def set_pin(request: Request, asked: Given) -> None:
    """Set the registration PIN."""
    await request.shared.connected(request.left())
    await request.shared.set_pin(asked["pin"])
    request.add({"type": "registration_pin", "set": True})


async def remove_pin(request: Request, asked: Given) -> None:
    """Remove it."""
    await request.shared.connected(request.left())
    await request.shared.remove_pin()
    request.add({"type": "registration_pin", "set": False})
