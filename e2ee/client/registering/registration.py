"""Registers a profile: makes its directory and vault if there is none, and enrols it with a server.

Composes lock, passphrase, vault and enrolment. Knows their order; not how a passphrase or a code is asked
of a person. What the user interface needs of its neighbours is handed on below.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from e2ee.client.deadline import Deadline
from e2ee.client.linking.channel import Connect, connector, load_ca
from e2ee.client.profile import OnBroken, unlock
from e2ee.client.profiles.passphrase import Passphrase, Passphrases
from e2ee.client.profiles.private_files import make_private_directory
from e2ee.client.profiles.profile_directory import Profile, create_keys, discard
from e2ee.client.profiles.profile_lock import take_lock
from e2ee.client.registering.code_sources import CodeSource, source_from_options
from e2ee.client.registering.enrolment import Enrolment, Registration, Surroundings
from e2ee.client.registering.pending_state import load_pending
from e2ee.client.registering.pin_sources import GivenPin, PinSource, checked_pin, pin_in_file
from e2ee.client.threads import InThread, threads_of
from e2ee.crypto.keys import KemSuite
from e2ee.errors import Code, Failure, StoreError
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.identity import is_blank
from e2ee.store.client.vault import Vault

__all__ = [
    "CodeSource",
    "GivenPin",
    "PinSource",
    "Registration",
    "checked_pin",
    "pin_in_file",
    "register",
    "source_from_options",
]

Entropy = Callable[[int], bytes]
_KEMS = {"ml-kem-1024": KemSuite.ML_KEM_1024, "rsa-3072": KemSuite.RSA_3072}


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
    kem: str = "ml-kem-1024",
    connect: Connect | None = None,
) -> Registration:
    """Register this profile for a number; see `docs/command-line.md` for what each argument means.

    `link` is a connect link as text, `ca` PEM, `codes` None where there is no source, `pins` None
    where there is no PIN, `kem` ml-kem-1024 or rsa-3072. A profile that is made for it and fails before
    the server has begun a registration is taken away again. `connect` is the network's, unless given.

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
            return await Enrolment(
                state, codes, around, deadline, pins=pins, invite=place.invite, again=again, suite=_KEMS[kem]
            ).register()
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
        vault = await unlock(reactor, profile, passphrase, in_thread, on_broken)
        blank = False
        try:
            yield vault
        finally:
            blank = fresh and await vault.read(is_blank)
            await vault.close()
    finally:
        if blank:
            await in_thread(lambda: discard(profile))
