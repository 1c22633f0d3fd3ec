"""`e2ee-admin`: looks after the running server, over the socket in its state directory.

Knows the command line of what is asked about people and the server as a whole; invites are in
`admin_invite`, what keeps it alive in `admin_care`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from e2ee import __version__
from e2ee.qr import qr_records
from e2ee.server.admin_care import backup, check, rotate_certificate
from e2ee.server.admin_client import ask
from e2ee.server.admin_invite import invite, invites
from e2ee.server.admin_requests import AskConnectLink, AskStatus, ChangeAccount, ListAccounts
from e2ee.server.admin_secret import rotate_secret

_ROWS = (
    ("version", "version"),
    ("running since", "started_at"),
    ("registration", "registration"),
    ("presence", "presence"),
    ("accounts", "accounts"),
    ("connections", "connections"),
    ("devices connected", "devices"),
    ("waiting envelopes", "waiting"),
    ("waiting bytes", "waiting_bytes"),
    ("deepest mailbox", "deepest_mailbox"),
    ("files", "files"),
    ("bytes of files", "files_bytes"),
    ("accounts without one-time keys", "without_prekeys"),
    ("certificate expires", "certificate_expires"),
    ("pin", "pin"),
    ("backup pin", "backup_pin"),
    ("last rotation", "rotated_at"),
    ("last backup", "backed_up_at"),
    ("connections without ML-KEM in TLS", "key_exchange_fallbacks"),
)


@click.group(
    help="""Looks after a running server.

    \b
    Examples:
      e2ee-admin --state-dir ./e2ee-state status
      e2ee-admin --state-dir ./e2ee-state check
      e2ee-admin --state-dir ./e2ee-state backup /backup/e2ee.sqlite3
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
    """Accounts, connections, what waits, certificate and pins, and what needs attention.

    \b
    Example:
      e2ee-admin status --json
    """
    answer = ask(state_dir, AskStatus(), as_json)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for title, name in _ROWS:
        click.echo(f"{title}: {'never' if answer[name] is None else answer[name]}")
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}")


@main.command("connect-link")
@click.option("--qr", is_flag=True, help="As a QR code as well.")
@click.pass_obj
def connect_link(state_dir: Path, qr: bool) -> None:
    """The link that clients register with.

    \b
    Examples:
      e2ee register "$(e2ee-admin connect-link)" +15550100101
      e2ee-admin connect-link --qr
    """
    link = str(ask(state_dir, AskConnectLink())["connect_link"])
    click.echo(link)
    if qr:
        for line in qr_records(link):
            click.echo(line)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def accounts(state_dir: Path, as_json: bool) -> None:
    """Who has an account, in the order of the numbers; nothing of what they write.

    \b
    Example:
      e2ee-admin accounts --json | jq -r 'select(.waiting > 100) | .address'
    """
    for account in _pages(state_dir, as_json):
        click.echo(json.dumps(account) if as_json else _line(account))


@main.command()
@click.argument("address")
@click.option("--delete", "action", flag_value="delete", help="Remove the account and its mailbox.")
@click.option("--log-out", "action", flag_value="log-out", help="Let its device not connect any more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def account(state_dir: Path, address: str, action: str | None, as_json: bool) -> None:
    """Delete an account, or log its device out. Neither asks.

    Senders of what waited in a deleted mailbox are told, and so is the device. A device that is logged
    out can only register anew, with a passcode; until then its mailbox stays.

    \b
    Examples:
      e2ee-admin account +15550100101 --log-out
      e2ee-admin account +15550100101 --delete
    """
    if action == "delete":
        answer = ask(state_dir, ChangeAccount(address, "delete"), as_json)
    elif action == "log-out":
        answer = ask(state_dir, ChangeAccount(address, "log-out"), as_json)
    else:
        raise click.UsageError("say --delete or --log-out")
    what = str(answer["type"]).replace("_", " ")
    click.echo(json.dumps(answer) if as_json else f"{what} {answer['address']}")


def _pages(state_dir: Path, as_json: bool) -> Iterator[dict[str, Any]]:
    after, more = "", True
    while more:
        page = ask(state_dir, ListAccounts(after), as_json)
        yield from page["accounts"]
        more = bool(page["more"] and page["accounts"])
        after = page["accounts"][-1]["address"] if more else ""


def _line(account: dict[str, Any]) -> str:
    parts = [f"{account['address']} device {account['device']}"]
    parts.append(f"last login {account['last_login'] or 'never'}")
    if account["waiting"]:
        parts.append(f"waiting {account['waiting']} ({account['waiting_bytes']} bytes)")
    parts += [
        word
        for name, word in (
            ("connected", "connected"),
            ("logged_out", "logged out"),
            ("registration_pin", "has a registration PIN"),
        )
        if account[name]
    ]
    return ", ".join(parts)


for _command in (invite, invites, rotate_certificate, rotate_secret, backup, check):
    main.add_command(_command)
