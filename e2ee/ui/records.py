"""`e2ee history`, `status` and `outbox`: what the profile knows of its own affairs.

Knows what is printed of them; most of it works without a connection.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2ee.client.events import SentState, Status
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import render
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.printer import report

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


@dataclass(frozen=True, slots=True)
class Search:
    """Which part of the history is wanted; all of it by default."""

    who: str | None = None
    text: str | None = None
    since: int | None = None
    limit: int | None = None


async def history(call: Invocation, search: Search) -> int:
    """Print texts of the past, oldest first."""
    async with call.conversations(connect=False) as messenger:
        address = None if search.who is None else await messenger.resolve(search.who)
        for entry in await messenger.history(address, search.text, search.since, search.limit):
            await call.show([render.history_record(entry, call.now())], render.history_object(entry))
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
    return DONE if failure is None else report(failure, call.options.json)


async def _first_attempt(call: Invocation, messenger: Conversations) -> Failure | None:
    """Why the first attempt to connect failed, or None."""
    try:
        await messenger.connected(call.left())
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
