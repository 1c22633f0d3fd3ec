"""What the client knows → a record for people or an object for scripts. Pure.

Knows the client's values, not where they are printed; events stand in `event_render`. Texts and names go
through unaltered: the printer's sanitiser makes records harmless, and JSON carries them as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

from e2ee.client.events import (
    Contact,
    FileFacts,
    FileState,
    Forgotten,
    HistoryEntry,
    SentMessage,
    SentState,
)
from e2ee.errors import Failure
from e2ee.ids import Address
from e2ee.ui.times import rfc3339, short_time, span_words

JsonObject = dict[str, Any]


def as_json(value: Mapping[str, Any]) -> str:
    """One line of printable ASCII; text is escaped, never altered."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def label(name: str | None, address: Address) -> str:
    """Whom a person reads: the name in the address book, else the number."""
    return name or str(address)


def notice(sentence: str) -> str:
    """A line of the interface itself."""
    return f"* {sentence}"


# --- own messages -----------------------------------------------------------------------------


def sent_record(message: SentMessage) -> str:
    """`ID ADDRESS STATE`, and why it waits or failed."""
    record = f"{message.message_id} {message.to} {message.state.value}"
    if message.file is not None:
        record = f"{record} {message.file.name}"
    return record if message.error is None else f"{record}: {failure_sentence(message.error)}"


def sent_object(message: SentMessage) -> JsonObject:
    """The object that `send --json` prints for each recipient."""
    error = message.error
    return {
        "type": "sent",
        "id": str(message.message_id),
        "to": str(message.to),
        "state": message.state.value,
        "error": None if error is None else _error_fields(error),
        **file_field(message.file),
    }


# --- files ------------------------------------------------------------------------------------


def file_field(file: FileFacts | None) -> JsonObject:
    """The field `file` of an object, if there is one."""
    return {} if file is None else {"file": file_object(file)}


def file_object(file: FileFacts) -> JsonObject:
    """A file, where it is and how far it has come."""
    return {
        "name": file.name,
        "size": file.size,
        "path": file.path,
        "state": file.state.value,
        "reason": file.reason,
    }


def with_file(text: str, file: FileFacts | None) -> str:
    """What is shown of a message: the file that it brings, and its text below."""
    if file is None:
        return text
    waits = "; waits until its sender is accepted" if file.state is FileState.OFFERED else ""
    shown = f"file {file.name} ({size_text(file.size)}{waits})"
    return f"{shown}\n{text}" if text else shown


def size_text(size: int) -> str:
    """For a person: ``812 B``, ``1.5 KiB``, ``100 MiB``."""
    if size < 1024:
        return f"{size} B"
    value, units = size / 1024, iter(("KiB", "MiB", "GiB"))
    unit = next(units)
    while value >= 1023.5 and (larger := next(units, None)) is not None:
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


# --- failures ---------------------------------------------------------------------------------


def failure_sentence(failure: Failure) -> str:
    """What went wrong, and when trying again helps."""
    if failure.retry_after is None:
        return failure.sentence
    return f"{failure.sentence} (try again in {math.ceil(failure.retry_after)} s)"


def error_object(failure: Failure) -> JsonObject:
    """The last line of standard error with `--json`."""
    return {"type": "error", **_error_fields(failure)}


def _error_fields(failure: Failure) -> JsonObject:
    return {
        "code": failure.code.value,
        "message": failure.sentence,
        "retry_after": failure.retry_after,
    }


# --- lists ------------------------------------------------------------------------------------


def online_record(address: Address, name: str | None) -> str:
    """`ADDRESS NAME`, or the address alone."""
    return f"{address} {name}" if name else str(address)


def online_object(address: Address, name: str | None) -> JsonObject:
    """One who is connected."""
    return {"type": "online", "address": str(address), "name": name}


def contact_record(contact: Contact) -> str:
    """`ADDRESS NAME (what there is to know)`."""
    marks = ["verified"] * contact.verified
    if contact.verified_by is not None:
        marks.append(f"verified by {contact.verified_by}")
    marks += ["blocked"] * contact.blocked
    marks += ["request"] * contact.request
    marks += [f"disappearing after {span_words(contact.timer)}"] if contact.timer else []
    record = online_record(contact.address, contact.name)
    return f"{record} ({', '.join(marks)})" if marks else record


def contact_object(contact: Contact) -> JsonObject:
    """One entry of the address book."""
    return {
        "type": "contact",
        "address": str(contact.address),
        "name": contact.name,
        "accepted": contact.accepted,
        "blocked": contact.blocked,
        "verified": contact.verified,
        "verified_by": contact.verified_by,
        "request": contact.request,
        "timer": contact.timer,
    }


def history_record(entry: HistoryEntry, now: int, zone: tzinfo | None = None) -> str:
    """As `event_record`; own messages as ``[time] me → name (state): text``."""
    text = with_file(entry.text, entry.file)
    if entry.direction == "in":
        sent_at = entry.sent_at if entry.received_at is None else min(entry.sent_at, entry.received_at)
        marks = " late" * entry.late
        who = label(entry.name, entry.from_address)
    else:
        state = entry.state.value if isinstance(entry.state, SentState) else ""
        return own_record(entry.sent_at, label(entry.name, entry.to), state, text, now, zone)
    return f"[{short_time(sent_at, now, zone)}{marks}] {who}: {text}"


def own_record(
    sent_at: int, to: str, state: str, text: str, now: int, zone: tzinfo | None = None
) -> str:
    """``[time] me → name (state): text``."""
    return f"[{short_time(sent_at, now, zone)}] me → {to}{f' ({state})' if state else ''}: {text}"


def history_object(entry: HistoryEntry) -> JsonObject:
    """As `event_object`, with `to`, `direction` and `state`."""
    return {
        "type": "message",
        "id": str(entry.message_id),
        "direction": entry.direction,
        "from": str(entry.from_address),
        "to": str(entry.to),
        "name": entry.name,
        "device": None if entry.device is None else str(entry.device),
        "sent_at": rfc3339(entry.sent_at),
        "received_at": None if entry.received_at is None else rfc3339(entry.received_at),
        "text": entry.text,
        "verified": entry.verified,
        "verified_by": entry.verified_by,
        "late": entry.late,
        "state": None if entry.state is None else entry.state.value,
        "request": entry.request,
        "expires_in": entry.expires_in,
        "expires_at": None if entry.expires_at is None else rfc3339(entry.expires_at),
        **file_field(entry.file),
    }


def timer_sentence(seconds: int) -> str:
    """After what time texts of a conversation disappear."""
    if not seconds:
        return "messages do not disappear"
    return f"messages disappear {span_words(seconds)} after they are read, own ones after they are sent"


def texts(count: int) -> str:
    """So many of them, in words."""
    return "1 message" if count == 1 else f"{count} messages"


def forgotten(what: str, kind: str, gone: Forgotten) -> tuple[list[str], JsonObject]:
    """A record and an object for what was deleted; `kind` names its field: ``id`` or ``address``."""
    body = {"type": "forgotten", "id": None, "address": None, kind: what}
    return [f"{what} {texts(gone.messages)} forgotten"], {**body, "messages": gone.messages}


def backup_record(path: Path, contacts: int, messages: int) -> str:
    """Which file has how much."""
    return f"backup {path} contacts {contacts} messages {messages}"
