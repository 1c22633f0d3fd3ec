"""Tells how far a file has come: often enough for a person, not so often that it costs anything.

Knows a clock and whom to tell.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.client.events import FileFacts, FileProgress, FileState
from e2ee.crypto.file_chunks import chunk_count
from e2ee.crypto.limits import FILE_CHUNK_BYTES
from e2ee.store.client.files import FileRecord
from e2ee.store.client.messages import MessageRecord

PACE_SECONDS = 0.1


class Pace:
    """One transfer's."""

    def __init__(
        self, context: Context, message: MessageRecord, file: FileRecord, state: FileState
    ) -> None:
        self._context = context
        self._message = message
        self._file = file
        self._facts = FileFacts(file.name, file.size, state, file.path)
        self._told_at: float | None = None

    def reached(self, chunks: int) -> None:
        """So many chunks from the first on have gone through."""
        now = self._context.clock.seconds()
        whole = chunks >= chunk_count(self._file.size)
        if self._told_at is not None and now - self._told_at < PACE_SECONDS and not whole:
            return
        self._told_at = now
        done = min(self._file.size, chunks * FILE_CHUNK_BYTES)
        message = self._message
        told = FileProgress(message.message_id, message.address, self._facts, done)
        self._context.listeners.tell([told])
