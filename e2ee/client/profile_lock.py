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
from e2ee.client.private_files import open_private
from e2ee.errors import Code, Failure

POLL_SECONDS = 0.05
"""flock cannot be waited for without a thread; a person does not notice this delay."""
_PID_BYTES = 20


class ProfileLock:
    """A held lock. `release` gives it back; the file stays, so that two never lock different files."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let the next process in. Doing so twice is harmless."""
        if self._descriptor is not None:
            # Nobody holds it: a profile that was only looked at is as it was before.
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


async def take_lock(path: Path, clock: IReactorTime, timeout: float | None) -> ProfileLock:
    """Hold the lock at `path`, waiting up to `timeout` seconds (None: for ever) for who has it.

    Raises Failure(PROFILE_BUSY) with the holder's process number when the time is up.
    """
    deadline = Deadline(clock, timeout)
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        while not _try(descriptor):
            if deadline.passed:
                raise Failure(Code.PROFILE_BUSY, _who_has_it(descriptor))
            await deferLater(clock, POLL_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return ProfileLock(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who_has_it(descriptor: int) -> str:
    # The holder writes its number after it has locked, so it can be missing for a moment.
    written = os.pread(descriptor, _PID_BYTES, 0).strip()
    if written.isdigit():
        return f"the profile is in use by process {int(written)}"
    return "the profile is in use by another process"
