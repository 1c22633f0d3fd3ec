"""`e2ee-admin invite` and `invites`: connect links that let one person register each.

Knows the command line; the server makes an invite (`invites`) and keeps no copy of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from e2ee.qr import qr_records
from e2ee.server.admin_client import ask
from e2ee.server.admin_requests import ListInvites, MakeInvite, RevokeInvite

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)


class Duration(click.ParamType[int]):
    """A number of minutes, hours or days, such as ``7d``; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        if isinstance(value, int):
            return value
        found = _DURATION.fullmatch(value)
        if found is None:
            self.fail(f"{value!a} is not a time such as 30m, 12h or 7d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.option("--expires", type=Duration(), default="7d", show_default=True, help="30m, 12h or 7d.")
@click.option("--for", "address", metavar="ADDRESS", help="For this number only.")
@click.option("--qr", is_flag=True, help="As a QR code as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def invite(state_dir: Path, expires: int, address: str | None, qr: bool, as_json: bool) -> None:
    """A connect link with an invite, which one registration uses up.

    With --for it is for one number, and opens one session for it that no limit of this number
    or of the server refuses: for somebody whose number others keep busy.

    \b
    Examples:
      e2ee-admin invite --expires 2d
      e2ee-admin invite --for "+1 555 010 0101" --qr
    """
    made = ask(state_dir, MakeInvite(expires, address), as_json)
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(made["link"])
    for record in qr_records(made["link"]) if qr else ():
        click.echo(record)
    click.echo(f"{_line(made)}; whoever has it can use it", err=True)
    if made["note"]:
        click.echo(made["note"], err=True)


@click.command()
@click.option("--revoke", "invite_id", metavar="ID", help="Let nobody register with this one any more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def invites(state_dir: Path, invite_id: str | None, as_json: bool) -> None:
    """The invites that nobody has used yet, by their ids; the links themselves are kept nowhere.

    \b
    Examples:
      e2ee-admin invites
      e2ee-admin invites --revoke 4f3a91c25e07d816
    """
    if invite_id is None:
        for each in _pages(state_dir, as_json):
            click.echo(json.dumps(each) if as_json else _line(each))
        return
    revoked = ask(state_dir, RevokeInvite(invite_id), as_json)
    click.echo(json.dumps(revoked) if as_json else f"revoked {revoked['id']}")


def _pages(state_dir: Path, as_json: bool) -> Iterator[dict[str, Any]]:
    after, more = "", True
    while more:
        page = ask(state_dir, ListInvites(after), as_json)
        yield from page["invites"]
        more = bool(page["more"] and page["invites"])
        after = page["invites"][-1]["id"] if more else ""


def _line(invite: dict[str, Any]) -> str:
    whom = f"for {invite['address']}" if invite["address"] else "for one person"
    return f"{invite['id']} {whom}, until {invite['expires_at']}"
