"""`account`, as the command line declares it."""

from __future__ import annotations

import click

from e2ee.ui.options import given_options
from e2ee.ui.verbs.verb import verb, verb_group


@verb_group("account", "e2ee account delete")
def account() -> None:
    """End the account of this profile."""


@verb("delete", "e2ee account delete", "e2ee account delete --yes")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal; elsewhere nothing is ever asked.")
def delete(yes: bool) -> int:
    """Have the server delete the account: keys, registration PIN, certificate, and what waits there.

    Who has written meanwhile is told that it was not delivered. The profile stays, with its history;
    `e2ee register --again` makes a new account of it.
    """
    from e2ee.ui.account import delete as run_delete
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: run_delete(call, yes))


account.add_command(delete)
