"""Where the registration PIN comes from that an account may have: a file, or a person.

Knows how a file is read and what a PIN may be; not what is done with it. A prompt is the user
interface's own source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from e2ee.client.profiles.private_files import read_secret
from e2ee.crypto.limits import PIN_CHARACTERS_MAX
from e2ee.crypto.registration_pin import normal_pin
from e2ee.errors import Code, Failure

_FILE_BYTES = 16 * PIN_CHARACTERS_MAX
"""The longest PIN in any way to write it, and its newline; what a mistaken file may cost to read."""


class PinSource(Protocol):
    """Gives the PIN of the account that a registration may replace."""

    async def pin(self) -> str:
        """The PIN, or an empty text if there is none to give. Asked once. Raises Failure."""


@dataclass(frozen=True, slots=True)
class GivenPin:
    """A PIN that is known already."""

    value: str = field(repr=False)

    async def pin(self) -> str:
        """See `PinSource.pin`."""
        return self.value


def checked_pin(text: str) -> str:
    """The PIN that was meant by this text, in its one form. Raises Failure(USAGE) if it cannot be one."""
    try:
        return normal_pin(text)
    except ValueError as error:
        raise Failure(Code.USAGE, str(error)) from None


def pin_in_file(path: Path) -> str:
    """The content of a file or pipe, less one final newline, as a PIN; empty if there is none in it.

    Blocks: call it in a thread. Raises Failure(USAGE), also for a regular file that others can read.
    """
    content = read_secret(path, _FILE_BYTES, Code.USAGE)
    try:
        text = content.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise Failure(Code.USAGE, f"{path} is not UTF-8") from None
    return checked_pin(text) if text else ""
