"""`e2ee profiles`: which there are, and another passphrase for one of them.

Knows what is printed; profiles are the client's.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2ee.client.config import default_data_dir
from e2ee.client.profile import Passphrases, PassphraseSource
from e2ee.client.profiles.new_passphrase import change_passphrase
from e2ee.client.profiles.profile_list import ProfileSummary, profiles_in
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation


async def list_profiles(call: Invocation) -> int:
    """One line for each, by name; none is no failure."""
    data_dir = call.options.data_dir or default_data_dir()
    found = await call.in_thread(lambda: profiles_in(data_dir))
    objects = (
        {
            "type": "profile",
            "profile": one.name,
            "directory": os.fsdecode(one.directory),
            "passphrase": "key_file" if one.key_kept else "needed",
            "holder": one.holder,
        }
        for one in found
    )
    await call.show([_record(one) for one in found], *objects)
    return DONE


def _record(one: ProfileSummary) -> str:
    passphrase = "opens without a passphrase" if one.key_kept else "opens with its passphrase"
    return f"{one.name} {passphrase}{f', in use by process {one.holder}' if one.holder else ''}"


async def new_passphrase(call: Invocation, file: Path | None, no_passphrase: bool) -> int:
    """Ask for the old one and the new one, or read them from files. Raises Failure."""
    terminal = call.terminal()
    chosen = Passphrases(file, terminal.passphrase if terminal else None, lambda _directory: None)
    profile = call.profile
    source = await change_passphrase(
        profile,
        lambda: call.passphrases.existing(profile.directory, profile.key_file),
        lambda: chosen.new(profile.directory, no_passphrase, os.urandom),
        clock=call.reactor,
        in_thread=call.in_thread,
        entropy=os.urandom,
        timeout=call.left(),
    )
    kept = source is PassphraseSource.KEY_FILE
    record = "passphrase removed: the key lies in a file of the profile" if kept else "passphrase changed"
    await call.show([record], {"type": "passphrase", "profile": profile.name, "passphrase": str(source)})
    return DONE
