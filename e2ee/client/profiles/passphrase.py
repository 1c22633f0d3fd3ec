"""Where a profile's passphrase comes from: a file, the profile's key file, the keyring, a terminal.

Knows the order and what counts as given; not what the passphrase opens. Reading blocks: it is done in
a thread. The order is that of `docs/command-line.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from e2ee.client.profiles.private_files import read_secret
from e2ee.errors import Code, Failure

PASSPHRASE_BYTES = 4096
"""Longer than anybody types; what a mistaken file may cost to read."""
KEYRING_SERVICE = "e2ee"
_RANDOM_BYTES = 32


class PassphraseSource(StrEnum):
    """Which of the sources the passphrase came from; `status` says so."""

    FILE = "file"
    KEY_FILE = "key_file"
    KEYRING = "keyring"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase and its source. For a new profile, `KEY_FILE` means: to be written there."""

    value: bytes = field(repr=False)
    source: PassphraseSource


def keyring_passphrase(profile: str) -> str | None:
    """What the operating system's keyring has for this profile; None without the optional package.

    Entries have the service `e2ee` and the profile's directory as user name.
    """
    try:
        import keyring
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password(KEYRING_SERVICE, profile)
    except Exception:
        # Back ends raise what they like; a keyring that cannot answer counts as one without an entry.
        return None
    return found


@dataclass(frozen=True)
class Passphrases:
    """The sources that this command has. All methods block: call them in a thread.

    `file` is the one given for it (`--passphrase-file`), `terminal` asks a person and gets True if
    the passphrase is new and must be typed twice; None: there is no terminal. `keyring` gives what is
    stored for a profile's directory, or None.
    """

    file: Path | None = None
    terminal: Callable[[bool], str] | None = None
    keyring: Callable[[str], str | None] = keyring_passphrase

    def existing(self, directory: Path, key_file: Path) -> Passphrase:
        """For a profile that has one. Raises Failure(PASSPHRASE) where there is no source."""
        given = self._from_file()
        if given:
            return Passphrase(given, PassphraseSource.FILE)
        if key_file.exists():
            return Passphrase(read_secret(key_file, PASSPHRASE_BYTES), PassphraseSource.KEY_FILE)
        found = self._from_keyring_or_terminal(directory, new=False)
        if found is None:
            raise Failure(
                Code.PASSPHRASE, "this profile needs its passphrase: give it with --passphrase-file"
            )
        return found

    def given(self) -> Passphrase | None:
        """The one of `file` alone; None where none was named, or an empty one."""
        given = self._from_file()
        return Passphrase(given, PassphraseSource.FILE) if given else None

    def new(self, directory: Path, no_passphrase: bool, entropy: Callable[[int], bytes]) -> Passphrase:
        """For a profile that is being made. Raises Failure(USAGE) where there is no source.

        An empty file means the same as `no_passphrase`: a random one in the profile's key file.
        """
        given = None if no_passphrase else self._from_file()
        if no_passphrase or given == b"":
            return Passphrase(entropy(_RANDOM_BYTES).hex().encode(), PassphraseSource.KEY_FILE)
        if given is not None:
            return Passphrase(given, PassphraseSource.FILE)
        found = self._from_keyring_or_terminal(directory, new=True)
        if found is None:
            raise Failure(
                Code.USAGE,
                "a new profile needs a passphrase: --passphrase-file FILE, or --no-passphrase to do without",
            )
        return found

    def _from_file(self) -> bytes | None:
        """None where no file was named; what it holds, less one final newline."""
        if self.file is None:
            return None
        return read_secret(self.file, PASSPHRASE_BYTES).removesuffix(b"\n")

    def _from_keyring_or_terminal(self, directory: Path, *, new: bool) -> Passphrase | None:
        stored = self.keyring(str(directory))
        if stored:
            return Passphrase(stored.encode(), PassphraseSource.KEYRING)
        if self.terminal is None:
            return None
        typed = self.terminal(new).encode()
        if not typed:
            hint = "; --no-passphrase does without one" if new else ""
            raise Failure(Code.PASSPHRASE, f"no passphrase was given{hint}")
        return Passphrase(typed, PassphraseSource.TERMINAL)
