"""Files on their way from one client to another: taken in, kept sealed, handed out, forgotten.

Knows who may do what with a file, and the limits; neither what is in one nor for whom it is. Slow work is
done in threads. See `docs/protocol.md`, section 8.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from twisted.internet.defer import DeferredLock

from e2ee.ids import Address
from e2ee.server.counters import Counters, Limit
from e2ee.server.directory import InThread
from e2ee.server.file_intake import Intake
from e2ee.server.policy import (
    FILE_CHUNKS_WAITING,
    FILES_BUSY_RETRY_SECONDS,
    FILES_WAITING_BYTES,
    HOUR_SECONDS,
    UPLOADS_REMEMBERED,
)
from e2ee.server.refusal import Refusal, unavailable
from e2ee.store.server.ports import FileRefused, Files, Shelf, StoredFile
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode

T = TypeVar("T")

QUOTA_RETRY_SECONDS = HOUR_SECONDS
"""Room comes back when a recipient has fetched a file, or when one expires."""


class FileRoom:
    """One for the server."""

    def __init__(
        self,
        files: Files,
        shelf: Shelf,
        in_thread: InThread,
        now: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.files = files
        self._shelf = shelf
        self._in_thread = in_thread
        self._now = now
        self._counters = counters
        self._intakes: OrderedDict[bytes, Intake] = OrderedDict()
        self._resuming: WeakValueDictionary[bytes, DeferredLock] = WeakValueDictionary()
        self._waiting_bytes = 0

    # --- uploads ------------------------------------------------------------------------------

    async def offer(self, owner: Address, message: m.OfferFile) -> m.FileHeld:
        """Begin an upload or go on with it. Raises Refusal: QUOTA, CONFLICT, UNAVAILABLE."""
        offered = StoredFile(message.file, owner, _hashed(message.capability), message.chunks)
        found = await self.files.offer(offered, self._now())
        if isinstance(found, FileRefused):
            raise _refusal(found)
        if found.complete:
            return m.FileHeld(message.n, found.chunks)
        intake = await self._intake(found)
        await intake.idle()
        await self._completed(intake)
        return m.FileHeld(message.n, intake.held)

    async def put(self, owner: Address, message: m.PutChunk) -> m.FileHeld:
        """Keep a chunk; answered once it is on the disk. Raises Refusal: CONFLICT, BUSY, UNAVAILABLE."""
        intake = self._intakes.get(message.file)
        if intake is None or intake.file.owner != owner:
            raise Refusal(RefusalCode.CONFLICT, "this file was not offered")
        size = len(message.chunk)
        if self._waiting_bytes + size > FILES_WAITING_BYTES:
            sentence = "too many files are being uploaded"
            raise Refusal(RefusalCode.BUSY, sentence, FILES_BUSY_RETRY_SECONDS, Limit.FILES_WAITING)
        self._waiting_bytes += size
        try:
            held = await intake.put(message.index, message.chunk)
        finally:
            self._waiting_bytes -= size
        if held == intake.file.chunks:
            await self._completed(intake)
        return m.FileHeld(message.n, held)

    async def _intake(self, file: StoredFile) -> Intake:
        resuming = self._resuming.setdefault(file.file_id, DeferredLock())
        async with resuming:
            # Two may go on with it at the same time, and the second must not cut off what the first counts.
            intake = self._intakes.get(file.file_id)
            if intake is None or intake.ended:
                held = await self._on_shelf(lambda: self._resume(file))
                intake = self._intakes[file.file_id] = Intake(self._shelf, self._in_thread, file, held)
            self._intakes.move_to_end(file.file_id)
            self._forget_idle()
        return intake

    async def _on_shelf(self, step: Callable[[], T]) -> T:
        """What the disk does, in a thread. Raises Refusal(UNAVAILABLE) where it cannot."""
        try:
            return await self._in_thread(step)
        except OSError:
            raise unavailable() from None

    def _resume(self, file: StoredFile) -> int:
        """How much of an upload counts of which this process knows nothing: its end may be torn. Blocks."""
        held = min(file.chunks, self._shelf.stored(file.file_id))
        held = max(0, held - FILE_CHUNKS_WAITING)
        self._shelf.cut(file.file_id, held)
        return held

    def _forget_idle(self) -> None:
        for file_id in list(self._intakes)[: max(0, len(self._intakes) - UPLOADS_REMEMBERED)]:
            if not self._intakes[file_id].under_way:
                del self._intakes[file_id]

    async def _completed(self, intake: Intake) -> None:
        """Once all of it is on the disk, it may be fetched."""
        file = intake.file
        if intake.held == file.chunks:
            if not await self.files.complete(file.file_id):
                await self._drop(file.file_id)
                raise Refusal(RefusalCode.CONFLICT, "the file has been removed")
            if self._intakes.get(file.file_id) is intake:
                # Who offers it while this goes on comes here as well: it counts once.
                del self._intakes[file.file_id]
                self._counters.files_uploaded += 1

    # --- downloads ----------------------------------------------------------------------------

    async def fetch(self, message: m.FetchChunk) -> m.Chunk:
        """A chunk of a whole file, for whoever shows its capability. Raises Refusal: EXPIRED, UNAVAILABLE."""
        file = await self._shown(message.file, message.capability)
        if file is None or not file.complete:
            raise _expired()
        chunk = await self._on_shelf(lambda: self._shelf.read(file.file_id, message.index))
        if chunk is None:
            raise _expired()
        return m.Chunk(message.n, chunk)

    async def remove(self, message: m.RemoveFile) -> m.Done:
        """It has arrived, or nobody wants it any more. Raises Refusal(UNAVAILABLE)."""
        file = await self._shown(message.file, message.capability)
        if file is not None:
            await self.files.remove(file.file_id)
            await self._drop(file.file_id)
        return m.Done(message.n)

    async def _shown(self, file_id: bytes, capability: bytes) -> StoredFile | None:
        """The file, if this is its capability: no such file and another capability are the same."""
        file = await self.files.find(file_id)
        shown = _hashed(capability)
        if not hmac.compare_digest(shown, bytes(32) if file is None else file.capability_hash):
            return None
        return file

    # --- upkeep -------------------------------------------------------------------------------

    async def _drop(self, file_id: bytes) -> None:
        """Forget the chunks of a file that is forgotten, after the last write to it."""
        intake = self._intakes.pop(file_id, None)
        if intake is not None:
            intake.end()
            await intake.idle()
        await self._on_shelf(lambda: self._shelf.remove(file_id))

    async def expire(self) -> int:
        """Forget files past their time, those whose account is gone, and what lies about; how many.

        Raises StoreError, and Refusal(UNAVAILABLE) where the disk fails: the next turn goes on with it.
        """
        expired = await self.files.expire(self._now())
        self._counters.files_expired += expired
        self._counters.limits[Limit.FILE_DAYS] += expired
        # Files are made known before their chunks come: what nobody knows now was forgotten.
        on_disk = await self._on_shelf(self._shelf.file_ids)
        known = await self.files.known(on_disk)
        for file_id in on_disk:
            if file_id not in known:
                await self._drop(file_id)
        return expired


def _hashed(capability: bytes) -> bytes:
    """What is kept of it: who reads the database can fetch nothing."""
    return hashlib.sha256(capability).digest()


def _expired() -> Refusal:
    return Refusal(RefusalCode.EXPIRED, "there is no such file, or not any more")


def _refusal(refused: FileRefused) -> Refusal:
    if refused is FileRefused.TOO_LARGE:
        sentence = "this file is larger than this server takes"
        return Refusal(RefusalCode.QUOTA, sentence, limit=Limit.FILE_BYTES)
    if refused is FileRefused.QUOTA:
        sentence = "files of this account that wait to be fetched take up all its room"
        return Refusal(RefusalCode.QUOTA, sentence, QUOTA_RETRY_SECONDS, Limit.FILES_BYTES)
    return Refusal(RefusalCode.CONFLICT, "another file has this id")
