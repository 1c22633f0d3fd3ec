"""One file of somebody else on its way from the server to its folder, from where it was left on.

Knows the link and the order of chunks; bytes are opened in `crypto.file_chunks`, kept in `file_target`.
Nothing here touches the vault. See `docs/protocol.md`, section 8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2ee.client.context import Context
from e2ee.client.refusals import Refusal
from e2ee.client.threads import InThread
from e2ee.client.transfers.file_target import DigestRefused, FileTarget, TargetRefused
from e2ee.client.transfers.file_window import ChunkWindow
from e2ee.crypto.file_chunks import chunk_count, derive_file_keys
from e2ee.errors import E2eeError, OpenFailed
from e2ee.store.client.files import FileRecord
from e2ee.wire import messages as m


class DownloadEnded(E2eeError):
    """Nobody wants this file now; what is here of it stays."""


class FileDownload:
    """One run of it. `progress` is called with the chunks that are here."""

    def __init__(
        self,
        context: Context,
        in_thread: InThread,
        file: FileRecord,
        progress: Callable[[int], None],
        *,
        make_folder: bool,
    ) -> None:
        self._context = context
        self._in_thread = in_thread
        self._file = file
        self._progress = progress
        self._make_folder = make_folder
        self._keys = derive_file_keys(file.key or b"", file.file_id, file.size)
        self._chunks = chunk_count(file.size)
        self._ended = False

    def end(self) -> None:
        """Stop at the next chunk, or before the file gets its name."""
        self._ended = True

    async def run(self) -> Path:
        """Fetch what is missing and give the file its name, unless it has got it already; where it is.

        Nothing is left where that is the end: OpenFailed, DigestRefused, TargetRefused, and the Refusal
        EXPIRED. What is here is gone on from after any other Refusal, LinkLost, DownloadEnded, OSError.
        """
        file, make = self._file, self._make_folder
        folder = Path(file.directory or "")
        target = await self._in_thread(
            lambda: FileTarget(folder, file.file_id, file.size, make=make)
        )
        try:
            here = await self._in_thread(target.resume)
            if target.is_new and file.begun:
                named = await self._find(target)
                if named is not None:
                    return named
            await self._fetch(target, here)
            try:
                return await self._finish(target)
            except DigestRefused:
                if not here:
                    raise
            # What was left of an earlier run may have been torn.
            await self._in_thread(target.begin_again)
            await self._fetch(target, 0)
            return await self._finish(target)
        except (OpenFailed, DigestRefused, TargetRefused):
            target.discard()
            raise
        except Refusal as refusal:
            if refusal.refusal is m.RefusalCode.EXPIRED:
                target.discard()
            raise
        finally:
            target.close()

    async def _find(self, target: FileTarget) -> Path | None:
        """Where the file is, if an earlier run has ended before the vault knew of its end."""
        file = self._file
        self._check()
        return await self._in_thread(lambda: target.named(file.name, file.digest or b""))

    async def _finish(self, target: FileTarget) -> Path:
        file = self._file
        self._check()
        return await self._in_thread(lambda: target.finish(file.name, file.digest or b""))

    def _check(self) -> None:
        if self._ended:
            raise DownloadEnded

    async def _fetch(self, target: FileTarget, here: int) -> None:
        window = ChunkWindow[m.Chunk]()
        asked = here
        self._progress(here)
        try:
            for index in range(here, self._chunks):
                while not window.full and asked < self._chunks:
                    file = self._file
                    fetch = m.FetchChunk(0, file.file_id, file.capability, asked)
                    window.ask(self._context.ask(fetch, m.Chunk))
                    asked += 1
                sealed = (await window.answer()).chunk
                self._check()
                await self._in_thread(
                    lambda index=index, sealed=sealed: target.add(index, self._keys.open(index, sealed))  # type: ignore[misc]
                )
                self._progress(index + 1)
        finally:
            window.forget()
