"""A profile: a directory with a locked, encrypted vault; opened here, and registered here.

Composes lock, passphrase, vault and enrolment. Knows their order; not what is in the vault, nor how a
passphrase or a code is asked of a person. What the user interface needs of its
neighbours is handed on below.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from e2ee.client.channel import Connect, connector, load_ca
from e2ee.client.code_sources import CodeSource, source_from_options
from e2ee.client.config import ChangedKey, Config
from e2ee.client.deadline import Deadline
from e2ee.client.enrolment import Enrolment, Registration, Surroundings
from e2ee.client.hardening import harden_process
from e2ee.client.known_server import KnownServer
from e2ee.client.passphrase import Passphrase, Passphrases, PassphraseSource
from e2ee.client.pending_state import load_pending
from e2ee.client.pin_sources import GivenPin, PinSource, checked_pin, pin_in_file
from e2ee.client.private_files import make_private_directory
from e2ee.client.profile_directory import Profile, create_keys, discard, not_registered, unwrap_key
from e2ee.client.profile_lock import ProfileLock, take_lock
from e2ee.client.threads import InThread, threads_of
from e2ee.crypto.own_device import OwnDevice
from e2ee.errors import Code, Failure, StoreError, StoreLocked
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.net.steady_time import use_steady_time
from e2ee.store.client.identity import is_blank, load_identity, load_server, save_server
from e2ee.store.client.vault import Vault, open_vault

__all__ = [
    "ChangedKey",
    "CodeSource",
    "Config",
    "GivenPin",
    "OpenProfile",
    "PassphraseSource",
    "Passphrases",
    "PinSource",
    "Profile",
    "Registration",
    "checked_pin",
    "harden_process",
    "open_profile",
    "pin_in_file",
    "register",
    "source_from_options",
    "use_steady_time",
]

Entropy = Callable[[int], bytes]
OnBroken = Callable[[BaseException], None]


@dataclass(frozen=True)
class OpenProfile:
    """A profile whose lock is held and whose vault is open. `own` is its identity."""

    profile: Profile
    config: Config
    vault: Vault
    own: OwnDevice = field(repr=False)
    server: KnownServer
    passphrase_source: PassphraseSource
    lock: ProfileLock = field(repr=False)

    async def close(self) -> None:
        """Close the vault, then let the next process in."""
        try:
            await self.vault.close()
        finally:
            self.lock.release()


async def open_profile(
    reactor: Any, profile: Profile, passphrases: Passphrases, *, timeout: float | None, on_broken: OnBroken
) -> OpenProfile:
    """Open a registered profile, waiting up to `timeout` seconds for another process that has it.

    Raises Failure: NOT_REGISTERED; PASSPHRASE for a wrong or missing one, with nothing changed;
    PROFILE_BUSY; USAGE for a wrong `config.toml`. `on_broken` is told when the disk fails later.
    """
    if not profile.exists:
        raise not_registered(profile)
    in_thread = threads_of(reactor)
    passphrase = await in_thread(lambda: passphrases.existing(profile.directory, profile.key_file))
    lock = await take_lock(profile.lock_path, reactor, timeout)
    return await open_locked(reactor, profile, passphrase, lock, on_broken)


async def open_locked(
    reactor: Any, profile: Profile, passphrase: Passphrase, lock: ProfileLock, on_broken: OnBroken
) -> OpenProfile:
    """Open a registered profile whose lock is held; it is given back if that fails. As `open_profile`."""
    in_thread = threads_of(reactor)
    try:
        config = profile.config()
        vault = await _unlock(reactor, profile, passphrase, in_thread, on_broken)
        try:
            return await _compose(profile, config, vault, passphrase.source, lock)
        except BaseException:
            await vault.close()
            raise
    except BaseException:
        lock.release()
        raise


async def _compose(
    profile: Profile, config: Config, vault: Vault, source: PassphraseSource, lock: ProfileLock
) -> OpenProfile:
    own, server = await vault.read(lambda tx: (load_identity(tx), load_server(tx)))
    if own is None or server is None:
        raise not_registered(profile)
    known = KnownServer(server, lambda record: vault.write(lambda tx: save_server(tx, record)))
    return OpenProfile(profile, config, vault, OwnDevice.decode(own), known, source, lock)


async def register(
    reactor: Any,
    profile: Profile,
    passphrases: Passphrases,
    *,
    link: str,
    address: Address,
    codes: CodeSource | None,
    timeout: float | None,
    entropy: Entropy,
    on_broken: OnBroken,
    notice: Callable[[str], None],
    pins: PinSource | None = None,
    no_passphrase: bool = False,
    ca: bytes | None = None,
    again: bool = False,
    connect: Connect | None = None,
) -> Registration:
    """Register this profile for a number; see `docs/command-line.md` for what each argument means.

    `link` is a connect link as text, `ca` PEM, `codes` None where there is no source, `pins` None
    where there is no PIN. A profile that is made for it and fails before the server has begun a
    registration is taken away again. `connect` is the network's, unless given.

    Raises Failure: those of `Enrolment.register`, PASSPHRASE, PROFILE_BUSY, and USAGE before anything
    is asked of the server or written.
    """
    place = ConnectLink.parse(link)
    if ca is not None:
        load_ca(ca)
    if codes is None:
        raise _no_source()
    deadline = Deadline(reactor, timeout)
    in_thread = threads_of(reactor)
    around = Surroundings(reactor, in_thread, entropy, connect or connector(reactor), notice, time.time)
    await in_thread(lambda: make_private_directory(profile.directory))
    lock = await take_lock(profile.lock_path, reactor, deadline.left())
    try:
        with deadline.paused():
            passphrase = await in_thread(lambda: _passphrase(profile, passphrases, no_passphrase, entropy))
        async with _vault_to_register(reactor, profile, passphrase, in_thread, entropy, on_broken) as vault:
            state = await load_pending(vault, place, ca, address)
            enrolment = Enrolment(
                state, codes, around, deadline, pins=pins, invite=place.invite, again=again
            )
            return await enrolment.register()
    except StoreError as error:
        raise Failure(Code.FAILED, str(error)) from error
    finally:
        lock.release()


def _no_source() -> Failure:
    return Failure(
        Code.USAGE,
        "there is no source for the code: give --code-file or --code-command, or use a terminal",
    )


def _passphrase(
    profile: Profile, passphrases: Passphrases, no_passphrase: bool, entropy: Entropy
) -> Passphrase:
    """Blocks: a person may be asked."""
    if profile.exists:
        return passphrases.existing(profile.directory, profile.key_file)
    return passphrases.new(profile.directory, no_passphrase, entropy)


@asynccontextmanager
async def _vault_to_register(
    reactor: Any,
    profile: Profile,
    passphrase: Passphrase,
    in_thread: InThread,
    entropy: Entropy,
    on_broken: OnBroken,
) -> AsyncIterator[Vault]:
    """The profile's vault, made if there is none; a new one in which nothing began is removed."""
    fresh = not profile.exists
    if fresh:
        await in_thread(lambda: create_keys(profile, passphrase, entropy))
    blank = fresh
    try:
        vault = await _unlock(reactor, profile, passphrase, in_thread, on_broken)
        blank = False
        try:
            yield vault
        finally:
            blank = fresh and await vault.read(is_blank)
            await vault.close()
    finally:
        if blank:
            await in_thread(lambda: discard(profile))


async def _unlock(
    reactor: Any, profile: Profile, passphrase: Passphrase, in_thread: InThread, on_broken: OnBroken
) -> Vault:
    """The open vault. Raises Failure(PASSPHRASE) for a wrong passphrase, FAILED for a damaged one."""
    key = await in_thread(lambda: unwrap_key(profile, passphrase.value))
    try:
        return await open_vault(profile.vault_path, key, reactor, on_broken)
    except StoreLocked:
        raise Failure(Code.FAILED, f"{profile.vault_path} is damaged or not this profile's") from None
    except StoreError as error:
        raise Failure(Code.FAILED, str(error)) from error
