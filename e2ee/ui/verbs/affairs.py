"""`history`, `forget`, `backup`, `restore`, `status` and `outbox`, as the command line declares them."""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2ee.errors import Code, Failure, InvalidIdentifier
from e2ee.ids import MessageId
from e2ee.ui.options import FilePath, given_options
from e2ee.ui.times import parse_since
from e2ee.ui.verbs.verb import verb, verb_group


@verb(
    "history",
    "e2ee history",
    "e2ee history bob --limit 20",
    "e2ee history --search 'invoice \"first reminder\"' --since 2026-11-01",
    "e2ee history bob --direction in --since 7d --until 1d",
    "e2ee history --json > history.jsonl",
)
@click.argument("address", required=False, metavar="[ADDRESS]")
@click.option("--search", metavar="TEXT",
              help='Only texts in which all these words, or beginnings of words, and "phrases" are.')
@click.option("--since", metavar="TIME", help="Only later ones: 2026-11-01, 2026-11-01T09:30:00Z, 2h, 7d.")
@click.option("--until", metavar="TIME", help="Only earlier ones.")
@click.option("--direction", type=click.Choice(["in", "out"]), help="Only received or only own ones.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
def history(
    address: str | None,
    search: str | None,
    since: str | None,
    until: str | None,
    direction: str | None,
    limit: int | None,
) -> int:
    """Print what was written, oldest first, from the vault; works without a connection.

    With --json this is the export: one object a line, with the texts as they are.
    """
    now = int(time.time() * 1000)
    earliest, latest = (None if one is None else parse_since(one, now) for one in (since, until))
    from e2ee.client.events import HistoryQuery
    from e2ee.ui.records import history as run_history
    from e2ee.ui.runner import run

    query = HistoryQuery(None, search, earliest, latest, direction, limit)
    return run(given_options(click.get_current_context()), lambda call: run_history(call, address, query))


@verb(
    "forget",
    "e2ee forget 00112233445566778899aabbccddeeff",
    "e2ee forget --conversation bob",
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--conversation", "conversations", multiple=True, metavar="ADDRESS",
              help="All that was written with ADDRESS; may be repeated.")
def forget(ids: tuple[str, ...], conversations: tuple[str, ...]) -> int:
    """Delete messages from this device for good, without asking. Others keep what they have.

    Keys and the address book are not touched. What waits to be accepted by the server stays:
    `e2ee outbox cancel` it first.
    """
    if not ids and not conversations:
        raise Failure(Code.USAGE, "nothing to forget: give an ID, or --conversation ADDRESS")
    chosen = [_message_id(one) for one in ids]
    from e2ee.ui.records import forget as run_forget
    from e2ee.ui.runner import run

    options = given_options(click.get_current_context())
    return run(options, lambda call: run_forget(call, chosen, conversations))


def _message_id(text: str) -> MessageId:
    try:
        return MessageId.from_hex(text.lower())
    except InvalidIdentifier as error:
        raise Failure(Code.USAGE, f"{text!r} is no id: 32 hex digits") from error


@verb("backup", "e2ee backup alice.e2ee-backup", "e2ee backup /media/stick/alice.e2ee-backup --json")
@click.argument("file", metavar="FILE", type=FilePath())
def backup(file: Path) -> int:
    """Write identity, contacts, trust and history to FILE, encrypted under the profile's passphrase.

    FILE must not exist. A profile without a passphrase needs --passphrase-file. Works without a
    connection, and beside other commands.
    """
    from e2ee.ui.backups import backup as run_backup
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: run_backup(call, file))


@verb("restore", "e2ee restore alice.e2ee-backup", "e2ee restore FILE --profile alice")
@click.argument("file", metavar="FILE", type=FilePath())
def restore(file: Path) -> int:
    """Make an empty profile what it was when `backup` wrote FILE: same device, no new code.

    Do so when the old machine is lost: two machines cannot be one device. What contacts send before
    they have heard of it may be unreadable, and is shown as such.
    """
    from e2ee.ui.backups import restore as run_restore
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: run_restore(call, file))


@verb("status", "e2ee status", "e2ee status --json")
def status() -> int:
    """Show the profile, its server, and what waits. Tries the server once."""
    from e2ee.ui.records import status as run_status
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), run_status)


@verb_group(
    "outbox",
    "e2ee outbox",
    "e2ee outbox cancel 00112233445566778899aabbccddeeff",
    invoke_without_command=True,
)
def outbox() -> int | None:
    """List what waits to be accepted by the server."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        return None
    from e2ee.ui.records import outbox as run_outbox
    from e2ee.ui.runner import run

    return run(given_options(context), run_outbox)


@verb("cancel", "e2ee outbox cancel 00112233445566778899aabbccddeeff")
@click.argument("message_id", metavar="ID")
def cancel(message_id: str) -> int:
    """Take a message out of the outbox. Says so if it may have left already."""
    from e2ee.ui.records import cancel as run_cancel
    from e2ee.ui.runner import run

    chosen = _message_id(message_id)
    return run(given_options(click.get_current_context()), lambda call: run_cancel(call, chosen))


outbox.add_command(cancel)
