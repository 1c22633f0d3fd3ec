"""The chunks of one upload on their way to the disk: in order, together, each answered once it is there.

Knows one file and how many of its chunks are where; not who may send them (`file_room`).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.errors import StoreError
from e2ee.server.directory import InThread
from e2ee.server.policy import FILE_CHUNKS_WAITING, FILES_BUSY_RETRY_SECONDS
from e2ee.server.refusal import Refusal, unavailable
from e2ee.store.server.ports import Shelf, StoredFile
from e2ee.wire.messages import RefusalCode


class Intake:
    """One upload under way; `held` chunks of it are on the disk."""

    def __init__(self, shelf: Shelf, in_thread: InThread, file: StoredFile, held: int) -> None:
        self.file = file
        self.held = held
        self._shelf = shelf
        self._in_thread = in_thread
        self._waiting: list[tuple[bytes, Deferred[None]]] = []
        self._writing = 0
        self._ended = False
        self._idle: list[Deferred[None]] = []

    @property
    def under_way(self) -> int:
        """Chunks that are in memory."""
        return len(self._waiting) + self._writing

    @property
    def ended(self) -> bool:
        """Whether nothing more is taken."""
        return self._ended

    async def put(self, index: int, chunk: bytes) -> int:
        """Write a chunk; how many there are on the disk then. Raises Refusal."""
        if self._ended or index != self.held + self.under_way or index >= self.file.chunks:
            raise Refusal(RefusalCode.CONFLICT, "this is not the next chunk of the file")
        if self.under_way >= FILE_CHUNKS_WAITING:
            raise Refusal(RefusalCode.BUSY, "too many chunks of this file wait", FILES_BUSY_RETRY_SECONDS)
        written: Deferred[None] = Deferred()
        self._waiting.append((chunk, written))
        if not self._writing:
            Deferred.fromCoroutine(self._write_all())
        await written
        return index + 1

    async def idle(self) -> None:
        """Wait until nothing is being written."""
        if self.under_way:
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter

    def end(self) -> None:
        """Take nothing more."""
        self._ended = True

    async def _write_all(self) -> None:
        """Batch after batch: what has come while one was written is the next."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._writing = len(batch)
            error = await self._write([chunk for chunk, _ in batch])
            self._writing = 0
            if error is None:
                self.held += len(batch)
            else:
                # Nothing behind a hole is taken.
                batch += self._waiting
                self._waiting = []
            for _, written in batch:
                if error is None:
                    written.callback(None)
                else:
                    written.errback(error)
        idle, self._idle = self._idle, []
        for waiter in idle:
            waiter.callback(None)

    async def _write(self, chunks: list[bytes]) -> Refusal | None:
        held = self.held
        try:
            await self._in_thread(lambda: self._shelf.append(self.file.file_id, held, chunks))
        except StoreError:
            return unavailable()
        except OSError:
            # Nobody knows now what is on the disk: who goes on with it looks again.
            self.end()
            return unavailable()
        return None
