"""`e2ee run`: runs a command, and tells somebody how it ended.

Knows how that is put into words. Nothing but a usage error keeps the command from running, and nothing
that happens afterwards changes its exit code.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2ee.errors import Failure
from e2ee.ids import Address
from e2ee.ui.child import Ended, run_child
from e2ee.ui.exit_codes import DONE
from e2ee.ui.options import Options
from e2ee.ui.printer import print_error, report
from e2ee.ui.sanitiser import clean_line

if TYPE_CHECKING:
    from e2ee.ui.invocation import Invocation

COMMAND_CHARACTERS = 200
"""Of the command's line, in the message: it is to be recognised, not repeated."""


def run_job(options: Options, recipients: Sequence[str], command: Sequence[str]) -> int:
    """Run `command`, then send how it ended to each of `recipients`; its exit code.

    The profile is opened after the command has ended. A failure to send is told on standard error.
    """
    ended = run_child(command)
    if ended.reason is not None:
        print_error(f"e2ee: {command[0]}: {ended.reason}")
    try:
        _tell(options, recipients, ended_text(command, ended))
    except (KeyboardInterrupt, SystemExit):
        # A signal while the sending is being prepared ends that only.
        return ended.exit_code
    return ended.exit_code


def _tell(options: Options, recipients: Sequence[str], text: str) -> None:
    # Imported here: for as long as the command runs, none of it is needed.
    from e2ee.ui.runner import run

    run(options, lambda call: tell(call, recipients, text))


async def tell(call: Invocation, recipients: Sequence[str], text: str) -> int:
    """Send the text to all who are known; whom it does not reach is told on standard error."""
    from e2ee.ui.sending import deliver, resolved

    async with call.conversations() as messenger:
        addresses: list[Address] = []
        for recipient in recipients:
            try:
                addresses += await resolved(messenger, [recipient])
            except Failure as failure:
                report(failure, call.options.json)
        async for outcome in deliver(call, messenger, list(dict.fromkeys(addresses)), text):
            if outcome.failure is not None:
                report(_of(outcome.message.to, outcome.failure), call.options.json)
    return DONE


def _of(address: Address, failure: Failure) -> Failure:
    """The same, with whose message it was."""
    return Failure(failure.code, f"{address}: {failure.sentence}", failure.retry_after)


def ended_text(command: Sequence[str], ended: Ended) -> str:
    """The message: which command, how and after what time it ended, and the last of its output."""
    line = clean_line(shlex.join(command))
    if len(line) > COMMAND_CHARACTERS:
        line = line[: COMMAND_CHARACTERS - 1] + "…"
    text = f"{line}: {_how(ended)}"
    return f"{text}\n{ended.tail}" if ended.tail else text


def _how(ended: Ended) -> str:
    if ended.reason is not None:
        return f"could not be started: {ended.reason} (exit status {ended.exit_code})"
    after = f"after {duration(ended.seconds)}"
    if ended.signal is None:
        return f"exit status {ended.status} {after}"
    return f"ended by {_signal_name(ended.signal)} (exit status {ended.exit_code}) {after}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def duration(seconds: float) -> str:
    """For a person: ``0.4 s``, ``12 s``, ``2 min 5 s``, ``1 h 3 min``, ``2 d 4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, lower, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"
