"""`e2ee send`: one text to one or several people, and what became of it.

Knows the rules of its exit code; the text and the id have been checked for form by then.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from e2ee.client.events import SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.ui import render
from e2ee.ui.exit_codes import DONE, exit_code, joined
from e2ee.ui.files import Patience
from e2ee.ui.invocation import Invocation

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

TEXT_BYTES = 64 * 1024
"""The longest text, in UTF-8; `docs/limits.md`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient's message; `failure` is None if it was accepted."""

    message: SentMessage
    failure: Failure | None

    @property
    def exit_code(self) -> int:
        """The exit code if this were the only recipient."""
        return DONE if self.failure is None else exit_code(self.failure.code)


WAITS = {
    "accepted": SentState.STORED,
    "delivered": SentState.DELIVERED,
    "read": SentState.READ,
}
"""What `--wait` can be, and how far the message has come then."""


async def send(
    call: Invocation,
    recipients: Sequence[str],
    text: str,
    message_id: MessageId | None,
    wanted: SentState = SentState.STORED,
) -> int:
    """Queue for all, wait until each has come as far as `wanted`, print a line for each; the exit code is
    their common one or 7."""
    async with call.conversations() as messenger:
        addresses = await resolved(messenger, recipients)
        found = []
        async for outcome in deliver(call, messenger, addresses, text, message_id, wanted):
            await call.show([render.sent_record(outcome.message)], render.sent_object(outcome.message))
            found.append(outcome)
    _report_first(call, found)
    return joined(outcome.exit_code for outcome in found)


async def send_files(
    call: Invocation,
    recipients: Sequence[str],
    paths: Sequence[str],
    text: str,
    message_id: MessageId | None,
    wanted: SentState = SentState.STORED,
) -> int:
    """Queue each file for each recipient, the text with the first one, then as `send`.

    As long as a file goes forward, the time that was given does not run.
    """
    patience = Patience(call)
    async with call.conversations() as messenger:
        unsubscribe = messenger.subscribe(patience.hear)
        try:
            addresses = await resolved(messenger, recipients)
            queued = [
                await messenger.files.queue(address, path, "" if index else text, message_id)
                for index, path in enumerate(paths)
                for address in addresses
            ]
            outcomes = []
            for message in queued:
                outcome = await _outcome(messenger, message, wanted, patience.left(), patience)
                await call.show([render.sent_record(outcome.message)], render.sent_object(outcome.message))
                outcomes.append(outcome)
            await _told(messenger, outcomes)
        finally:
            unsubscribe()
            call.progress.clear()
    _report_first(call, outcomes)
    return joined(outcome.exit_code for outcome in outcomes)


async def deliver(
    call: Invocation,
    messenger: Conversations,
    addresses: Sequence[Address],
    text: str,
    message_id: MessageId | None = None,
    wanted: SentState = SentState.STORED,
) -> AsyncIterator[Outcome]:
    """Queue for all before any is waited for; then what became of each, in order."""
    queued = await queue_all(messenger, addresses, text, message_id)
    async for outcome in outcomes(call, messenger, queued, wanted):
        yield outcome


async def queue_all(
    messenger: Conversations, addresses: Sequence[Address], text: str, message_id: MessageId | None
) -> list[SentMessage]:
    """Commit the text to the outbox for each of them. Raises Failure(USAGE)."""
    return [await messenger.queue(address, text, message_id) for address in addresses]


async def outcomes(
    call: Invocation, messenger: Conversations, queued: Sequence[SentMessage], wanted: SentState
) -> AsyncIterator[Outcome]:
    """What became of each, in order."""
    found = []
    for message in queued:
        found.append(await _outcome(messenger, message, wanted, call.left()))
        yield found[-1]
    await _told(messenger, found)


