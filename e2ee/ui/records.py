"""`e2ee history`, `forget`, `status` and `outbox`: what the profile knows of its own affairs.

Knows what is printed of them; most of it works without a connection.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from e2ee.client.events import HistoryQuery, SentState, Status
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import render
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


async def history(call: Invocation, who: str | None, query: HistoryQuery) -> int:
    """Print texts of the past, with `who` or with all, oldest first."""
    async with call.conversations(connect=False) as messenger:
        address = None if who is None else await messenger.resolve(who)
        async for page in messenger.archive.pages(replace(query, address=address)):
            now = call.now()
            records = [render.history_record(entry, now) for entry in page]
            await call.show(records, *map(render.history_object, page))
    return DONE


async def forget(call: Invocation, ids: Sequence[MessageId], conversations: Sequence[str]) -> int:
    """Delete texts and whole conversations for good, and print how many texts that were."""
    async with call.conversations(connect=False) as messenger:
        addresses = [await messenger.resolve(who) for who in conversations]
        for message_id in ids:
            gone = await messenger.archive.forget_message(message_id)
            await call.show(*render.forgotten(str(message_id), "id", gone))
        for address in addresses:
            gone = await messenger.archive.forget_conversation(address)
            await call.show(*render.forgotten(str(address), "address", gone))
            if gone.waiting:
                kept = f"{render.texts(gone.waiting)} to {address} kept"
                call.mention(f"{kept}: not accepted by the server yet")
    return DONE


async def outbox(call: Invocation) -> int:
    """Print what waits to be accepted by the server."""
    async with call.conversations(connect=False) as messenger:
        for message in await messenger.outbox():
            await call.show([render.sent_record(message)], render.sent_object(message))
    return DONE


async def cancel(call: Invocation, message_id: MessageId) -> int:
    """Take a message out of the outbox; it may have left before."""
    async with call.conversations(connect=False) as messenger:
        message = await messenger.cancel(message_id)
        await call.show([render.sent_record(message)], render.sent_object(message))
        if message.state is not SentState.FAILED:
            raise Failure(Code.FAILED, "the message may have left already")
    return DONE


# --- status -----------------------------------------------------------------------------------


async def status(call: Invocation) -> int:
    """Try the server once, and print what there is to know; the exit code says if it was reached."""
    async with call.conversations(once=True) as messenger:
        failure = await _first_attempt(call, messenger)
        await messenger.outbox_sent(call.left())
        found = await messenger.status()
        known = _status_object(call, found)
        await call.show(_status_records(known), known)
    return DONE if failure is None else call.report(failure)


async def _first_attempt(call: Invocation, messenger: Conversations) -> Failure | None:
    """Why the first attempt to connect failed, or None."""
    try:
        await messenger.connected(call.left(), once=True)
    except Failure as failure:
        return failure
    return None


def _status_object(call: Invocation, status: Status) -> render.JsonObject:
    return {
        "type": "status",
        "profile": call.options.profile,
        "address": str(status.address),
        "device": str(status.device),
        "server": status.server,
        "pin": status.pin if status.peer_pin is None else _pin(status.peer_pin),
        "connected": status.connected,
        "key_exchange": status.key_exchange,
        "outbox": status.outbox,
        "unshown": status.unshown,
        "prekeys": {"one_time": status.one_time_prekeys, "kem_one_time": status.kem_one_time_prekeys},
        "passphrase": status.passphrase,
    }


def _status_records(known: Mapping[str, Any]) -> list[str]:
    prekeys = known["prekeys"]
    shown = {
        **known,
        "connected": "yes" if known["connected"] else "no",
        "key_exchange": known["key_exchange"] or "-",
        "prekeys": f"{prekeys['one_time']} one-time, {prekeys['kem_one_time']} one-time KEM",
        "passphrase": _SOURCES.get(known["passphrase"], known["passphrase"]),
    }
    return [f"{name}: {value}" for name, value in shown.items() if name != "type"]


_SOURCES = {
    "file": "from a file",
    "key_file": "none: the key lies in a file of the profile",
    "keyring": "from the keyring",
    "terminal": "typed",
}


def _pin(pin: bytes) -> str:
    return "sha256:" + base64.urlsafe_b64encode(pin).rstrip(b"=").decode("ascii")
