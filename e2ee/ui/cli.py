"""The command `e2ee`: its verbs, and the edge where every error becomes an exit code.

Knows no reactor; verbs import what they need when they run, so that help and usage errors are quick.
Shell completion is click's; `completion` prints the script that asks for it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TextIO

import click
from click.shell_completion import shell_complete

from e2ee.errors import Code, Failure
from e2ee.ui.exit_codes import DONE, INTERRUPTED
from e2ee.ui.printer import report
from e2ee.ui.verbs import (
    account,
    affairs,
    completion,
    conversation,
    identity,
    job,
    people,
    pin,
    profiles,
    rpc,
)
from e2ee.ui.verbs.verb import verb_group

GARBAGE_OBJECTS = 100_000
"""More new objects than a short command makes; a long one looks for garbage each time that there are more."""
VARIABLES = ("E2EE_PROFILE", "E2EE_DATA_DIR", "E2EE_PASSPHRASE_FILE")


@verb_group(
    "e2ee",
    "e2ee register LINK +15550100101",
    "e2ee chat",
    "e2ee send +15550100102 -m hello",
    "e2ee receive --follow",
    environment=True,
)
def e2ee() -> None:
    """End-to-end encrypted messages, for people and for scripts.

    The options below may stand before or after the verb.

    Completion: eval "$(e2ee completion bash)", or zsh, fish.
    """


for _command in (
    conversation.register,
    conversation.chat,
    conversation.send,
    conversation.receive,
    job.run,
    people.online,
    people.contacts,
    people.verify,
    people.trust,
    affairs.history,
    affairs.forget,
    affairs.backup,
    affairs.restore,
    affairs.status,
    affairs.outbox,
    identity.identity,
    pin.pin,
    account.account,
    profiles.profiles,
    rpc.agent,
    rpc.rpc,
    completion.completion,
):
    e2ee.add_command(_command)


def main() -> NoReturn:
    """The entry point."""
    # What is loaded is no garbage: to search all of it for cycles only makes a short command long.
    gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
    _open_standard_descriptors()
    _speak_utf8(sys.stdin, sys.stdout, sys.stderr)
    if instruction := os.environ.get(completion.VARIABLE):
        sys.exit(shell_complete(e2ee, {}, "e2ee", completion.VARIABLE, instruction))
    try:
        code = call(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the help has seen enough; nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = DONE
    except KeyboardInterrupt:
        code = INTERRUPTED
    # All memory goes with the process: to search it for cycles first takes longer than to send a message.
    gc.freeze()
    sys.exit(code)


def call(arguments: Sequence[str]) -> int:
    """Run one call of the program and return its exit code; what went wrong has been reported."""
    json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
    try:
        return _invoke(_as_utf8(arguments))
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return report(Failure(Code.USAGE, "no verb was given"), json)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return report(Failure(Code.USAGE, _sentence(error) + hint), json)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return report(Failure(Code.FAILED, _sentence(error)), json)
    except Failure as failure:
        return report(failure, json)


def _invoke(arguments: list[str]) -> int:
    """What click's own `main` does, without its opinions on exit codes."""
    with e2ee.make_context("e2ee", arguments) as context:
        return e2ee.invoke(context) or DONE


def _sentence(error: click.ClickException) -> str:
    return " ".join(error.format_message().split()).removesuffix(".")


def _as_utf8(arguments: Sequence[str]) -> list[str]:
    """The arguments as UTF-8, whatever the locale says. Raises Failure(USAGE), for variables too."""
    try:
        for name in VARIABLES:
            os.fsencode(os.environ.get(name, "")).decode("utf-8")
        return [os.fsencode(argument).decode("utf-8") for argument in arguments]
    except UnicodeError:
        raise Failure(Code.USAGE, "the arguments are not UTF-8") from None


def _open_standard_descriptors() -> None:
    """Nothing else may ever become descriptor 0, 1 or 2: what is printed would land in it.

    A closed output becomes a pipe that nobody reads, so that nothing counts as printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            nothing, nobody = os.pipe()
            os.dup2(nobody if descriptor else nothing, descriptor)
            for end in {nothing, nobody} - {descriptor}:
                os.close(end)


def _speak_utf8(*streams: TextIO | None) -> None:
    for stream in streams:
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[attr-defined]
