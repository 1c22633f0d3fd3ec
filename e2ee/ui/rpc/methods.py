"""The methods: the verbs of the command line, with parameters in place of arguments and options.

One table. Each method runs the verb itself, so that its result is what `--json` prints. Knows no lines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from e2ee.errors import Code
from e2ee.ui import account, address_book, identities, records
from e2ee.ui.rpc import handlers as do
from e2ee.ui.rpc.handlers import ENTRIES, MOST_MESSAGES, Given
from e2ee.ui.rpc.jsonrpc import INVALID_REQUEST, METHOD_NOT_FOUND, Asked, RpcError
from e2ee.ui.rpc.objects import ARRIVALS
from e2ee.ui.rpc.parameters import TIMEOUT, Count, Flag, Parameter, Text, Texts, given
from e2ee.ui.rpc.request import Request
from e2ee.ui.sending import WAITS

ID_PATTERN = "^[0-9a-fA-F]{32}$"
MOST_ENTRIES = 10_000

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


# --- the table --------------------------------------------------------------------------------

_ADDRESS = Parameter("address", Text(), "A number, or a name of the address book.", required=True)
_NAME = Parameter("name", Text(), "The name in the address book.", required=True)
_ID = Parameter("id", Text(pattern=ID_PATTERN), "The id of an own message.", required=True)

METHODS: Mapping[str, Method] = {
    "send": Method("Send a text, or a file; see `e2ee send`.", ("sent",), do.send, (
        Parameter("to", Texts(), "A recipient, or an array of them.", required=True),
        Parameter("text", Text(), "The text, up to 64 KiB of UTF-8; with a file there need not be one."),
        Parameter("file", Text(), "The path of a file."),
        Parameter("wait", Text(choices=tuple(WAITS)), "How far it is to come before the answer."),
        Parameter("id", Text(pattern=ID_PATTERN), "Its id: sent once, however often this is repeated."),
    ), many=True),
    "receive": Method(
        "What has not been shown; it counts as shown once this answer was taken. Ask until it is empty.",
        ARRIVALS, do.receive, (
            Parameter("max", Count(MOST_MESSAGES), "So many messages at the most; 100 if not given."),
            Parameter("wait_first", Flag(), "Wait until there is something."),
        ), many=True, delivers=True),
    "subscribe": Method(
        "Have notifications of what comes and changes; the backlog first.", ("subscription",), do.subscribe, (
            Parameter("acknowledge", Flag(), "What comes counts as shown when `acknowledge` says so, and the"
                      " next comes after that; else when it was taken from the socket or pipe."),
            Parameter("presence", Flag(), "Also who comes and goes."),
        )),
    "unsubscribe": Method("Have none any more.", ("subscription",), do.unsubscribe),
    "acknowledge": Method("The arrival that was notified last has been dealt with.", (), do.acknowledge),
    "online": Method("Who else is connected; see `e2ee online`.", ("online",),
                     lambda request, _: address_book.online(request), many=True),
    "contacts": Method("The address book; see `e2ee contacts`.", ("contact",),
                       lambda request, _: address_book.contacts(request), many=True),
    "contacts.add": Method("As `e2ee contacts add`.", ("contact",), do.add, (_ADDRESS, _NAME)),
    "contacts.rename": Method("As `e2ee contacts rename`.", ("contact",), do.rename, (_ADDRESS, _NAME)),
    "contacts.block": Method("As `e2ee contacts block`.", ("contact",), do.block, (_ADDRESS,)),
    "contacts.remove": Method("As `e2ee contacts remove`.", ("contact",), do.remove, (_ADDRESS,)),
    "contacts.timer": Method("As `e2ee contacts timer`.", ("contact",), do.timer, (
        _ADDRESS, Parameter("time", Text(), "Such as 30s, 8h, 1d, or off."))),
    "contacts.export": Method("As `e2ee contacts export FILE`.", ("exported",), do.export, (
        Parameter("file", Text(), "The path of a file that does not exist.", required=True),
        Parameter("format", Text(choices=("vcard", "csv")), "By the end of the name if not given."))),
    "contacts.import": Method("As `e2ee contacts import FILE`.", ("imported",), do.import_, (
        Parameter("file", Text(), "The path of a file.", required=True),
        Parameter("skip", Flag(), "Leave out what cannot be imported."))),
    "verify": Method("The safety number; see `e2ee verify`.", ("safety_number",), do.verify, (
        _ADDRESS, Parameter("confirm", Text(), "Digits to compare it with."))),
    "trust": Method("Accept a changed key; see `e2ee trust`.", ("trust",),
                    lambda request, asked: address_book.trust(request, asked["address"]), (_ADDRESS,)),
    "authorities": Method("As `e2ee trust --list-ca`.", ("authority",),
                          lambda request, _: identities.list_authorities(request), many=True),
    "authorities.trust": Method(
        "As `e2ee trust --ca FILE --crl FILE`.", ("authority",), do.trust_authorities,
        (Parameter("ca", Text(), "The path of a file."), Parameter("crl", Text(), "The path of a file.")),
        many=True),
    "authorities.remove": Method(
        "As `e2ee trust --remove-ca NAME`.", ("authority",),
        lambda request, asked: identities.distrust(request, asked["name"]),
        (Parameter("name", Text(), "Its name, or the beginning of its fingerprint.", required=True),)),
    "identity.attach": Method("As `e2ee identity attach`.", ("identity",), do.attach, (
        Parameter("certificate", Text(), "The path of a file.", required=True),
        Parameter("key", Text(), "The path of a file.", required=True))),
    "identity.show": Method("As `e2ee identity show`.", ("identity",),
                            lambda request, _: identities.show(request)),
    "identity.remove": Method("As `e2ee identity remove`.", ("identity",),
                              lambda request, _: identities.remove(request)),
    "history": Method("What was written, oldest first; see `e2ee history`.", ("message",), do.history, (
        Parameter("address", Text(), "With whom; a number or a name."),
        Parameter("search", Text(), "Words, or beginnings of words, and \"phrases\"."),
        Parameter("since", Text(), "Only later ones: a time, or 2h, 7d."),
        Parameter("until", Text(), "Only earlier ones."),
        Parameter("direction", Text(choices=("in", "out")), "Only received or only own ones."),
        Parameter("limit", Count(MOST_ENTRIES), f"Only the last so many; {ENTRIES} if not given."),
    ), many=True),
    "forget": Method("Delete for good; see `e2ee forget`.", ("forgotten",), do.forget, (
        Parameter("ids", Texts(), "Ids of messages."),
        Parameter("conversations", Texts(), "Numbers or names."),
    ), many=True),
    "status": Method("As `e2ee status`.", ("status",), lambda request, _: records.status(request)),
    "outbox": Method("What waits to be accepted.", ("sent",),
                     lambda request, _: records.outbox(request), many=True),
    "outbox.cancel": Method("As `e2ee outbox cancel`.", ("sent",), do.cancel, (_ID,)),
    "backup": Method("As `e2ee backup FILE`.", ("backup",), do.backup, (
        Parameter("file", Text(), "The path of a file that does not exist.", required=True),
        Parameter("passphrase_file", Text(), "The path of a file with the passphrase."))),
    "pin.set": Method("Set the registration PIN.", ("registration_pin",), do.set_pin, (
        Parameter("pin", Text(), "4 to 64 characters.", required=True),)),
    "pin.remove": Method("Remove it.", ("registration_pin",), do.remove_pin),
    "account.delete": Method("As `e2ee account delete`.", ("deleted",),
                             lambda request, _: account.delete(request, sure=True)),
}  # fmt: skip