async def resolved(messenger: Conversations, recipients: Sequence[str]) -> list[Address]:
    """Their numbers in order, each once, all of them before anything is kept. Raises Failure(USAGE)."""
    addresses = [await messenger.resolve(recipient) for recipient in recipients]
    if messenger.own_address in addresses:
        raise Failure(Code.USAGE, "your own number is no recipient")
    return list(dict.fromkeys(addresses))


async def _outcome(
    messenger: Conversations,
    message: SentMessage,
    wanted: SentState,
    timeout: float,
    patience: Patience | None = None,
) -> Outcome:
    """Wait until it has come as far as `wanted`, was refused, or the time is up; with `patience` it is not
    while a file goes forward."""
    try:
        message = await messenger.reached(message.message_id, wanted, timeout)
        while patience is not None and patience.left() > 0 and not _settled(message, wanted):
            message = await messenger.reached(message.message_id, wanted, patience.left())
    except Failure as failure:
        message = await messenger.sent(message.message_id)
        if message.state is SentState.QUEUED:
            message = replace(message, error=message.error or failure)
        elif message.state is not SentState.FAILED and not message.state.reaches(wanted):
            return Outcome(message, failure)
    if message.state is SentState.FAILED or message.error is not None:
        return Outcome(message, message.error or Failure(Code.FAILED, "the message was not delivered"))
    if not message.state.reaches(wanted):
        return Outcome(message, _not_in_time(message, wanted, messenger.was_connected))
    return Outcome(message, None)


def _settled(message: SentMessage, wanted: SentState) -> bool:
    return message.state is SentState.FAILED or message.error is not None or message.state.reaches(wanted)


async def _told(messenger: Conversations, outcomes: Sequence[Outcome]) -> None:
    """Whose failure has been printed here is not news for the next reader."""
    for outcome in outcomes:
        if outcome.message.state is SentState.FAILED:
            await messenger.note_told(outcome.message.message_id)


def _not_in_time(message: SentMessage, wanted: SentState, was_connected: bool) -> Failure:
    if message.state is SentState.QUEUED and was_connected:
        return Failure(Code.TIMEOUT, "the server has not accepted it in time; it stays in the outbox")
    if message.state is SentState.QUEUED:
        return Failure(Code.UNREACHABLE, "the server could not be reached; the message stays in the outbox")
    if not was_connected:
        return Failure(Code.UNREACHABLE, "the server could not be reached; the message was sent before")
    so_far = f"it is {message.state.value}"
    return Failure(Code.TIMEOUT, f"{message.to} has not said in time that it was {wanted.value}: {so_far}")


def _report_first(call: Invocation, found: Sequence[Outcome]) -> None:
    """The first failure stands for all; each line of output has its own."""
    failures = [outcome.failure for outcome in found if outcome.failure is not None]
    if failures:
        call.report(failures[0])


# --- before anything is opened ----------------------------------------------------------------


def text_to_send(argument: str | None) -> str:
    """The text of `-m`, else of standard input to its end, less one final newline.

    Raises Failure(USAGE) for what is empty, too long or not UTF-8.
    """
    if argument is not None:
        return checked_text(argument)
    if sys.stdin is None:
        raise Failure(Code.USAGE, "there is no text: give it with -m or on standard input")
    written = sys.stdin.buffer.read(TEXT_BYTES + 2)
    try:
        text = written.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        # A cut-off last character is only the end of what was read of too long a text.
        if len(written) > TEXT_BYTES + 1 and error.end == len(written):
            raise _too_long() from None
        raise Failure(Code.USAGE, "the text is not UTF-8") from None
    return checked_text(text)


def checked_text(text: str) -> str:
    """The same text. Raises Failure(USAGE)."""
    if not text:
        raise Failure(Code.USAGE, "the text is empty")
    if len(text.encode("utf-8")) > TEXT_BYTES:
        raise _too_long()
    return text


def _too_long() -> Failure:
    return Failure(Code.USAGE, f"the text is longer than {TEXT_BYTES} bytes of UTF-8")
