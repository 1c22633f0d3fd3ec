"""One process at a time holds a profile: `flock` on its `lock` file decides.

Knows a path and a clock, not what the lock protects. The lock goes with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from e2ee.client.deadline import Deadline
from e2ee.client.profiles.private_files import open_private, read_private
from e2ee.errors import Code, Failure

POLL_SECONDS = 0.05
"""flock cannot be waited for without a thread; a person does not notice this delay."""
_BYTES = 4096
"""More than a number and the path of a socket."""


class ProfileLock:
    """A held lock. `release` gives it back; the file stays, so that two never lock different files.

    What it holds is the number of the holder's process and, in a second line, the path of the socket
    at which that serves others: their environment may lead them elsewhere than his has led him.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def tell_place(self, path: Path) -> None:
        """Others find the holder's socket at `path` from now on."""
        if self._descriptor is not None:
            _write(self._descriptor, b"%d\n%s\n" % (os.getpid(), os.fsencode(path)))

    def release(self) -> None:
        """Let the next process in. Doing so twice is harmless."""
        if self._descriptor is not None:
            # Nobody holds it: a profile that was only looked at is as it was before.
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def try_lock(path: Path) -> ProfileLock | None:
    """Hold the lock at `path`, if nobody else does. Raises OSError."""
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(descriptor, b"%d\n" % os.getpid())
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return ProfileLock(descriptor)


async def take_lock(path: Path, clock: IReactorTime, timeout: float | None) -> ProfileLock:
    """Hold the lock at `path`, waiting up to `timeout` seconds (None: for ever) for who has it.

    Raises Failure(PROFILE_BUSY) with the holder's process number when the time is up.
    """
    deadline = Deadline(clock, timeout)
    while (lock := try_lock(path)) is None:
        if deadline.passed:
            raise Failure(Code.PROFILE_BUSY, f"the profile is in use by {holder_of(path)}")
        await deferLater(clock, POLL_SECONDS)
    return lock


def holder_of(path: Path) -> str:
    """Who holds the lock at `path`, for a person."""
    # The holder writes its number after it has locked, so it can be missing for a moment.
    number = _lines(path)[0].strip()
    return f"process {int(number)}" if number.isdigit() else "another process"


def holder_number(path: Path) -> int | None:
    """The process that holds the lock at `path` now; None if nobody does, or it cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        number = _lines(path)[0].strip()
        return int(number) if number.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def place_of_holder(path: Path) -> Path | None:
    """Where the holder of the lock at `path` serves others; it may be one that has gone."""
    place = _lines(path)[1]
    return Path(os.fsdecode(place)) if place else None


def _lines(path: Path) -> tuple[bytes, bytes]:
    try:
        number, place, *_ = (*read_private(path, _BYTES).split(b"\n"), b"", b"")
    except OSError:
        return b"", b""
    return number, place


def _write(descriptor: int, content: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
