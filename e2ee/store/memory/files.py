"""Files and their chunks, in memory; see `e2ee.store.server.files` and `e2ee.store.server.shelf`."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.files import refusal, same_file
from e2ee.store.server.ports import FileLimits, FileRefused, StoredFile


class MemoryFiles:
    """`ports.Files` in memory."""

    def __init__(self, store: MemoryStore, limits: FileLimits) -> None:
        self._store = store
        self._limits = limits

    def apply(self, limits: FileLimits) -> None:
        """See `ports.Files.apply`."""
        self._limits = limits

    async def offer(self, offered: StoredFile, now: float) -> StoredFile | FileRefused:
        """See `ports.Files.offer`."""
        files = self._store.files
        if offered.file_id in files:
            return same_file(files[offered.file_id][0], offered)
        of_owner = sum(file.chunks for file, _ in files.values() if file.owner == offered.owner)
        refused = refusal(self._limits, of_owner, offered.chunks)
        if refused is not None:
            return refused
        files[offered.file_id] = offered, now
        return offered

    async def find(self, file_id: bytes) -> StoredFile | None:
        """See `ports.Files.find`."""
        found = self._store.files.get(file_id)
        return None if found is None else found[0]

    async def complete(self, file_id: bytes) -> bool:
        """See `ports.Files.complete`."""
        found = self._store.files.get(file_id)
        if found is None:
            return False
        self._store.files[file_id] = replace(found[0], complete=True), found[1]
        return True

    async def remove(self, file_id: bytes) -> bool:
        """See `ports.Files.remove`."""
        return self._store.files.pop(file_id, None) is not None

    async def expire(self, now: float) -> int:
        """See `ports.Files.expire`."""
        store, seconds = self._store, self._limits.seconds
        gone = [
            file_id
            for file_id, (file, at) in store.files.items()
            if file.owner not in store.devices or (seconds and at <= now - seconds)
        ]
        for file_id in gone:
            del store.files[file_id]
        return len(gone)

    async def known(self, file_ids: Sequence[bytes]) -> set[bytes]:
        """See `ports.Files.known`."""
        return {file_id for file_id in file_ids if file_id in self._store.files}


class MemoryShelf:
    """`ports.Shelf` in memory."""

    def __init__(self) -> None:
        self._chunks: dict[bytes, list[bytes]] = {}

    def stored(self, file_id: bytes) -> int:
        """See `ports.Shelf.stored`."""
        return len(self._chunks.get(file_id, ()))

    def cut(self, file_id: bytes, chunks: int) -> None:
        """See `ports.Shelf.cut`."""
        del self._chunks.get(file_id, [])[chunks:]

    def append(self, file_id: bytes, after: int, chunks: Sequence[bytes]) -> None:
        """See `ports.Shelf.append`."""
        if self.stored(file_id) < after:
            raise OSError(errno.EIO, "there is less of the file than was counted")
        kept = self._chunks.setdefault(file_id, [])
        kept[after:] = chunks

    def read(self, file_id: bytes, index: int) -> bytes | None:
        """See `ports.Shelf.read`."""
        kept = self._chunks.get(file_id, ())
        return kept[index] if index < len(kept) else None

    def remove(self, file_id: bytes) -> None:
        """See `ports.Shelf.remove`."""
        self._chunks.pop(file_id, None)

    def file_ids(self) -> list[bytes]:
        """See `ports.Shelf.file_ids`."""
        return sorted(self._chunks)
