"""The directory of a profile: its files' names, and the keys that are made and removed with it.

Knows what lies where; everything but `Profile` itself blocks and is done in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from e2ee.client.config import Config, load_config
from e2ee.client.profiles.passphrase import Passphrase, PassphraseSource
from e2ee.client.profiles.private_files import read_private, remove, write_private
from e2ee.client.profiles.vault_key import KEY_FILE_BYTES, WrappedKey, wrap
from e2ee.errors import Code, Failure

Entropy = Callable[[int], bytes]

_NAME = re.compile(r"[\w+][\w.+@-]{0,63}")
_DATABASE_SUFFIXES = ("", "-wal", "-shm")


class Profile:
    """The directory of one profile, `data_dir/name`. Raises Failure(USAGE) for a name that is no name."""

    def __init__(self, data_dir: Path, name: str = "default") -> None:
        if not _NAME.fullmatch(name):
            raise Failure(Code.USAGE, "a profile's name has letters, digits and _ . + @ - in it, up to 64")
        self.name = name
        self.directory = data_dir / name
        self.config_path = self.directory / "config.toml"
        self.lock_path = self.directory / "lock"
        self.vault_path = self.directory / "vault.sqlite3"
        self.vault_key_path = self.directory / "vault.key"
        self.key_file = self.directory / "passphrase"
        self.opening_path = self.directory / "opening"
        self.downloads_path = self.directory / "downloads"
        self.restoring_path = self.directory / "restoring"

    @property
    def exists(self) -> bool:
        """Whether there is a vault, registered or on the way to it."""
        return self.vault_key_path.exists()

    def config(self) -> Config:
        """What `config.toml` says; the defaults without one. Raises Failure(USAGE)."""
        return load_config(self.config_path)


def not_registered(profile: Profile) -> Failure:
    """There is nothing to open yet."""
    return Failure(
        Code.NOT_REGISTERED, f"the profile {profile.name} is not registered: `e2ee register` does it"
    )


def create_keys(profile: Profile, passphrase: Passphrase, entropy: Entropy) -> None:
    """The files that a vault is opened with; the one that makes it a profile comes last. Blocks."""
    refuse_remains(profile)
    _, wrapped = wrap(passphrase.value, entropy)
    if passphrase.source is PassphraseSource.KEY_FILE:
        write_private(profile.key_file, passphrase.value)
    else:
        remove(profile.key_file)
    write_private(profile.vault_key_path, wrapped.encode())


def refuse_remains(profile: Profile) -> None:
    """Raises Failure(FAILED) where there is a vault without its key file.

    What a restoration left behind that was cut off is taken away: nobody ever had the key to it.
    """
    if profile.restoring_path.exists():
        discard(profile)
        remove(profile.restoring_path)
    if profile.vault_path.exists():
        raise Failure(Code.FAILED, f"{profile.vault_path} is there, but the key file that opens it is not")


def discard(profile: Profile) -> None:
    """Take away what `create_keys` and the vault have made; cut off half-way, it is still a blank profile."""
    for suffix in _DATABASE_SUFFIXES:
        remove(profile.vault_path.with_name(profile.vault_path.name + suffix))
    remove(profile.vault_key_path)
    remove(profile.key_file)


def unwrap_key(profile: Profile, passphrase: bytes) -> bytes:
    """The vault's key, 32 bytes. Raises Failure: PASSPHRASE for another passphrase, FAILED for a damaged
    or unreadable key file. Takes 0.1 s."""
    try:
        content = read_private(profile.vault_key_path, KEY_FILE_BYTES)
    except OSError as error:
        raise Failure(Code.FAILED, f"{profile.vault_key_path} cannot be read: {error.strerror}") from error
    return WrappedKey.decode(content).unwrap(passphrase)
