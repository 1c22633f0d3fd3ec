"""Every object that a verb prints with `--json`, in JSON Schema. Pure.

One declaration each, by the value of its `type`; objects only gain fields. Who prints them is tested
against this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2ee.client.events import FailedReason, FileState, SentState, WhatWasPutBack
from e2ee.errors import Code

JsonSchema = dict[str, Any]

TEXT: JsonSchema = {"type": "string"}
FLAG: JsonSchema = {"type": "boolean"}
COUNT: JsonSchema = {"type": "integer", "minimum": 0}
TIME: JsonSchema = {"type": "string", "pattern": r"^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
MESSAGE_ID: JsonSchema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
DEVICE: JsonSchema = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
HASH: JsonSchema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
DIGITS: JsonSchema = {"type": "string", "pattern": "^[0-9]{60}$"}
ADDRESS: JsonSchema = {"type": "string", "pattern": r"^\+[0-9]{7,15}$"}
STATE: JsonSchema = {"enum": [state.value for state in SentState]}


def maybe(described: JsonSchema) -> JsonSchema:
    """Or null."""
    return {"anyOf": [described, {"type": "null"}]}


def one_of(*values: str) -> JsonSchema:
    """One of these strings."""
    return {"enum": list(values)}


def described(
    kind: str, about: str, fields: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema]
) -> JsonSchema:
    """An object of this type, with all `fields` and perhaps `optional` ones."""
    return {
        "type": "object",
        "description": about,
        "properties": {"type": {"const": kind}, **fields, **optional},
        "required": ["type", *fields],
    }


ERROR_FIELDS: Mapping[str, JsonSchema] = {
    "code": {"enum": [code.value for code in Code]},
    "message": TEXT,
    "retry_after": maybe({"type": "number"}),
}
ERROR: JsonSchema = {
    "type": "object",
    "description": "Why something did not happen; `retry_after` in seconds.",
    "properties": dict(ERROR_FIELDS),
    "required": list(ERROR_FIELDS),
}

_FILE: JsonSchema = {
    "type": "object",
    "description": "A file of a message, where it is, and how far it has come.",
    "properties": {
        "name": TEXT, "size": COUNT, "path": maybe(TEXT), "reason": maybe(TEXT),
        "state": {"enum": [state.value for state in FileState]},
    },
    "required": ["name", "size", "path", "state", "reason"],
}  # fmt: skip
_EVENT = {"name": maybe(TEXT), "repeated": FLAG}
_MESSAGE = {
    "id": MESSAGE_ID, "from": ADDRESS, "name": maybe(TEXT), "device": maybe(DEVICE), "sent_at": TIME,
    "received_at": maybe(TIME), "text": TEXT, "verified": FLAG, "verified_by": maybe(TEXT), "late": FLAG,
    "request": FLAG, "expires_in": COUNT,
}  # fmt: skip
_OF_HISTORY = {
    "to": ADDRESS, "direction": one_of("in", "out"), "state": maybe(STATE), "expires_at": maybe(TIME),
}  # fmt: skip

_Fields = Mapping[str, JsonSchema]
_DECLARED: tuple[tuple[str, str, _Fields, _Fields], ...] = (
    ("error", "The last line of standard error.", ERROR_FIELDS, {}),
    ("registered", "`register`.", {"address": ADDRESS, "device": DEVICE, "fingerprint": HASH}, {}),
    ("sent", "An own message as it stands: `send`, `outbox`, and a notification when it changes.", {
        "id": MESSAGE_ID, "to": ADDRESS, "state": STATE, "error": maybe(ERROR)}, {"file": _FILE}),
    ("message", "A text: `receive`, and `history`, which has `to`, `direction` and `state`, too.",
     _MESSAGE, {**_OF_HISTORY, "repeated": FLAG, "file": _FILE}),
    ("file", "The file of a message is here, or will not be.", {
        "id": MESSAGE_ID, "from": ADDRESS, "file": _FILE, **_EVENT}, {}),
    ("receipt", "A contact says what became of an own message.", {
        "id": MESSAGE_ID, "from": ADDRESS, "state": one_of("delivered", "read"), "at": TIME, **_EVENT}, {}),
    ("key_changed", "The account key of a contact is another one.", {
        "address": ADDRESS, "at": TIME, "verified_by": maybe(TEXT), **_EVENT}, {}),
    ("undecryptable", "Something that claims to come from there could not be read.", {
        "from": ADDRESS, "received_at": TIME, **_EVENT}, {}),
    ("gap", "So many messages are missing before the next one.", {
        "from": ADDRESS, "missing": COUNT, **_EVENT}, {}),
    ("sent_again", "Own messages that did not arrive.", {
        "to": ADDRESS, "messages": COUNT, "at": TIME, **_EVENT}, {}),
    ("timer", "A contact has set after how many seconds texts disappear; 0: never.", {
        "from": ADDRESS, "seconds": COUNT, "at": TIME, **_EVENT}, {}),
    ("put_back", "Profile or server go on from an older state.", {
        "what": {"enum": [what.value for what in WhatWasPutBack]}, "at": TIME, "repeated": FLAG}, {}),
    ("failed", "An own message will not be delivered.", {
        "id": MESSAGE_ID, "to": ADDRESS, "reason": {"enum": [why.value for why in FailedReason]}, **_EVENT},
     {}),
    ("online", "Who is connected.", {"address": ADDRESS, "name": maybe(TEXT)}, {}),
    ("contact", "An entry of the address book.", {
        "address": ADDRESS, "name": maybe(TEXT), "accepted": FLAG, "blocked": FLAG, "verified": FLAG,
        "verified_by": maybe(TEXT), "request": FLAG, "timer": COUNT}, {}),
    ("exported", "`contacts export`.", {"file": TEXT, "contacts": COUNT}, {}),
    ("imported", "`contacts import`.", {
        "file": TEXT, "added": COUNT, "known": COUNT, "kept": COUNT, "left_out": COUNT}, {}),
    ("safety_number", "`verify`.", {
        "address": ADDRESS, "digits": DIGITS, "verified": FLAG, "verified_by": maybe(TEXT),
        "certificate_error": maybe(TEXT)}, {"qr": TEXT}),
    ("trust", "What was accepted; both null: nothing.", {
        "address": ADDRESS, "old": maybe(DIGITS), "new": maybe(DIGITS)}, {}),
    ("identity", "The certificate of the own account; all fields where one is attached.", {
        "attached": FLAG}, {
        "subject": TEXT, "issuer": TEXT, "serial": TEXT, "not_before": TIME, "not_after": TIME,
        "error": maybe(TEXT)}),
    ("authority", "A trusted certification authority.", {
        "name": TEXT, "fingerprint": HASH, "not_after": TIME, "revocations_until": maybe(TIME)}, {}),
    ("forgotten", "So many texts were deleted for good.", {
        "id": maybe(MESSAGE_ID), "address": maybe(ADDRESS), "messages": COUNT}, {}),
    ("backup", "`backup`.", {"file": TEXT, "contacts": COUNT, "messages": COUNT, "bytes": COUNT}, {}),
    ("restored", "`restore`.", {
        "address": ADDRESS, "device": DEVICE, "fingerprint": HASH, "made_at": TIME, "contacts": COUNT,
        "messages": COUNT}, {}),
    ("registration_pin", "Whether the account has one.", {"set": FLAG}, {}),
    ("deleted", "`account delete`.", {"address": ADDRESS}, {}),
    ("profile", "`profiles`.", {
        "profile": TEXT, "directory": TEXT, "passphrase": one_of("key_file", "needed"),
        "holder": maybe(COUNT)}, {}),
    ("passphrase", "`profiles passphrase`.", {"profile": TEXT, "passphrase": TEXT}, {}),
    ("status", "`status`.", {
        "profile": TEXT, "address": ADDRESS, "device": DEVICE, "server": TEXT,
        "pin": {"type": "string", "pattern": "^sha256:"}, "connected": FLAG, "key_exchange": maybe(TEXT),
        "outbox": COUNT, "unshown": COUNT,
        "prekeys": {"type": "object", "properties": {"one_time": COUNT, "kem_one_time": COUNT},
                    "required": ["one_time", "kem_one_time"]},
        "passphrase": TEXT}, {}),
    ("agent", "`agent`, when programs can connect.", {
        "address": ADDRESS, "socket": TEXT, "pid": COUNT}, {}),
    ("subscription", "What a program is told from now on.", {
        "subscribed": FLAG, "acknowledge": FLAG, "connected": FLAG}, {}),
    ("connection", "The connection to the server; `ended`: given up for good.", {
        "connected": FLAG, "ended": FLAG, "error": maybe(ERROR)}, {}),
    ("presence", "Somebody has come or gone.", {
        "address": ADDRESS, "name": maybe(TEXT), "online": FLAG}, {}),
    ("typing", "A contact is writing; told again every few seconds while that is so.", {"from": ADDRESS}, {}),
    ("notice", "What a command says on standard error beside its output.", {"message": TEXT}, {}),
)  # fmt: skip

OBJECTS: Mapping[str, JsonSchema] = {declared[0]: described(*declared) for declared in _DECLARED}
"""By type."""

ARRIVALS = (
    "message", "file", "receipt", "key_changed", "undecryptable", "gap", "sent_again", "timer", "put_back",
    "failed",
)  # fmt: skip
"""What counts as shown when a program has been told."""
NOTIFICATIONS = (*ARRIVALS, "sent", "connection", "presence", "typing", "notice")
"""What a program can be told."""
