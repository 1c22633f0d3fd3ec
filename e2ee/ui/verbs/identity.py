"""`identity`, as the command line declares it: the X.509 certificate of this account."""

from __future__ import annotations

from pathlib import Path

import click

from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb, verb_group


@verb_group(
    "identity", "e2ee identity attach certificate.pem key.pem", "e2ee identity show", "e2ee identity remove"
)
def identity() -> None:
    """Show contacts an X.509 certificate of this account.

    Who trusts the authority that has issued it (`e2ee trust --ca`) sees this account as verified by it.
    """


@verb("attach", "e2ee identity attach certificate.pem key.pem")
@click.argument("certificate", metavar="CERT", type=FilePath())
@click.argument("key", metavar="KEY", type=FilePath())
def attach(certificate: Path, key: Path) -> int:
    """Have the server hand CERT out with this account. Both are PEM.

    CERT names this account's number as the URI tel:+…, and may be followed by the certificates between
    it and the authority. KEY signs the account key once, and is not kept.
    """
    from e2ee.ui.identities import attach as run_attach
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: run_attach(call, certificate, key))


@verb("show", "e2ee identity show", "e2ee identity show --json")
def show() -> int:
    """Show the certificate that the server hands out for this account."""
    from e2ee.ui.identities import show as run_show
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), run_show)


@verb("remove", "e2ee identity remove")
def remove() -> int:
    """Have it handed out no more. Who has it keeps it until it expires or its issuer revokes it."""
    from e2ee.ui.identities import remove as run_remove
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), run_remove)


for _command in (attach, show, remove):
    identity.add_command(_command)
