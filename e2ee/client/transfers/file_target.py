"""A file that is being received: gathered in a partial one beside its place, then given its name. Blocks.

Knows directories, descriptors and that nothing that exists is ever touched; not where the chunks come
from. All names are looked up in the opened directory, and no symbolic link is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from e2ee.client.transfers.file_names import candidates
from e2ee.crypto.file_chunks import chunk_count
from e2ee.crypto.limits import FILE_CHUNK_BYTES
from e2ee.errors import E2eeError

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_FSYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class TargetRefused(E2eeError):
    """The file will never have a name there; the text says why."""


class DigestRefused(E2eeError):
    """What has come together is not the file that was announced."""


def _is_own(found: os.stat_result) -> bool:
    """Whether that is a regular file of this user."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


class FileTarget:
    """The partial file of one message; chunks are added in order. Raises TargetRefused and OSError.

    `is_new`: there was none, or it had another name as well.
    """

    def __init__(self, directory: Path, file_id: bytes, size: int, *, make: bool) -> None:
        """`make`: the directory is made, for its owner alone, where it is missing."""
        self._directory = directory
        self._size = size
        self._partial = f"{file_id.hex()}.part"
        self._hash = hashlib.sha256()
        if make:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._descriptor = self._open_partial()
        except BaseException:
            os.close(self._folder)
            raise

    def _open_partial(self) -> int:
        self.is_new = not self._is_there(self._partial)
        descriptor = self._open_own(0)
        if os.fstat(descriptor).st_nlink == 1:
            return descriptor
        os.close(descriptor)
        self.is_new = True
        # Another name of it belongs to somebody, or to the file that a killed process has just named:
        # what goes by it must not change any more. Only the partial name is given up.
        os.unlink(self._partial, dir_fd=self._folder)
        return self._open_own(os.O_EXCL)

    def _open_own(self, more: int) -> int:
        """The own regular file of the partial name, with these flags, too; FileExistsError for another."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | more
        descriptor = os.open(self._partial, flags, 0o600, dir_fd=self._folder)
        if not _is_own(os.fstat(descriptor)):
            os.close(descriptor)
            raise FileExistsError(errno.EEXIST, f"{self._partial} is in the way")
        return descriptor

    def resume(self) -> int:
        """How many chunks are there already; what is behind them is cut off."""
        whole = min(os.fstat(self._descriptor).st_size // FILE_CHUNK_BYTES, chunk_count(self._size) - 1)
        for index in range(whole):
            self._hash.update(os.pread(self._descriptor, FILE_CHUNK_BYTES, index * FILE_CHUNK_BYTES))
        os.truncate(self._descriptor, whole * FILE_CHUNK_BYTES)
        return whole

    def named(self, name: str, digest: bytes) -> Path | None:
        """Where the file is if a process that was killed right then has given it its name; nothing partial is
        left then.

        Of the names like `name` it has the last before the first free one, and the announced digest.
        """
        last = None
        for taken in candidates(name):
            if not self._is_there(taken):
                break
            last = taken
        if last is None or not self._has(last, digest):
            return None
        self.discard()
        self._sync_names()
        return self._directory / last

    def _is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _has(self, name: str, digest: bytes) -> bool:
        """Whether that is an own regular file with the announced content."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._folder)
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            if not _is_own(found) or found.st_size != self._size:
                return False
            with open(descriptor, "rb", closefd=False) as file:
                return hashlib.file_digest(file, "sha256").digest() == digest
        finally:
            os.close(descriptor)

    def begin_again(self) -> None:
        """Forget what is there."""
        os.truncate(self._descriptor, 0)
        self._hash = hashlib.sha256()

    def add(self, index: int, chunk: bytes) -> None:
        """Write the next chunk."""
        rest, place = memoryview(chunk), index * FILE_CHUNK_BYTES
        while rest:
            written = os.pwrite(self._descriptor, rest, place)
            rest, place = rest[written:], place + written
        self._hash.update(chunk)

    def finish(self, name: str, digest: bytes) -> Path:
        """Give the file the first free name like `name`; where it is. After an error it has none. Raises
        DigestRefused."""
        if self._hash.digest() != digest:
            raise DigestRefused("the file is not what was announced")
        os.fsync(self._descriptor)
        for free in candidates(name):
            if self._take(free):
                self._keep_name(free)
                return self._directory / free
        raise TargetRefused(f"{self._directory} has too many files named like {name}")

    def _take(self, name: str) -> bool:
        """Name the file so, unless there is something of this name."""
        try:
            os.link(
                self._partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False
            )
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._take_without_link(name)
        try:
            self.discard()
        except OSError:
            os.unlink(name, dir_fd=self._folder)
            raise
        return True

    def _take_without_link(self, name: str) -> bool:
        """The same where there are no links: the name is taken by an empty file, which is then replaced."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=self._folder))
        except FileExistsError:
            return False
        try:
            os.rename(self._partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            os.unlink(name, dir_fd=self._folder)
            raise
        return True

    def _keep_name(self, name: str) -> None:
        try:
            self._sync_names()
        except OSError:
            # It will be tried again, and must not be there twice then.
            os.rename(name, self._partial, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            raise

    def _sync_names(self) -> None:
        """Have the names outlive a power cut, where directories can be made to."""
        try:
            os.fsync(self._folder)
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise

    def discard(self) -> None:
        """Nobody wants it any more under its partial name, which may have gone already."""
        try:
            os.unlink(self._partial, dir_fd=self._folder)
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Write no more; what is there stays for the next time."""
        os.close(self._descriptor)
        os.close(self._folder)
