"""A code sender of one's own: each passcode becomes a file in a directory, for another program to take.

``--otp spool:/var/spool/codes``: the file is named by the number and holds the code. It appears whole,
and only the server's user can read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2ee.ids import Address
from e2ee.server.senders.interface import CodeNotSent, InThread, SenderRefused, SenderSurroundings


class SpoolSender:
    """See `e2ee.server.senders.interface.CodeSender`."""

    # A file is written in a moment, so whoever asks for a code is answered when it is there.
    at_once = True

    def __init__(self, directory: Path, in_thread: InThread) -> None:
        self._directory = directory
        self._in_thread = in_thread

    def start(self) -> None:
        """Nothing to prepare."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Write the file, away from the reactor's thread, which must not wait for a disk."""
        await self._in_thread(lambda: self._write(address, code))

    async def stop(self) -> None:
        """Nothing is held."""

    def _write(self, address: Address, code: str) -> None:
        temporary = self._directory / f".{address}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(code + "\n")
            temporary.replace(self._directory / address)
        except OSError as error:
            # For the operator's log: neither the code nor the number.
            raise CodeNotSent(f"the spool directory cannot be written: {error.strerror}") from None


def make_sender(option: str, around: SenderSurroundings) -> SpoolSender:
    """Called with the whole text of ``--otp``, before the server starts."""
    path = option.partition(":")[2]
    if not path or not os.path.isdir(path):
        raise SenderRefused("the passcode sender spool is written spool:DIRECTORY")
    # Absolute, since a daemon changes its working directory.
    return SpoolSender(Path(path).absolute(), around.in_thread)
