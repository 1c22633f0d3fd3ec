"""One own file on its way to the server, from where the server has it on to its end.

Knows the link and the order of chunks; bytes are read in `file_source`, sealed in `crypto.file_chunks`.
Nothing here touches the vault. See `docs/protocol.md`, section 8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2ee.client.context import Context
from e2ee.client.threads import InThread
from e2ee.client.transfers.file_source import FileSource
from e2ee.client.transfers.file_window import ChunkWindow
from e2ee.crypto.file_chunks import chunk_count, derive_file_keys
from e2ee.errors import E2eeError
from e2ee.store.client.files import FileRecord
from e2ee.wire import messages as m


class UploadEnded(E2eeError):
    """Nobody wants this file to be uploaded any more."""


class FileUpload:
    """One run of it. `progress` is called with the chunks that the server has."""

    def __init__(
        self, context: Context, in_thread: InThread, file: FileRecord, progress: Callable[[int], None]
    ) -> None:
        self._context = context
        self._in_thread = in_thread
        self._file = file
        self._progress = progress
        self._keys = derive_file_keys(file.key or b"", file.file_id, file.size)
        self._chunks = chunk_count(file.size)
        self._ended = False

    def end(self) -> None:
        """Stop at the next chunk."""
        self._ended = True

    async def run(self) -> bytes:
        """Upload what the server does not have; the SHA-256 of the file.

        Raises Refusal, LinkLost, UploadEnded, SourceChanged, OSError.
        """
        file = self._file
        path, stamp = Path(file.path or ""), file.stamp or ""
        source = await self._in_thread(lambda: FileSource(path, file.size, stamp))
        try:
            offer = m.OfferFile(0, file.file_id, file.capability, self._chunks)
            held = (await self._context.ask(offer, m.FileHeld)).chunks
            self._progress(held)
            await self._in_thread(lambda: source.skip(held))
            await self._send(source, held)
            return await self._in_thread(source.digest)
        finally:
            source.close()

    async def _send(self, source: FileSource, held: int) -> None:
        window = ChunkWindow[m.FileHeld]()
        try:
            for index in range(held, self._chunks):
                if window.full:
                    self._progress((await window.answer()).chunks)
                sealed = await self._in_thread(lambda index=index: self._seal(source, index))  # type: ignore[misc]
                # When everything else has left: a text that is written meanwhile waits for little.
                await self._context.link.room()
                if self._ended:
                    raise UploadEnded
                put = m.PutChunk(0, self._file.file_id, index, sealed)
                window.ask(self._context.ask(put, m.FileHeld))
            while window:
                self._progress((await window.answer()).chunks)
        finally:
            window.forget()

    def _seal(self, source: FileSource, index: int) -> bytes:
        return self._keys.seal(index, source.read(index), self._context.entropy)
