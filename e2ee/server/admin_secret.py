"""`e2ee-admin rotate-secret`: another secret for the server's database, while the server is stopped.

Knows the command line; what is done to the files is `secret_rotation`'s.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.server.admin_client import FAILED, UNAVAILABLE, USAGE, fail
from e2ee.server.secret_source import NoSecretSource, SecretSource
from e2ee.server.state_directory import DATABASE, OLD_SECRET, SECRET, StateDirectory, StateRefused, new_secret


@click.command("rotate-secret")
@click.option("--from", "old", metavar="SECRET", help="The present secret, if not the state directory's.")
@click.option("--to", "new", metavar="SECRET", help="The new one; without it, one is made.")
@click.option(
    "--database", type=click.Path(path_type=Path), help="The database, if it is not in the state directory."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def rotate_secret(
    state_dir: Path, old: str | None, new: str | None, database: Path | None, as_json: bool
) -> None:
    """Put the database under another secret. The server must be stopped.

    A SECRET is file:PATH, credential:NAME or command:COMMAND, as in --secret of the server. Interrupted
    at any moment, the database is under the one or the other: run it again, or start the server, which
    finishes a rotation in the state directory. Backups open with the secret of their day. See
    docs/operations/secret.md.

    \b
    Examples:
      e2ee-admin rotate-secret
      e2ee-admin rotate-secret --to file:/etc/credstore/e2ee.secret
      e2ee-admin rotate-secret --from file:/etc/credstore/e2ee.secret --to file:/root/new.secret
    """
    if old is not None and new is None:
        fail("--from needs --to: the new secret of another place is yours to make", "usage", USAGE, as_json)
    with _in_words(as_json):
        before = None if old is None else SecretSource.parse(old)
        following = None if new is None else SecretSource.parse(new)
        with _alone(state_dir) as state:
            where = (state.path / DATABASE if database is None else database).absolute()
            if following is None:
                _here(state, where, as_json)
            else:
                _elsewhere(state, where, before, following, as_json)


def _here(state: StateDirectory, database: Path, as_json: bool) -> None:
    from e2ee.server.secret_rotation import rotate_here

    rotate_here(state, database, new_secret())
    secret = str(state.path / SECRET)
    _say(
        {"type": "secret_rotated", "database": str(database), "secret": secret, "done": True},
        f"{database} is under the new secret in {secret}: keep it at another place",
        f"{state.path / OLD_SECRET} opens the backups made until now: move it to them",
        as_json,
    )


def _elsewhere(
    state: StateDirectory, database: Path, before: SecretSource | None, following: SecretSource, as_json: bool
) -> None:
    from e2ee.server.secret_rotation import rotate_elsewhere

    secret = state.secret(database) if before is None else before.read(os.environ)
    done = rotate_elsewhere(database, secret, following.read(os.environ))
    _say(
        {"type": "secret_rotated", "database": str(database), "secret": str(following), "done": done},
        f"{database} is under the secret of {following}{'' if done else ' already'}",
        "the old one opens the backups made until now: keep it with them, and nowhere else",
        as_json,
    )


def _say(found: dict[str, object], sentence: str, advice: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(sentence)
    click.echo(advice, err=True)


@contextmanager
def _alone(state_dir: Path) -> Iterator[StateDirectory]:
    """The state directory, held as a server holds it: none can start meanwhile."""
    if not state_dir.is_dir():
        raise StateRefused(f"there is no state directory {state_dir}")
    state = StateDirectory(state_dir.absolute())
    state.prepare()
    try:
        yield state
    finally:
        state.close()


@contextmanager
def _in_words(as_json: bool) -> Iterator[None]:
    try:
        yield
    except NoSecretSource as error:
        fail(str(error), "usage", USAGE, as_json)
    except StoreUnavailable as error:
        fail(str(error), "unavailable", UNAVAILABLE, as_json)
    except (StateRefused, StoreError) as error:
        fail(str(error), "failed", FAILED, as_json)
