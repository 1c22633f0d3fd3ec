"""The methods: the verbs of the command line, with parameters in place of arguments and options.

One table. Each method runs the verb itself, so that its result is what `--json` prints. Knows no lines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2ee.client.events import HistoryQuery
from e2ee.errors import Code, Failure, InvalidIdentifier
from e2ee.ids import MessageId
from e2ee.ui import account, address_book, identities, records, render
from e2ee.ui.arrivals import drained
from e2ee.ui.event_render import event_object
from e2ee.ui.rpc.jsonrpc import INVALID_REQUEST, METHOD_NOT_FOUND, Asked, RpcError
from e2ee.ui.rpc.parameters import TIMEOUT, Count, Flag, Parameter, Text, Texts, given
from e2ee.ui.rpc.request import Request
from e2ee.ui.sending import WAITS, checked_text, outcomes, queue_all, resolved
from e2ee.ui.times import parse_since

ID_PATTERN = "^[0-9a-fA-F]{32}$"
ENTRIES = 1000
"""Of the past, unless more are asked for."""
MOST_ENTRIES = 10_000
MOST_MESSAGES = 100
"""That `receive` gives at once."""

Given = dict[str, Any]
Run = Callable[[Request, Given], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Method:
    """What can be asked for. `results` are the types of objects; with `many` the result is an array.

    `delivers`: what it gives counts as shown, so it is not done where nobody wants an answer.
    """

    about: str
    results: tuple[str, ...]
    run: Run
    parameters: tuple[Parameter, ...] = ()
    many: bool = False
    delivers: bool = False


async def perform(
    make_request: Callable[[float | None], Request], asked: Asked
) -> tuple[str, Callable[[], Awaitable[None]] | None]:
    """The result as JSON, and what is to be done once it has been taken. Raises RpcError, Failure."""
    method = METHODS.get(asked.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, "there is no method of this name", Code.NOT_AVAILABLE)
    if method.delivers and not asked.answered:
        raise RpcError(INVALID_REQUEST, "this method needs an id")
    found = given((*method.parameters, TIMEOUT), asked.params)
    request = make_request(found.get("timeout"))
    await method.run(request, found)
    if method.many:
        return f"[{','.join(request.printed)}]", request.after_flush
    return (request.printed or ["null"])[-1], request.after_flush


# --- messages ---------------------------------------------------------------------------------


async def _send(request: Request, asked: Given) -> None:
    text = checked_text(asked["text"])
    to = asked["to"] if isinstance(asked["to"], list) else [asked["to"]]
    chosen = _message_id(asked["id"]) if "id" in asked else None
    if chosen is not None and len(to) != 1:
        raise Failure(Code.USAGE, "an id is for one recipient")
    async with request.desk.queueing:
        addresses = await resolved(request.shared, to)
        queued = await queue_all(request.shared, addresses, text, chosen)
    wanted = WAITS[asked.get("wait", "accepted")]
    async for outcome in outcomes(request, request.shared, queued, wanted):
        request.add(render.sent_object(outcome.message))


async def _receive(request: Request, asked: Given) -> None:
    """As the verb, but no more than there is room for in one answer."""
    most = asked.get("max", MOST_MESSAGES)
    events = await request.desk.news.take(most)
    if not events:
        await request.shared.connected(request.left())
        await drained(request.shared, lambda: 0, request.left())
        events = await request.desk.news.take(most)
    if not events and asked.get("wait_first", False):
        events = await request.desk.news.first(request.left(), most)
    for event in events:
        request.add(event_object(event))
    request.after_flush = lambda: request.shared.mark_shown(events)


async def _subscribe(request: Request, asked: Given) -> None:
    acknowledge, presence = asked.get("acknowledge", False), asked.get("presence", False)
    await request.desk.news.subscribe(acknowledge=acknowledge, presence=presence)
    request.after_flush = request.desk.news.begin
    _show_subscription(request, acknowledge)


async def _unsubscribe(request: Request, asked: Given) -> None:
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


async def _acknowledge(request: Request, asked: Given) -> None:
    request.desk.news.acknowledge()


async def _history(request: Request, asked: Given) -> None:
    now = request.now()
    since, until = (
        parse_since(asked[name], now) if name in asked else None for name in ("since", "until")
    )
    query = HistoryQuery(
        None, asked.get("search"), since, until, asked.get("direction"), asked.get("limit", ENTRIES)
    )
    await records.history(request, asked.get("address"), query)


async def _forget(request: Request, asked: Given) -> None:
    ids = [_message_id(one) for one in _several(asked.get("ids", []))]
    conversations = _several(asked.get("conversations", []))
    if not ids and not conversations:
        raise Failure(Code.USAGE, "nothing to forget: give ids or conversations")
    await records.forget(request, ids, conversations)


async def _cancel(request: Request, asked: Given) -> None:
    await records.cancel(request, _message_id(asked["id"]))


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _message_id(text: str) -> MessageId:
    try:
        return MessageId.from_hex(text.lower())
    except InvalidIdentifier as error:
        raise Failure(Code.USAGE, "an id is 32 hex digits") from error


# --- people -----------------------------------------------------------------------------------


async def _add(request: Request, asked: Given) -> None:
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.add_contact(address, asked["name"])))


async def _rename(request: Request, asked: Given) -> None:
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.rename_contact(address, asked["name"])))


async def _block(request: Request, asked: Given) -> None:
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.block_contact(address)))


async def _remove(request: Request, asked: Given) -> None:
    address = await request.shared.resolve(asked["address"])
    request.add(render.contact_object(await request.shared.remove_contact(address)))


async def _verify(request: Request, asked: Given) -> None:
    digits = address_book.checked_digits(asked["confirm"]) if "confirm" in asked else None
    await address_book.verify(request, asked["address"], digits)


async def _trust_authorities(request: Request, asked: Given) -> None:
    if "ca" not in asked and "crl" not in asked:
        raise Failure(Code.USAGE, "give ca, crl or both")
    await identities.trust_authorities(request, _path(asked, "ca"), _path(asked, "crl"))


async def _attach(request: Request, asked: Given) -> None:
    await identities.attach(request, Path(asked["certificate"]), Path(asked["key"]))


def _path(asked: Given, name: str) -> Path | None:
    return Path(asked[name]) if name in asked else None


async def _set_pin(request: Request, asked: Given) -> None:
    await request.shared.connected(request.left())
    await request.shared.set_pin(asked["pin"])
    request.add({"type": "registration_pin", "set": True})


async def _remove_pin(request: Request, asked: Given) -> None:
    await request.shared.connected(request.left())
    await request.shared.remove_pin()
    request.add({"type": "registration_pin", "set": False})


# --- the table --------------------------------------------------------------------------------

_ADDRESS = Parameter("address", Text(), "A number, or a name of the address book.", required=True)
_NAME = Parameter("name", Text(), "The name in the address book.", required=True)
_ID = Parameter("id", Text(pattern=ID_PATTERN), "The id of an own message.", required=True)
EVENT_TYPES = (
    "message", "receipt", "key_changed", "undecryptable", "gap", "sent_again", "put_back", "failed",
)  # fmt: skip

METHODS: Mapping[str, Method] = {
    "send": Method("Send a text; see `e2ee send`.", ("sent",), _send, (
        Parameter("to", Texts(), "A recipient, or an array of them.", required=True),
        Parameter("text", Text(), "The text, up to 64 KiB of UTF-8.", required=True),
        Parameter("wait", Text(choices=tuple(WAITS)), "How far it is to come before the answer."),
        Parameter("id", Text(pattern=ID_PATTERN), "Its id: sent once, however often this is repeated."),
    ), many=True),
    "receive": Method(
        "What has not been shown; it counts as shown once this answer was taken. Ask until it is empty.",
        EVENT_TYPES, _receive, (
            Parameter("max", Count(MOST_MESSAGES), "So many messages at the most; 100 if not given."),
            Parameter("wait_first", Flag(), "Wait until there is something."),
        ), many=True, delivers=True),
    "subscribe": Method(
        "Have notifications of what comes and changes; the backlog first.", ("subscription",), _subscribe, (
            Parameter("acknowledge", Flag(), "What comes counts as shown when `acknowledge` says so, and the"
                      " next comes after that; else when it was taken from the socket or pipe."),
            Parameter("presence", Flag(), "Also who comes and goes."),
        )),
    "unsubscribe": Method("Have none any more.", ("subscription",), _unsubscribe),
    "acknowledge": Method("The arrival that was notified last has been dealt with.", (), _acknowledge),
    "online": Method("Who else is connected; see `e2ee online`.", ("online",),
                     lambda request, _: address_book.online(request), many=True),
    "contacts": Method("The address book; see `e2ee contacts`.", ("contact",),
                       lambda request, _: address_book.contacts(request), many=True),
    "contacts.add": Method("As `e2ee contacts add`.", ("contact",), _add, (_ADDRESS, _NAME)),
    "contacts.rename": Method("As `e2ee contacts rename`.", ("contact",), _rename, (_ADDRESS, _NAME)),
    "contacts.block": Method("As `e2ee contacts block`.", ("contact",), _block, (_ADDRESS,)),
    "contacts.remove": Method("As `e2ee contacts remove`.", ("contact",), _remove, (_ADDRESS,)),
    "verify": Method("The safety number; see `e2ee verify`.", ("safety_number",), _verify, (
        _ADDRESS, Parameter("confirm", Text(), "Digits to compare it with."))),
    "trust": Method("Accept a changed key; see `e2ee trust`.", ("trust",),
                    lambda request, asked: address_book.trust(request, asked["address"]), (_ADDRESS,)),
    "authorities": Method("As `e2ee trust --list-ca`.", ("authority",),
                          lambda request, _: identities.list_authorities(request), many=True),
    "authorities.trust": Method("As `e2ee trust --ca FILE --crl FILE`.", ("authority",), _trust_authorities, (
        Parameter("ca", Text(), "The path of a file."), Parameter("crl", Text(), "The path of a file."),
    ), many=True),
    "authorities.remove": Method(
        "As `e2ee trust --remove-ca NAME`.", ("authority",),
        lambda request, asked: identities.distrust(request, asked["name"]),
        (Parameter("name", Text(), "Its name, or the beginning of its fingerprint.", required=True),)),
    "identity.attach": Method("As `e2ee identity attach`.", ("identity",), _attach, (
        Parameter("certificate", Text(), "The path of a file.", required=True),
        Parameter("key", Text(), "The path of a file.", required=True))),
    "identity.show": Method("As `e2ee identity show`.", ("identity",),
                            lambda request, _: identities.show(request)),
    "identity.remove": Method("As `e2ee identity remove`.", ("identity",),
                              lambda request, _: identities.remove(request)),
    "history": Method("What was written, oldest first; see `e2ee history`.", ("message",), _history, (
        Parameter("address", Text(), "With whom; a number or a name."),
        Parameter("search", Text(), "Words, or beginnings of words, and \"phrases\"."),
        Parameter("since", Text(), "Only later ones: a time, or 2h, 7d."),
        Parameter("until", Text(), "Only earlier ones."),
        Parameter("direction", Text(choices=("in", "out")), "Only received or only own ones."),
        Parameter("limit", Count(MOST_ENTRIES), f"Only the last so many; {ENTRIES} if not given."),
    ), many=True),
    "forget": Method("Delete for good; see `e2ee forget`.", ("forgotten",), _forget, (
        Parameter("ids", Texts(), "Ids of messages."),
        Parameter("conversations", Texts(), "Numbers or names."),
    ), many=True),
    "status": Method("As `e2ee status`.", ("status",), lambda request, _: records.status(request)),
    "outbox": Method("What waits to be accepted.", ("sent",),
                     lambda request, _: records.outbox(request), many=True),
    "outbox.cancel": Method("As `e2ee outbox cancel`.", ("sent",), _cancel, (_ID,)),
    "pin.set": Method("Set the registration PIN.", ("registration_pin",), _set_pin, (
        Parameter("pin", Text(), "4 to 64 characters.", required=True),)),
    "pin.remove": Method("Remove it.", ("registration_pin",), _remove_pin),
    "account.delete": Method("As `e2ee account delete`.", ("deleted",),
                             lambda request, _: account.delete(request, sure=True)),
}  # fmt: skip
