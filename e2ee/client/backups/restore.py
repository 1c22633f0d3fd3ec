"""`restore`: a backup becomes an empty profile's vault, whole or not at all.

Knows the order of things: until the key file is there, which comes last, nothing that lies in the
profile's directory counts, and the next attempt takes it away. See `docs/cryptography.md`, "Backups".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError

from e2ee.client.backups.backup_content import Manifest, loader, read_manifest
from e2ee.client.backups.backup_file import BackupReader, open_backup
from e2ee.client.config import parse_config
from e2ee.client.profile import OnBroken, OpenProfile, open_locked
from e2ee.client.profiles.passphrase import Passphrase, Passphrases, PassphraseSource
from e2ee.client.profiles.private_files import make_private_directory, remove, write_private
from e2ee.client.profiles.profile_directory import Profile, discard, refuse_remains
from e2ee.client.profiles.profile_lock import ProfileLock, take_lock
from e2ee.client.profiles.vault_key import wrap
from e2ee.client.recovery.renewal import renew_restored
from e2ee.client.threads import InThread, threads_of
from e2ee.crypto import primitives
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, CryptoError, Failure, StoreError, StoreUnavailable
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.filling import NewerSchema, fill_vault
from e2ee.store.client.identity import load_identity, load_server
from e2ee.store.client.portable import count_portable
from e2ee.store.client.vault import open_vault
from e2ee.store.connection import Connection


@dataclass(frozen=True)
class Restored:
    """A profile that is open, and what was put back. `made_at` is ms since 1970."""

    opened: OpenProfile
    made_at: int
    contacts: int
    messages: int
    fingerprint: str


async def restore_backup(
    reactor: Any,
    profile: Profile,
    passphrases: Passphrases,
    path: Path,
    *,
    now: int,
    timeout: float | None,
    entropy: Entropy,
    on_broken: OnBroken,
) -> Restored:
    """Make an empty profile what the one was of which `path` is a backup. `now` is ms since 1970.

    The file's passphrase becomes the profile's. Works without a connection: the next one replaces the
    prekeys in the directory and begins new sessions. The profile is open then; close it.

    Raises Failure: ALREADY_REGISTERED for a profile that is not empty; PASSPHRASE; PROFILE_BUSY;
    FAILED for a file that is damaged, cut off, of another format or a newer version. Nothing has been
    changed then.
    """
    in_thread = threads_of(reactor)
    _refuse_used(profile)
    with await in_thread(lambda: open_backup(path)) as file:
        reader = await in_thread(lambda: BackupReader(file, str(path)))
        passphrase = await in_thread(lambda: passphrases.existing(profile.directory, profile.key_file))
        await in_thread(lambda: reader.unlock(passphrase.value))
        await in_thread(lambda: make_private_directory(profile.directory))
        lock = await take_lock(profile.lock_path, reactor, timeout)
        try:
            _refuse_used(profile)
            work = _Restoration(reactor, profile, passphrase, reader, entropy, now, on_broken)
            return await work.perform(in_thread, lock)
        except BaseException:
            lock.release()
            raise


def _refuse_used(profile: Profile) -> None:
    if profile.exists:
        raise Failure(
            Code.ALREADY_REGISTERED,
            f"the profile {profile.name} is in use; restore into another one with --profile NAME",
        )


@dataclass(frozen=True)
class _Restoration:
    """One attempt, under the profile's lock."""

    reactor: Any
    profile: Profile
    passphrase: Passphrase
    reader: BackupReader
    entropy: Entropy
    now: int
    on_broken: OnBroken

    async def perform(self, in_thread: InThread, lock: ProfileLock) -> Restored:
        await in_thread(self._begin)
        try:
            key, wrapped = await in_thread(lambda: wrap(self.passphrase.value, self.entropy))
            manifest = await in_thread(lambda: self._fill(key))
            counts = await self._renew(key)
            await in_thread(lambda: self._finish(manifest, wrapped.encode()))
        except CancelledError:
            # A thread may still be writing: with its marker there, the next attempt takes all away.
            await in_thread(lambda: discard(self.profile))
            raise
        except BaseException:
            await in_thread(self._undo)
            raise
        opened = await open_locked(self.reactor, self.profile, self.passphrase, lock, self.on_broken)
        fingerprint = primitives.sha256(opened.own.statement.account_key.raw).hex()
        return Restored(opened, manifest.made_at, *counts, fingerprint)

    def _begin(self) -> None:
        refuse_remains(self.profile)
        write_private(self.profile.restoring_path, b"")

    def _fill(self, key: bytes) -> Manifest:
        """All rows of the file in a vault that nobody can open yet. Blocks."""
        records = self.reader.records()
        try:
            manifest = read_manifest(records)
            _check_config(manifest)
            fill_vault(self.profile.vault_path, key, manifest.schema, loader(manifest, records))
        except NewerSchema:
            raise Failure(
                Code.FAILED,
                "the backup was made by a newer version of e2ee; nothing was restored",
            ) from None
        except StoreUnavailable as error:
            raise Failure(Code.FAILED, f"{error}; nothing was restored") from error
        except StoreError:
            raise self.reader.damaged() from None
        return manifest

    async def _renew(self, key: bytes) -> tuple[int, int]:
        """The vault in the newest schema, fit for its next connection; contacts and texts in it."""
        vault = await open_vault(self.profile.vault_path, key, self.reactor, self.on_broken)
        try:
            return await vault.write(self._check_and_renew)
        except StoreError as error:
            raise Failure(Code.FAILED, f"{error}; nothing was restored") from error
        finally:
            await vault.close()

    def _check_and_renew(self, tx: Connection) -> tuple[int, int]:
        own, server = load_identity(tx), load_server(tx)
        if own is None or server is None:
            raise self.reader.damaged()
        try:
            OwnDevice.decode(own)
            ConnectLink.parse(server.link)
        except (CryptoError, Failure):
            raise self.reader.damaged() from None
        renew_restored(tx, self.now, self.entropy)
        return count_portable(tx)

    def _finish(self, manifest: Manifest, wrapped: bytes) -> None:
        """From the key file on, this is a profile. Blocks."""
        profile = self.profile
        if self.passphrase.source is not PassphraseSource.KEY_FILE:
            remove(profile.key_file)
        configures = manifest.config is not None and not profile.config_path.exists()
        try:
            if configures:
                write_private(profile.config_path, (manifest.config or "").encode())
            write_private(profile.vault_key_path, wrapped)
        except BaseException:
            if configures:
                remove(profile.config_path)
            raise
        remove(profile.restoring_path)

    def _undo(self) -> None:
        discard(self.profile)
        remove(self.profile.restoring_path)


def _check_config(manifest: Manifest) -> None:
    """Settings that this version does not take would make the profile unusable."""
    try:
        parse_config(manifest.config or "")
    except Failure as failure:
        raise Failure(
            Code.FAILED, f"config.toml in the backup: {failure.sentence}; nothing was restored"
        ) from failure
