"""`profiles`, as the command line declares it."""

from __future__ import annotations

from pathlib import Path

import click

from e2ee.errors import Code, Failure
from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb, verb_group


@verb_group(
    "profiles",
    "e2ee profiles",
    "e2ee profiles passphrase --profile work",
    invoke_without_command=True,
)
def profiles() -> int | None:
    """List the profiles on this machine; needs no passphrase."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        return None
    from e2ee.ui.profiles import list_profiles
    from e2ee.ui.runner import run

    return run(given_options(context), list_profiles)


@verb(
    "passphrase",
    "e2ee profiles passphrase",
    "e2ee profiles passphrase --profile bot --no-passphrase",
    "e2ee profiles passphrase --passphrase-file old.txt --new-passphrase-file new.txt",
)
@click.option("--new-passphrase-file", "file", metavar="FILE", type=FilePath(),
              help="A file or pipe with the new passphrase.")
@click.option("--no-passphrase", is_flag=True, help="Keep the key in a file of the profile from now on.")
def passphrase(file: Path | None, no_passphrase: bool) -> int:
    """Give the profile another passphrase.

    Backups that were made before keep the one they were made with.
    """
    if file is not None and no_passphrase:
        raise Failure(Code.USAGE, "either --new-passphrase-file or --no-passphrase")
    from e2ee.ui.profiles import new_passphrase
    from e2ee.ui.runner import run

    options = given_options(click.get_current_context())
    return run(options, lambda call: new_passphrase(call, file, no_passphrase))


profiles.add_command(passphrase)
