"""`e2ee contacts`, `online`, `verify` and `trust`: other people, and whether they are who they seem.

Knows which question needs the server; the answers are the messenger's.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from e2ee.client.events import Contact
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.qr import qr_records
from e2ee.ui import render, trust_records
from e2ee.ui.exit_codes import DONE
from e2ee.ui.identities import ask_server
from e2ee.ui.invocation import Invocation

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

T = TypeVar("T")

DIGITS = 60
"""A safety number."""
QR_PREFIX = "E2EE1:"
"""What its QR code begins with: whose it is, and the version of safety numbers."""


async def online(call: Invocation) -> int:
    """Who else is connected."""
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        for address, name in await messenger.online():
            await call.show([render.online_record(address, name)], render.online_object(address, name))
    return DONE


async def contacts(call: Invocation) -> int:
    """The whole address book."""
    async with call.conversations(connect=False) as messenger:
        for contact in await messenger.contacts():
            await call.show([render.contact_record(contact)], render.contact_object(contact))
    return DONE


async def change_contact(call: Invocation, change: Callable[[Conversations], Awaitable[Contact]]) -> int:
    """Add, rename, block or remove one, and print what it is now."""
    async with call.conversations(connect=False) as messenger:
        contact = await change(messenger)
        await call.show([render.contact_record(contact)], render.contact_object(contact))
    return DONE


async def verify(call: Invocation, who: str, digits: str | None, qr: bool = False) -> int:
    """Show the safety number, with `qr` as a code, too; with `digits`, compare and mark as verified."""
    async with call.conversations() as messenger:
        address = await messenger.resolve(who)
        number = await with_link(call, messenger, lambda: messenger.safety_number(address))
        if await messenger.certificates.is_open(address):
            await ask_server(call, messenger, lambda: messenger.certificates.ask(address))
            number = await messenger.safety_number(address)
        if digits is not None:
            number = await messenger.confirm(address, digits)
            await _send_waiting(call, messenger, address)
        shown = trust_records.safety_number_object(number)
        if qr:
            shown["qr"] = QR_PREFIX + number.digits
            await call.draw(qr_records(shown["qr"]))
        await call.show(trust_records.safety_number_records(number), shown)
    return DONE


async def trust(call: Invocation, who: str) -> int:
    """Accept a changed key, and print both safety numbers."""
    async with call.conversations(once=True) as messenger:
        address = await messenger.resolve(who)
        change = await messenger.trust(address)
        await call.show(trust_records.trust_records(change), trust_records.trust_object(address, change))
        await _send_waiting(call, messenger, address)
    return DONE


async def _send_waiting(call: Invocation, messenger: Conversations, address: Address) -> None:
    """What waited for the key to be trusted can go; what does not go now goes at the next connection."""
    try:
        for message in await messenger.outbox():
            if message.to == address:
                await messenger.accepted(message.message_id, call.left())
    except Failure as failure:
        call.mention(f"what waits in the outbox has not been sent: {failure.sentence}")


async def with_link(call: Invocation, messenger: Conversations, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask; where the vault alone has no answer, ask again when there is a connection."""
    try:
        return await ask()
    except Failure as failure:
        if failure.code is not Code.UNREACHABLE:
            raise
    await messenger.connected(call.left())
    return await ask()


def checked_digits(text: str) -> str:
    """A safety number as people type it, or as a QR code holds it, without its spaces.

    Raises Failure(USAGE).
    """
    digits = re.sub(r"[ \t\n-]", "", text.strip().removeprefix(QR_PREFIX))
    if not re.fullmatch(rf"[0-9]{{{DIGITS}}}", digits, re.ASCII):
        raise Failure(Code.USAGE, f"a safety number has {DIGITS} digits")
    return digits
