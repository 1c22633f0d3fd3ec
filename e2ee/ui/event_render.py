"""What has happened → a record for people or an object for scripts. Pure.

Knows the client's events. Texts and names go through unaltered, as in `render`.
"""

from __future__ import annotations

from datetime import tzinfo

from e2ee.client.events import (
    FailedReason,
    FileReceived,
    FileState,
    Gap,
    KeyChanged,
    MessageFailed,
    MessageReceived,
    PutBack,
    ReceiptReceived,
    SentAgain,
    ShownEvent,
    TimerChanged,
    Undecryptable,
    WhatWasPutBack,
)
from e2ee.ui.render import JsonObject, file_field, label, notice, texts, timer_sentence, with_file
from e2ee.ui.times import rfc3339, short_time

_FAILED_BECAUSE = {
    FailedReason.EXPIRED: "it was not fetched in time",
    FailedReason.TAKEN_OVER: "the account was registered anew meanwhile",
    FailedReason.DELETED: "the account was deleted",
    FailedReason.NOT_ACCEPTED: "the server did not accept it",
}


_NOT_FETCHED = {
    "expired": "the server does not have it any more",
    "damaged": "what the server has is not what was sent",
}


_PUT_BACK = {
    WhatWasPutBack.PROFILE: (
        "this profile goes on from an older copy of itself: it was put back, or another copy was used."
        " Keys and sessions are made anew; what is missing is asked for, and what may have been shown"
        " before is marked as repeated. Use one copy only"
    ),
    WhatWasPutBack.SERVER: (
        "the server goes on from an older state: it was put back. Keys are published anew, and what it"
        " has lost is sent again"
    ),
}


def event_record(event: ShownEvent, now: int, zone: tzinfo | None = None) -> str:
    """`[time] name: text` for a message, a notice beginning with ``* `` for all else."""
    match event:
        case MessageReceived():
            # A sender's clock may be ahead; nothing was written after it arrived.
            time = short_time(min(event.sent_at, event.received_at), now, zone)
            text = with_file(event.text, event.file)
            marks = " late" * event.late + " repeated" * event.repeated
            return f"[{time}{marks}] {label(event.name, event.address)}: {text}"
        case KeyChanged(verified_by=str(issuer)):
            who = label(event.name, event.address)
            return notice(f"the key of {who} has changed; the new one is verified by {issuer} and is used")
        case KeyChanged():
            who = label(event.name, event.address)
            return notice(
                f"the key of {who} has changed: a new device, or somebody in between."
                f" Nothing is sent to {who} until you compare safety numbers (verify) and trust"
            )
        case Undecryptable():
            return notice(
                f"a message that claims to come from {label(event.name, event.address)} could not be read"
            )
        case Gap():
            return notice(f"{texts(event.missing)} of {label(event.name, event.address)} missing here")
        case TimerChanged():
            who = label(event.name, event.address)
            return notice(f"{who} has set a timer: {timer_sentence(event.seconds)}")
        case SentAgain():
            who = label(event.name, event.address)
            verb = "is" if event.messages == 1 else "are"
            return notice(f"{texts(event.messages)} to {who} {verb} sent again: {who} did not get it all")
        case PutBack():
            return notice(_PUT_BACK[event.what])
        case FileReceived():
            return _file_notice(event)
        case ReceiptReceived():
            who = label(event.name, event.address)
            return notice(f"{event.state.value} by {who}: the message {event.message_id}")
        case MessageFailed():
            return notice(
                f"the message {event.message_id} to {label(event.name, event.to)} was not delivered:"
                f" {_FAILED_BECAUSE[event.reason]}"
            )


def _file_notice(event: FileReceived) -> str:
    file, who = event.file, label(event.name, event.address)
    if file.state is FileState.SAVED:
        return notice(f"the file {file.name} of {who} is here: {file.path}")
    if file.state is FileState.FETCHING:
        return notice(f"the file {file.name} of {who} cannot be kept yet: {file.reason}; it is tried again")
    reason = _NOT_FETCHED.get(file.reason or "", file.reason)
    return notice(f"the file {file.name} of {who} could not be fetched: {reason}")


def event_object(event: ShownEvent) -> JsonObject:
    """The object that `receive --json` prints."""
    match event:
        case MessageReceived():
            return _received_object(event)
        case KeyChanged():
            body: JsonObject = {
                "type": "key_changed",
                "address": str(event.address),
                "at": rfc3339(event.at),
                "verified_by": event.verified_by,
            }
        case Undecryptable():
            body = {
                "type": "undecryptable",
                "from": str(event.address),
                "received_at": rfc3339(event.received_at),
            }
        case Gap():
            body = {"type": "gap", "from": str(event.address), "missing": event.missing}
        case ReceiptReceived():
            body = {
                "type": "receipt",
                "id": str(event.message_id),
                "from": str(event.address),
                "state": event.state.value,
                "at": rfc3339(event.at),
            }
        case TimerChanged():
            at = rfc3339(event.at)
            body = {"type": "timer", "from": str(event.address), "seconds": event.seconds, "at": at}
        case FileReceived():
            body = _file_object(event)
        case SentAgain():
            to, at = str(event.address), rfc3339(event.at)
            body = {"type": "sent_again", "to": to, "messages": event.messages, "at": at}
        case PutBack():
            at = rfc3339(event.at)
            return {"type": "put_back", "what": event.what.value, "at": at, "repeated": event.repeated}
        case MessageFailed():
            body = {
                "type": "failed",
                "id": str(event.message_id),
                "to": str(event.to),
                "reason": event.reason.value,
            }
    return {**body, "name": event.name, "repeated": event.repeated}


def _file_object(event: FileReceived) -> JsonObject:
    known = {"type": "file", "id": str(event.message_id), "from": str(event.address)}
    return {**known, **file_field(event.file)}


def _received_object(event: MessageReceived) -> JsonObject:
    return {
        "type": "message",
        "id": str(event.message_id),
        "from": str(event.address),
        "name": event.name,
        "device": str(event.device),
        "sent_at": rfc3339(event.sent_at),
        "received_at": rfc3339(event.received_at),
        "text": event.text,
        "verified": event.verified,
        "verified_by": event.verified_by,
        "repeated": event.repeated,
        "late": event.late,
        "request": event.request,
        "expires_in": event.expires_in,
        **file_field(event.file),
    }
