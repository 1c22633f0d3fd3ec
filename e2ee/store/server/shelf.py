"""The chunks of files, each file one of a directory, in chunks of one size behind each other.

Knows names, offsets and when bytes are on the disk; nothing of owners, and it cannot read what it
keeps. Everything here blocks.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

from e2ee.errors import StoreUnavailable
from e2ee.store.directories import sync_directory
from e2ee.store.server.ports import CHUNK_BYTES

_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DirectoryShelf:
    """`ports.Shelf` in a directory of its own, mode 0700, made when it is needed.

    `headroom_bytes` of its disk are left to others.
    """

    def __init__(self, path: Path, headroom_bytes: int = 0) -> None:
        self._path = path
        self._headroom = headroom_bytes

    def stored(self, file_id: bytes) -> int:
        """See `ports.Shelf.stored`."""
        try:
            return os.stat(self._place(file_id)).st_size // CHUNK_BYTES
        except FileNotFoundError:
            return 0

    def cut(self, file_id: bytes, chunks: int) -> None:
        """See `ports.Shelf.cut`."""
        if self._place(file_id).exists():
            os.truncate(self._place(file_id), chunks * CHUNK_BYTES)

    def append(self, file_id: bytes, after: int, chunks: Sequence[bytes]) -> None:
        """See `ports.Shelf.append`."""
        try:
            self._append(file_id, after, chunks)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreUnavailable("there is no room for files on the disk") from None
            raise

    def _append(self, file_id: bytes, after: int, chunks: Sequence[bytes]) -> None:
        if not after:
            self._make()
        self._leave_room(len(chunks) * CHUNK_BYTES)
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        if not after:
            flags |= os.O_CREAT
        descriptor = os.open(self._place(file_id), flags, 0o600)
        try:
            _write_behind(descriptor, after * CHUNK_BYTES, chunks)
        finally:
            os.close(descriptor)
        if not after:
            sync_directory(self._path)

    def read(self, file_id: bytes, index: int) -> bytes | None:
        """See `ports.Shelf.read`."""
        try:
            descriptor = os.open(self._place(file_id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            chunk = os.pread(descriptor, CHUNK_BYTES, index * CHUNK_BYTES)
        finally:
            os.close(descriptor)
        return chunk if len(chunk) == CHUNK_BYTES else None

    def remove(self, file_id: bytes) -> None:
        """See `ports.Shelf.remove`."""
        self._place(file_id).unlink(missing_ok=True)

    def file_ids(self) -> list[bytes]:
        """See `ports.Shelf.file_ids`."""
        try:
            names = os.listdir(self._path)
        except FileNotFoundError:
            return []
        return [bytes.fromhex(name) for name in names if _NAME.fullmatch(name)]

    def _place(self, file_id: bytes) -> Path:
        return self._path / file_id.hex()

    def _make(self) -> None:
        if not self._path.is_dir():
            self._path.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self._path.parent)

    def _leave_room(self, size: int) -> None:
        if self._headroom:
            room = os.statvfs(self._path)
            if room.f_bavail * room.f_frsize < size + self._headroom:
                raise StoreUnavailable("what is left of the disk is not for files")


def _write_behind(descriptor: int, offset: int, chunks: Sequence[bytes]) -> None:
    """Write all of them and what is before them to the disk, or leave nothing of them."""
    if os.fstat(descriptor).st_size < offset:
        # Zeros in between would be handed out as chunks.
        raise OSError(errno.EIO, "there is less of the file than was counted")
    try:
        os.truncate(descriptor, offset)
        place = offset
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                written = os.pwrite(descriptor, rest, place)
                place += written
                rest = rest[written:]
        os.fsync(descriptor)
    except OSError:
        os.truncate(descriptor, offset)
        raise
