"""A file of this machine that is being sent: read in chunks, watched for changes. Blocks.

Knows descriptors and stamps; not where the chunks go.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from e2ee.crypto.file_chunks import chunk_size
from e2ee.crypto.limits import FILE_CHUNK_BYTES
from e2ee.errors import Code, E2eeError, Failure


class SourceChanged(E2eeError):
    """The file is not what it was when it was queued."""


def look_at(path: Path) -> tuple[int, str]:
    """Size in bytes and stamp of a file that is to be sent. Raises Failure(USAGE)."""
    try:
        descriptor = _open(path)
    except OSError as error:
        raise Failure(Code.USAGE, f"{path} cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Failure(Code.USAGE, f"{path} is not a regular file")
        return found.st_size, _stamp(found)
    finally:
        os.close(descriptor)


class FileSource:
    """Gives the chunks of a file from one on to its end, and then its digest.

    Raises SourceChanged and OSError.
    """

    def __init__(self, path: Path, size: int, stamp: str) -> None:
        self._size = size
        self._stamp = stamp
        self._hash = hashlib.sha256()
        self._descriptor = _open(path)
        self._check()

    def skip(self, chunks: int) -> None:
        """Pass over the first chunks, which count for the digest all the same."""
        for index in range(chunks):
            self.read(index)

    def read(self, index: int) -> bytes:
        """The next chunk."""
        wanted = chunk_size(self._size, index)
        chunk = os.pread(self._descriptor, wanted, index * FILE_CHUNK_BYTES)
        if len(chunk) != wanted:
            raise SourceChanged("the file has become shorter")
        self._hash.update(chunk)
        return chunk

    def digest(self) -> bytes:
        """SHA-256 of all that was read, if nothing has changed meanwhile."""
        self._check()
        return self._hash.digest()

    def close(self) -> None:
        """Read no more."""
        os.close(self._descriptor)

    def _check(self) -> None:
        if _stamp(os.fstat(self._descriptor)) != self._stamp:
            raise SourceChanged("the file has changed")


def _open(path: Path) -> int:
    # A pipe would block until somebody writes to it.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _stamp(found: os.stat_result) -> str:
    """What changes when the content does, as good as the file system tells."""
    # Not the device: its number may be another one after the machine has been started again.
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
