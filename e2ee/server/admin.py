"""`e2ee-admin`: asks the running server, over the socket in its state directory.

Knows the command line and one line of JSON; nothing of the server's inside.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, NoReturn

import click

from e2ee import __version__
from e2ee.server.admin_invite import invite_command

SOCKET = "admin.sock"
ANSWER_BYTES = 64 * 1024
ANSWER_SECONDS = 10.0
USAGE, UNREACHABLE, FAILED = 2, 3, 1
_ROWS = (
    ("accounts", "accounts"),
    ("connections", "connections"),
    ("waiting envelopes", "waiting"),
    ("certificate expires", "certificate_expires"),
    ("pin", "pin"),
    ("backup pin", "backup_pin"),
    ("connections without ML-KEM in TLS", "key_exchange_fallbacks"),
)


@click.group(
    help="""Looks after a running server.

    \b
    Examples:
      e2ee-admin --state-dir ./e2ee-state status
      e2ee-admin --state-dir ./e2ee-state connect-link
    """
)
@click.option(
    "--state-dir", envvar="E2EE_STATE_DIR", default="e2ee-state", show_default=True,
    type=click.Path(path_type=Path), help="The server's state directory.",
)  # fmt: skip
@click.version_option(__version__, prog_name="e2ee-admin")
@click.pass_context
def main(context: click.Context, state_dir: Path) -> None:
    """The group of commands."""
    context.obj = state_dir


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def status(state_dir: Path, as_json: bool) -> None:
    """Accounts, connections, waiting envelopes, certificate and pins.

    \b
    Example:
      e2ee-admin status --json
    """
    answer = ask(state_dir, {"verb": "status"}, as_json)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for title, name in _ROWS:
        click.echo(f"{title}: {answer[name]}")


@main.command("connect-link")
@click.option("--qr", is_flag=True, help="As a QR code (not available yet).")
@click.pass_obj
def connect_link(state_dir: Path, qr: bool) -> None:
    """The link that clients register with.

    \b
    Example:
      e2ee register "$(e2ee-admin connect-link)" +15550100101
    """
    if qr:
        _not_available("--qr")
    click.echo(ask(state_dir, {"verb": "connect-link"}, False)["connect_link"])


def ask(state_dir: Path, question: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """One question to the running server; ends the program if there is no answer."""
    try:
        answer = _exchange(state_dir, json.dumps(question).encode("ascii") + b"\n")
    except OSError as error:
        reason = error.strerror or "no answer"
        _fail(f"no server answers in {state_dir}: {reason}", "unreachable", UNREACHABLE, as_json)
    found: dict[str, Any] = json.loads(answer) if answer else {"type": "error"}
    if found["type"] == "error":
        code = str(found.get("code", "failed"))
        status = USAGE if code == "usage" else FAILED
        _fail(str(found.get("message", "the server did not answer")), code, status, as_json)
    return found


def _exchange(state_dir: Path, question: bytes) -> bytes:
    """From inside the directory: the path of a socket has 108 bytes at the most."""
    os.chdir(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(SOCKET)
        connection.sendall(question)
        answer = bytearray()
        while chunk := connection.recv(4096):
            answer += chunk
            if len(answer) > ANSWER_BYTES:
                raise OSError(0, "its answer is too long")
    return bytes(answer)


def _fail(sentence: str, code: str, exit_code: int, as_json: bool) -> NoReturn:
    click.echo(sentence, err=True)
    if as_json:
        error = {"type": "error", "code": code, "message": sentence, "retry_after": None}
        click.echo(json.dumps(error), err=True)
    raise SystemExit(exit_code)


def _not_available(what: str, as_json: bool = False) -> NoReturn:
    _fail(f"{what} is not available yet", "not_available", USAGE, as_json)


def _absent(name: str) -> click.Command:
    """A verb that is known by name and not available yet; its arguments are not looked at."""

    @click.command(
        name,
        help="Not available yet.",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def verb(arguments: tuple[str, ...]) -> None:
        _not_available(name, "--json" in arguments)

    return verb


main.add_command(invite_command(ask))
for _name in ("accounts", "account", "rotate-certificate", "backup", "check"):
    main.add_command(_absent(_name))
