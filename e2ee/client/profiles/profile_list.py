"""The profiles of a data directory, as far as they can be seen without a passphrase.

Knows names, files and locks; nothing of what a vault holds. Blocks: call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2ee.client.profiles.profile_directory import Profile
from e2ee.client.profiles.profile_lock import holder_number
from e2ee.errors import Code, Failure


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """One profile. `key_kept`: it opens without a passphrase; `holder`: the process that has it open."""

    name: str
    directory: Path
    key_kept: bool
    holder: int | None


def profiles_in(data_dir: Path) -> list[ProfileSummary]:
    """The profiles below `data_dir`, by name; none where there is no such directory.

    Raises Failure(FAILED) where it cannot be read.
    """
    try:
        names = sorted(entry.name for entry in data_dir.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Failure(Code.FAILED, f"{data_dir} cannot be read: {error.strerror}") from error
    found = (_profile(data_dir, name) for name in names)
    return [_summary(profile) for profile in found if profile is not None and profile.exists]


def _profile(data_dir: Path, name: str) -> Profile | None:
    try:
        return Profile(data_dir, name)
    except Failure:
        return None


def _summary(profile: Profile) -> ProfileSummary:
    holder = holder_number(profile.lock_path)
    return ProfileSummary(profile.name, profile.directory, profile.key_file.exists(), holder)
