"""`e2ee backup` and `e2ee restore`: a profile into a file, and out of it on another machine.

Knows what is printed; what a backup is, the client knows.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2ee import __version__
from e2ee.client.backups.backup import make_backup
from e2ee.client.backups.restore import restore_backup
from e2ee.errors import Failure
from e2ee.ui import render
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.times import rfc3339

if TYPE_CHECKING:
    from e2ee.client.messenger import Messenger


async def backup(call: Invocation, path: Path) -> int:
    """Write the file, and print what is in it. Raises Failure."""
    done = await make_backup(
        call.reactor,
        call.profile,
        call.passphrases,
        path,
        version=__version__,
        now=call.now(),
        timeout=call.left(),
        entropy=os.urandom,
        on_broken=call.on_broken,
    )
    shown = {
        "type": "backup",
        "file": os.fsdecode(path),
        "contacts": done.contacts,
        "messages": done.messages,
        "bytes": done.size,
    }
    await call.show([render.backup_record(path, done.contacts, done.messages)], shown)
    return DONE


async def restore(call: Invocation, path: Path) -> int:
    """Put the profile back, and use the first connection to tell the directory and the contacts.

    That nobody can be reached is no failure: the next connection does it. Raises Failure.
    """
    done = await restore_backup(
        call.reactor,
        call.profile,
        call.passphrases,
        path,
        now=call.now(),
        timeout=call.left(),
        entropy=os.urandom,
        on_broken=call.on_broken,
    )
    own = done.opened.own
    shown = {
        "type": "restored",
        "address": str(own.address),
        "device": str(own.device),
        "fingerprint": done.fingerprint,
        "made_at": rfc3339(done.made_at),
        "contacts": done.contacts,
        "messages": done.messages,
    }
    try:
        await call.show([f"restored {own.address} device {own.device}"], shown)
        async with call.started(done.opened) as messenger:
            await messenger.connected(call.left())
            await messenger.supplied(call.left())
            await _ask_around(call, messenger)
    except Failure as failure:
        call.mention(
            f"the server knows nothing of it yet: {failure.sentence}; until a command has connected,"
            " nobody can write to you"
        )
    finally:
        await done.opened.close()
    return DONE


async def _ask_around(call: Invocation, messenger: Messenger) -> None:
    """Contacts are asked for what is missing once it is known; the next connection goes on with it."""
    with suppress(Failure):
        await messenger.drained(call.left())
    await messenger.outbox_sent(call.left())
