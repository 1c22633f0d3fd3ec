"""Room on the disk that is set aside for the day when there is none left.

Without it a disk that somebody else has filled to the last byte would keep out those who come to
fetch, and whose mail would make room. Knows a file and its size; not databases.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

STEADY_SECONDS = 10.0
"""So long nothing was refused for want of room before it is said that there is room again. On a disk that is
all but full, small writes go well among those that fail: longer than senders wait before they try again."""


class Reserve:
    """`size` bytes in the file at `path`. Used by one thread; `seconds` is a clock for any thread."""

    _log = Logger()

    def __init__(self, path: Path, size: int, seconds: Callable[[], float]) -> None:
        self._path = path
        self._size = size
        self._seconds = seconds
        self._kept = False
        self._without = False
        self._told = False
        self._full = False
        self._refused_at = 0.0

    def keep(self) -> bool:
        """Set the room aside, unless that is done already; False if there is not so much left.

        Where it fails for another reason the database does without: True, and a line in the log, once.
        """
        if not self._kept and not self._without:
            try:
                self._take()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self.release()
                    return False
                self._without = True
                self._tell(error)
                self._remove()
        return True

    def release(self) -> None:
        """Give the room back: the disk is full."""
        self._kept = self._without = False
        self._remove()
        self._refused_at = self._seconds()
        if not self._full:
            self._full = True
            self._log.warn("the disk is full: nothing new is stored until there is room")

    def lend(self) -> bool:
        """Give the room back because something could not be opened. Whether there was any."""
        there = self._path.exists()
        self._kept = False
        self._remove()
        return there

    def written(self) -> None:
        """What is new has been stored, and nothing of the reserve was needed for it."""
        if self._full and self._seconds() - self._refused_at >= STEADY_SECONDS:
            self._full = False
            self._log.info("there is room on the disk again")

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._allocate(descriptor)
        finally:
            os.close(descriptor)
        self._kept, self._told = True, False

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._log.warn(
                "no room can be set aside for a full disk in {path}: {reason}",
                path=str(self._path), reason=error.strerror,
            )  # fmt: skip

    def _allocate(self, descriptor: int) -> None:
        """Real blocks, not a hole in a file."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, self._size)
            return
        missing = self._size - os.fstat(descriptor).st_size
        os.lseek(descriptor, 0, os.SEEK_END)
        while missing > 0:
            missing -= os.write(descriptor, bytes(min(missing, 2**16)))
