"""A profile's `config.toml`: what its owner has chosen.

Knows names and defaults of the settings, not what they change.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from e2ee.errors import Code, Failure


def default_data_dir() -> Path:
    """Where profiles are kept if nobody says otherwise: the platform's data directory for this user."""
    # Imported here: it is not needed where the place is given.
    from platformdirs import user_data_path

    return user_data_path("e2ee", appauthor=False)


class ChangedKey(StrEnum):
    """What happens to a message for an unverified contact whose account key has changed."""

    STOP = "stop"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one profile; the defaults are those of a profile without the file."""

    hidden: bool = False
    receipts: bool = True
    typing: bool = True
    changed_key: ChangedKey = ChangedKey.STOP
    downloads: Path | None = None


def load_config(path: Path) -> Config:
    """The settings in this file; the defaults where there is none.

    Raises Failure(USAGE) for a file that is not TOML, an unknown name or a value of the wrong kind.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.USAGE, f"{path} cannot be read") from error
    try:
        return parse_config(text)
    except Failure as failure:
        raise Failure(failure.code, f"{path}: {failure.sentence}") from failure


def parse_config(text: str) -> Config:
    """The settings in this TOML text. Raises Failure(USAGE)."""
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure(Code.USAGE, f"not TOML: {error}") from error
    checked = {name: _checked(name, value) for name, value in settings.items()}
    return Config(**checked)


def _checked(name: str, value: object) -> Any:
    if name in ("hidden", "receipts", "typing"):
        if isinstance(value, bool):
            return value
        raise Failure(Code.USAGE, f"{name} is true or false")
    if name == "changed_key":
        if isinstance(value, str) and value in tuple(ChangedKey):
            return ChangedKey(value)
        raise Failure(Code.USAGE, 'changed_key is "stop" or "warn"')
    if name == "downloads":
        if isinstance(value, str) and Path(value).expanduser().is_absolute():
            return Path(value).expanduser()
        raise Failure(Code.USAGE, "downloads is a folder, written with its whole path")
    raise Failure(Code.USAGE, f"there is no setting named {name!r}")
