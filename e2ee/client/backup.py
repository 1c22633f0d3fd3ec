"""`backup`: everything of a profile that a new machine needs, in one encrypted file.

Knows the order of things: passphrase, lock, one reading transaction, a file that appears whole or not
at all. What goes into it stands in `e2ee.store.client.portable`, how it is sealed in `backup_file`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2ee.client.backup_content import vault_records
from e2ee.client.backup_file import BackupWriter, Draft, refuse_existing
from e2ee.client.disappearing import forget_expired
from e2ee.client.passphrase import Passphrase, Passphrases
from e2ee.client.private_files import read_private
from e2ee.client.profile import OnBroken, OpenProfile, open_with
from e2ee.client.profile_directory import Profile, not_registered
from e2ee.client.threads import threads_of
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, Failure
from e2ee.store.client.portable import count_portable
from e2ee.store.connection import Connection

CONFIG_BYTES = 64 * 1024
"""More than anybody writes into `config.toml`."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written. `size` is in bytes."""

    contacts: int
    messages: int
    size: int


async def make_backup(
    reactor: Any,
    profile: Profile,
    passphrases: Passphrases,
    path: Path,
    *,
    version: str,
    now: int,
    timeout: float | None,
    entropy: Entropy,
    on_broken: OnBroken,
) -> Backup:
    """Write the profile to `path`, encrypted under its passphrase. `now` is ms since 1970.

    A profile without a passphrase needs one for the file: `passphrases.file`. Works without a
    connection; needs the profile's lock, for which it waits up to `timeout` seconds.

    Raises Failure: USAGE where `path` has a file already or a passphrase is missing, with nothing
    written; those of `open_with`; FAILED for what the file system refuses.
    """
    if not profile.exists:
        raise not_registered(profile)
    in_thread = threads_of(reactor)
    await in_thread(lambda: _refuse_path(path))
    unlocking, sealing = await in_thread(lambda: _both_passphrases(profile, passphrases))
    opened = await open_with(reactor, profile, unlocking, timeout=timeout, on_broken=on_broken)
    draft = Draft(path, entropy)
    try:
        config = await in_thread(lambda: _config_text(profile))
        await opened.vault.write(lambda tx: forget_expired(tx, now))

        def write(tx: Connection) -> Backup:
            with draft.open() as file:
                writer = BackupWriter(file, sealing.value, entropy)
                for record in vault_records(tx, now, version, config):
                    writer.add(record)
                writer.finish()
                return Backup(*count_portable(tx), size=file.tell())

        return await _write_whole(opened, draft, write, path, in_thread)
    finally:
        await opened.close()
        # Only now the vault's thread has surely ended with the file.
        await in_thread(draft.discard)


async def _write_whole(
    opened: OpenProfile, draft: Draft, write: Callable[[Connection], Backup], path: Path, in_thread: Any
) -> Backup:
    try:
        done = await opened.vault.read(write)
        await in_thread(draft.publish)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise Failure(Code.FAILED, f"{path} cannot be written: {error.strerror}") from error
    return done


def _refuse_path(path: Path) -> None:
    try:
        refuse_existing(path)
    except FileExistsError:
        raise _exists(path) from None
    if not path.parent.is_dir():
        raise Failure(Code.USAGE, f"there is no directory {path.parent}")


def _exists(path: Path) -> Failure:
    return Failure(Code.USAGE, f"{path} exists; a backup never replaces a file")


def _both_passphrases(profile: Profile, passphrases: Passphrases) -> tuple[Passphrase, Passphrase]:
    """What opens the vault, and what seals the backup; they differ where the profile has none. Blocks."""
    if not profile.key_file.exists():
        own = passphrases.existing(profile.directory, profile.key_file)
        return own, own
    given = passphrases.given()
    if given is None:
        raise Failure(
            Code.USAGE,
            f"the profile {profile.name} has no passphrase: give one for the backup with --passphrase-file",
        )
    without = replace(passphrases, file=None)
    return without.existing(profile.directory, profile.key_file), given


def _config_text(profile: Profile) -> str | None:
    """The profile's settings, which have been read before; None without any. Blocks."""
    try:
        return read_private(profile.config_path, CONFIG_BYTES).decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.FAILED, f"{profile.config_path} cannot be read") from error
