"""`run`, as the command line declares it."""

from __future__ import annotations

import click

from e2ee.errors import Code, Failure, InvalidAddress
from e2ee.ids import Address
from e2ee.ui.options import given_options
from e2ee.ui.verbs.verb import verb


@verb(
    "run",
    "e2ee run --to bob -- make -j4 test",
    "e2ee run --to +15550100102 --to carol -- ./backup.sh",
    "e2ee run --to bob -- sh -c 'sync-mail && index-mail'",
    arguments_follow=True,
)
@click.option("--to", "recipients", multiple=True, required=True, metavar="ADDRESS",
              help="Who is told; may be repeated. A number, or a name of the address book.")
@click.argument("command", nargs=-1, required=True, metavar="-- CMD...", type=click.UNPROCESSED)
def run(recipients: tuple[str, ...], command: tuple[str, ...]) -> int:
    """Run CMD, and send how it ended, how long it took and the last lines of its output.

    Ends with the exit code of CMD, whatever becomes of the message: 128 + N for signal N, 127 if it is
    not found, 126 if it cannot be started. The profile is free for other commands while CMD runs.
    """
    for recipient in recipients:
        _check(recipient)
    from e2ee.ui.job import run_job

    return run_job(given_options(click.get_current_context()), recipients, command)


def _check(recipient: str) -> None:
    """A number that cannot be one is found before hours have passed. Raises Failure(USAGE)."""
    if recipient.strip(" ").startswith(("+", "tel:+")):
        try:
            Address.parse(recipient)
        except InvalidAddress as error:
            raise Failure(Code.USAGE, f"{recipient}: {error}") from error
