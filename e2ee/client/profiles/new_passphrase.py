"""Another passphrase for a profile: the vault's key is wrapped anew, the vault itself stays as it is.

Knows the order in which the two files change, so that a process that dies in between leaves a profile
that the old passphrase opens, or the new one; not where passphrases come from.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from e2ee.client.profiles.passphrase import Passphrase, PassphraseSource
from e2ee.client.profiles.private_files import remove, write_private
from e2ee.client.profiles.profile_directory import Profile, not_registered, unwrap_key
from e2ee.client.profiles.profile_lock import take_lock
from e2ee.client.profiles.vault_key import wrap_again
from e2ee.client.threads import InThread
from e2ee.errors import Code, Failure

Entropy = Callable[[int], bytes]


async def change_passphrase(
    profile: Profile,
    current: Callable[[], Passphrase],
    chosen: Callable[[], Passphrase],
    *,
    clock: IReactorTime,
    in_thread: InThread,
    entropy: Entropy,
    timeout: float | None,
) -> PassphraseSource:
    """Replace the passphrase that `current` gives by the one of `chosen`; both are called in a thread.

    Waits up to `timeout` seconds for the profile's lock. Raises Failure: NOT_REGISTERED, PROFILE_BUSY,
    PASSPHRASE for a wrong old one, USAGE where a profile without one is to do without one again.
    """
    if not profile.exists:
        raise not_registered(profile)
    lock = await take_lock(profile.lock_path, clock, timeout)
    try:
        return await in_thread(lambda: _change(profile, current(), chosen, entropy))
    finally:
        lock.release()


def _change(
    profile: Profile, old: Passphrase, chosen: Callable[[], Passphrase], entropy: Entropy
) -> PassphraseSource:
    key = unwrap_key(profile, old.value)
    new = chosen()
    kept = profile.key_file.exists()
    if new.source is PassphraseSource.KEY_FILE:
        if kept:
            raise Failure(Code.USAGE, "this profile has no passphrase already")
        # First the file, which is asked only where no passphrase is given: until the key is wrapped
        # anew, the old passphrase opens the profile as before.
        write_private(profile.key_file, new.value)
    write_private(profile.vault_key_path, wrap_again(key, new.value, entropy).encode())
    if kept:
        remove(profile.key_file)
    return new.source
