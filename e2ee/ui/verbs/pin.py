"""`pin`, as the command line declares it: the registration PIN."""

from __future__ import annotations

from pathlib import Path

import click

from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb, verb_group


@verb_group("pin", "e2ee pin set", "e2ee pin set --pin-file pin.txt", "e2ee pin remove")
def pin() -> None:
    """Set or remove the registration PIN of this account.

    With it, whoever can read the codes sent to this number cannot register it without the PIN.
    """


@verb("set", "e2ee pin set", "e2ee pin set --pin-file pin.txt")
@click.option("--pin-file", metavar="FILE", type=FilePath(), help="A file or pipe with the PIN.")
def set_(pin_file: Path | None) -> int:
    """Set the registration PIN: 4 to 64 characters. A new one takes the place of the old."""
    from e2ee.ui.pins import set_pin
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: set_pin(call, pin_file))


@verb("remove", "e2ee pin remove")
def remove() -> int:
    """Remove the registration PIN: a code is enough then."""
    from e2ee.ui.pins import remove_pin
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), remove_pin)


for _command in (set_, remove):
    pin.add_command(_command)
