"""A profile: a directory with a locked, encrypted vault, opened here.

Composes lock, passphrase and vault. Knows their order; not what is in the vault, nor how a passphrase is
asked of a person. Knows no network either, so that a command has the vault's key derived while it still
loads what talks to the server. What the user interface needs of its neighbours is handed on below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from e2ee.client.config import ChangedKey, Config
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.profiles.hardening import harden_process
from e2ee.client.profiles.passphrase import Passphrase, Passphrases, PassphraseSource
from e2ee.client.profiles.profile_directory import Profile, not_registered, unwrap_key
from e2ee.client.profiles.profile_lock import ProfileLock, take_lock
from e2ee.client.receiving.opening import OpeningFile
from e2ee.client.threads import InThread, threads_of
from e2ee.crypto.backup_permit import permit_key
from e2ee.crypto.own_device import OwnDevice
from e2ee.errors import Code, Failure, StoreError, StoreLocked
from e2ee.net.steady_time import use_steady_time
from e2ee.store.client.identity import load_identity, load_server, save_server
from e2ee.store.client.vault import Vault, open_vault

__all__ = [
    "ChangedKey",
    "Config",
    "OpenProfile",
    "PassphraseSource",
    "Passphrases",
    "Profile",
    "harden_process",
    "use_steady_time",
]

OnBroken = Callable[[BaseException], None]


@dataclass(frozen=True)
class OpenProfile:
    """A profile whose lock is held and whose vault is open. `own` is its identity, `permit_key` is that of
    `crypto/backup_permit.py`."""

    profile: Profile
    config: Config
    vault: Vault
    own: OwnDevice = field(repr=False)
    server: KnownServer
    passphrase_source: PassphraseSource
    lock: ProfileLock = field(repr=False)
    opening: OpeningFile = field(repr=False)
    permit_key: bytes = field(repr=False)

    async def close(self) -> None:
        """Close the vault, then let the next process in."""
        try:
            await self.vault.close()
        finally:
            self.opening.close()
            self.lock.release()


async def open_with(
    reactor: Any, profile: Profile, passphrase: Passphrase, *, timeout: float | None, on_broken: OnBroken
) -> OpenProfile:
    """Open a registered profile, waiting up to `timeout` seconds for another process that has it.

    Raises Failure: NOT_REGISTERED; PASSPHRASE for a wrong one, with nothing changed; PROFILE_BUSY; USAGE
    for a wrong `config.toml`. `on_broken` is told when the disk fails later.
    """
    lock = await take_lock(profile.lock_path, reactor, timeout)
    try:
        return await open_locked(reactor, profile, passphrase, lock, on_broken)
    except BaseException:
        lock.release()
        raise


async def open_locked(
    reactor: Any, profile: Profile, passphrase: Passphrase, lock: ProfileLock, on_broken: OnBroken
) -> OpenProfile:
    """The same with the profile's lock, which stays held where this fails."""
    config = profile.config()
    key = await threads_of(reactor)(lambda: unwrap_key(profile, passphrase.value))
    vault = await _open(reactor, profile, key, on_broken)
    try:
        return await _compose(profile, config, vault, passphrase.source, lock, key)
    except BaseException:
        await vault.close()
        raise


async def _compose(
    profile: Profile, config: Config, vault: Vault, source: PassphraseSource, lock: ProfileLock, key: bytes
) -> OpenProfile:
    own, server = await vault.read(lambda tx: (load_identity(tx), load_server(tx)))
    if own is None or server is None:
        raise not_registered(profile)
    known = KnownServer(server, lambda record: vault.write(lambda tx: save_server(tx, record)))
    opening = OpeningFile(profile.opening_path)
    own_device, permits = OwnDevice.decode(own), permit_key(key)
    return OpenProfile(profile, config, vault, own_device, known, source, lock, opening, permits)


async def unlock(
    reactor: Any, profile: Profile, passphrase: Passphrase, in_thread: InThread, on_broken: OnBroken
) -> Vault:
    """The open vault. Raises Failure(PASSPHRASE) for a wrong passphrase, FAILED for a damaged one."""
    return await _open(
        reactor, profile, await in_thread(lambda: unwrap_key(profile, passphrase.value)), on_broken
    )


async def _open(reactor: Any, profile: Profile, key: bytes, on_broken: OnBroken) -> Vault:
    try:
        return await open_vault(profile.vault_path, key, reactor, on_broken)
    except StoreLocked:
        raise Failure(Code.FAILED, f"{profile.vault_path} is damaged or not this profile's") from None
    except StoreError as error:
        raise Failure(Code.FAILED, str(error)) from error
