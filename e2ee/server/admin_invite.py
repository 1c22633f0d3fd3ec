"""`e2ee-admin invite`: a connect link that lets one person register.

Knows the command line; the server makes the invite (`invites`) and keeps no copy of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from e2ee.qr import qr_records

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)

Ask = Callable[[Path, dict[str, Any], bool], dict[str, Any]]
"""Asks the running server; ends the program if there is no answer."""


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


def invite_command(ask: Ask) -> click.Command:
    """The verb, which asks through `ask`."""

    @click.command("invite")
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
        made = ask(state_dir, {"verb": "invite", "seconds": expires, "address": address}, as_json)
        if as_json:
            click.echo(json.dumps(made))
            return
        click.echo(made["link"])
        for record in qr_records(made["link"]) if qr else ():
            click.echo(record)
        whom = f"for {made['address']}" if made["address"] else "for one person"
        click.echo(f"{whom}, until {made['expires_at']}; whoever has it can use it", err=True)
        if made["note"]:
            click.echo(made["note"], err=True)

    return invite
