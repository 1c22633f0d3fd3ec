"""Appends each passcode to a file of JSON lines that only the server's user can read.

Knows the file's form ``{"address","code","expires_at"}`` and its mode; not who reads it. The file
may be moved away or emptied at any time: each code opens it anew.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from e2ee.ids import Address
from e2ee.server.senders.interface import CodeNotSent, InThread, SenderRefused, SenderSurroundings
from e2ee.server.state_directory import ONLY_OURS
from e2ee.server.times import rfc3339

_OPEN = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# O_NONBLOCK: a named pipe without a reader must be refused, not waited for.


class FileSender:
    """One JSON line for each code, in a file of mode 0600."""

    at_once = True

    def __init__(self, path: Path, in_thread: InThread) -> None:
        """Raises SenderRefused if the file cannot be written or others could read it.

        The path is made absolute here, since a daemon changes its working directory.
        """
        self._path = Path(os.path.abspath(path))
        self._in_thread = in_thread
        os.close(_open_private(self._path))

    def start(self) -> None:
        """Nothing to prepare: the file was made when this sender was."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Append the line; other programs can read it when this returns."""
        line = json.dumps({"address": address, "code": code, "expires_at": rfc3339(expires_at / 1000)})
        await self._in_thread(lambda: self._append(line.encode("ascii") + b"\n"))

    async def stop(self) -> None:
        """Nothing is held."""

    def _append(self, line: bytes) -> None:
        try:
            descriptor = _open_private(self._path)
        except SenderRefused as refused:
            raise CodeNotSent(str(refused)) from None
        try:
            # One write in append mode: lines of several threads never mix.
            written = os.write(descriptor, line)
        except OSError as error:
            raise CodeNotSent(f"the code file cannot be written: {error.strerror}") from None
        finally:
            os.close(descriptor)
        if written != len(line):
            raise CodeNotSent("the code file took only a part of a line: is the disk full?")


def _open_private(path: Path) -> int:
    """A descriptor of the file, made with mode 0600 if it was not there; raises SenderRefused."""
    try:
        try:
            descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            descriptor = os.open(path, _OPEN)
        else:
            os.fchmod(descriptor, 0o600)  # a umask may have taken even the owner's rights
    except OSError as error:
        raise SenderRefused(f"the code file {path} cannot be opened: {error.strerror}") from None
    reason = _unsafe(os.fstat(descriptor), path)
    if reason:
        os.close(descriptor)
        raise SenderRefused(reason)
    return descriptor


def _unsafe(facts: os.stat_result, path: Path) -> str:
    """Why codes must not be written to this file, or nothing."""
    if not stat.S_ISREG(facts.st_mode):
        return f"the code file {path} is not a regular file"
    if facts.st_uid != os.geteuid():
        return f"the code file {path} belongs to somebody else"
    if facts.st_mode & ONLY_OURS:
        return f"others can read or write the code file {path}: chmod 600 {path}"
    return ""


def make_sender(option: str, around: SenderSurroundings) -> FileSender:
    """For ``file:PATH``."""
    path = option.partition(":")[2]
    if not path:
        raise SenderRefused("the passcode sender file is written file:PATH")
    return FileSender(Path(path), around.in_thread)
