"""`e2ee contacts export` and `import`: the address book into a file, and out of one.

Knows what is printed; formats and bounds, the client knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from e2ee.client.contacts.contact_file import (
    ContactFormat,
    ReadContacts,
    format_of,
    read_contacts,
    write_contacts,
)
from e2ee.client.contacts.contact_values import LeftOut, NamedNumber
from e2ee.errors import Code, Failure
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation

MENTIONED = 20
"""More of the same are counted."""


async def export(call: Invocation, path: Path, form: ContactFormat | None) -> int:
    """Write everybody who is accepted. Raises Failure."""
    chosen = form or format_of(path)
    async with call.conversations(connect=False) as messenger:
        found = [NamedNumber(one.address, one.name) for one in await messenger.contacts() if one.accepted]
        await call.in_thread(lambda: write_contacts(path, found, chosen, os.urandom))
        shown = {"type": "exported", "file": os.fsdecode(path), "contacts": len(found)}
        await call.show([f"exported {path} contacts {len(found)}"], shown)
    return DONE


async def take_in(call: Invocation, path: Path, *, skip: bool) -> int:
    """Add what the file has, all or nothing; with `skip` all that can be added. Raises Failure."""
    read = await call.in_thread(lambda: read_contacts(path))
    if read.wrong and not skip:
        _mention(call, read.wrong)
        refused = f"{_entries(len(read.wrong))} of {path} refused: nothing was imported"
        raise Failure(Code.USAGE, f"{refused}; --skip leaves out what is refused")
    async with call.conversations(connect=False) as messenger:
        done = await messenger.import_contacts(read.contacts, skip=skip)
        left_out = [*read.wrong, *done.left_out]
        _mention(call, [*left_out, *read.beside, *done.kept])
        _mention_others(call, read)
        counts = {"added": done.added, "known": done.known, "kept": len(done.kept), "left_out": len(left_out)}
        said = " ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
        shown = {"type": "imported", "file": os.fsdecode(path), **counts}
        await call.show([f"imported {path} {said}"], shown)
    return DONE


def _mention(call: Invocation, entries: Iterable[LeftOut]) -> None:
    """Each of the first, and how many more there are."""
    found = list(entries)
    for entry in found[:MENTIONED]:
        call.mention(f"{entry.what}: {entry.reason}")
    if len(found) > MENTIONED:
        call.mention(f"and {len(found) - MENTIONED} more")


def _mention_others(call: Invocation, read: ReadContacts) -> None:
    if read.without_number:
        call.mention(f"{_entries(read.without_number)} without a number")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
