"""`backup`: everything of a profile that a new machine needs, in one encrypted file.

Knows the order of things: passphrase, vault, a file that appears whole or not at all. Who has the vault
to himself writes the file in one reading transaction; beside another process that holds it, the file is
fetched from there (`backup_fetching`). What goes into it stands in `e2ee.store.client.portable`, how it is
sealed in `backup_file`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2ee.client.backups.backup_content import vault_records
from e2ee.client.backups.backup_fetching import fetch_backup
from e2ee.client.backups.backup_file import BackupWriter, Draft, refuse_existing
from e2ee.client.history.disappearing import forget_expired
from e2ee.client.holding.holder_messages import CONFIG_BYTES
from e2ee.client.holding.roaming import Roaming
from e2ee.client.holding.way import Way
from e2ee.client.profile import OnBroken, open_locked
from e2ee.client.profiles.passphrase import Passphrase, Passphrases
from e2ee.client.profiles.private_files import read_private
from e2ee.client.profiles.profile_directory import Profile, not_registered, unwrap_key
from e2ee.client.profiles.profile_lock import ProfileLock, try_lock
from e2ee.client.threads import threads_of
from e2ee.crypto.backup_permit import permit_key
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, Failure
from e2ee.store.client.portable import count_portable
from e2ee.store.connection import Connection


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
    connection, and beside another process that holds the profile; `timeout` in seconds bounds how long
    that may be silent.

    Raises Failure: USAGE where `path` has a file already or a passphrase is missing, with nothing
    written; those of `open_locked` and `Roaming.start`; FAILED for what the file system refuses.
    """
    if not profile.exists:
        raise not_registered(profile)
    in_thread = threads_of(reactor)
    await in_thread(lambda: _refuse_path(path))
    unlocking, sealing = await in_thread(lambda: _both_passphrases(profile, passphrases))
    config = await in_thread(lambda: _config_text(profile))
    work = _Work(reactor, profile, unlocking, sealing, version, now, config, entropy, on_broken)
    draft = Draft(path, entropy)
    lock = try_lock(profile.lock_path)
    try:
        writing = work.through_holder(draft, timeout) if lock is None else work.alone(draft, lock)
        return await _published(writing, draft, path, in_thread)
    finally:
        await in_thread(draft.discard)


async def _published(writing: Awaitable[Backup], draft: Draft, path: Path, in_thread: Any) -> Backup:
    try:
        done = await writing
        await in_thread(draft.publish)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise Failure(Code.FAILED, f"{path} cannot be written: {error.strerror}") from error
    return done


@dataclass(frozen=True)
class _Work:
    """What one backup is made of."""

    reactor: Any
    profile: Profile
    unlocking: Passphrase
    sealing: Passphrase
    version: str
    now: int
    config: str | None
    entropy: Entropy
    on_broken: OnBroken

    async def alone(self, draft: Draft, lock: ProfileLock) -> Backup:
        """Nobody holds the vault: write it straight into the file."""
        try:
            opened = await open_locked(self.reactor, self.profile, self.unlocking, lock, self.on_broken)
        except BaseException:
            lock.release()
            raise
        try:
            await opened.vault.write(lambda tx: forget_expired(tx, self.now))
            return await opened.vault.read(lambda tx: self._write(tx, draft))
        finally:
            # Only then the vault's thread has surely ended with the file.
            await opened.close()

    def _write(self, tx: Connection, draft: Draft) -> Backup:
        with draft.open() as file:
            writer = BackupWriter(file, self.sealing.value, self.entropy)
            for record in vault_records(tx, self.now, self.version, self.config):
                writer.add(record)
            writer.finish()
            return Backup(*count_portable(tx), size=file.tell())

    async def through_holder(self, draft: Draft, timeout: float | None) -> Backup:
        """Somebody holds the vault: have him seal it, for who has its passphrase."""
        in_thread = threads_of(self.reactor)
        key = await in_thread(lambda: permit_key(unwrap_key(self.profile, self.unlocking.value)))
        way = Way(
            self.reactor, self.profile, Passphrases(), self.entropy, self.on_broken, passphrase=self.unlocking
        )
        roaming = Roaming(way, self.reactor, connect=False)
        try:
            await roaming.start(timeout)
            made = await fetch_backup(
                roaming, self.reactor, in_thread, draft,
                passphrase=self.sealing.value, permit_key=key, version=self.version, config=self.config,
                entropy=self.entropy, silence=timeout,
            )  # fmt: skip
        finally:
            await roaming.close()
        return Backup(made.contacts, made.messages, made.size)


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
