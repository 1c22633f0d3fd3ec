"""Backups for commands of other processes: the vault's holder seals them, and hands them out in parts.

Knows the vault, a file without a name in the profile's directory, and who may have it; neither the
passphrase nor the head of what is made. The file goes with the process, however that ends. See
`docs/cryptography.md`, section 8.
"""

from __future__ import annotations

import os
import tempfile
from threading import Lock
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from e2ee.client.backups.backup_content import vault_records
from e2ee.client.backups.backup_file import ChunkWriter
from e2ee.client.context import Context
from e2ee.client.history.disappearing import forget_expired
from e2ee.client.holding.holder_messages import PART_BYTES, BackupPart, MadeBackup, MakeBackup
from e2ee.client.profile import OpenProfile
from e2ee.client.threads import InThread
from e2ee.crypto.backup_permit import is_permitted
from e2ee.errors import Code, Failure, StoreError
from e2ee.store.client.portable import count_portable
from e2ee.store.connection import Connection

_log = Logger()


class SealedCopies:
    """Those of one open profile."""

    def __init__(self, context: Context, opened: OpenProfile, in_thread: InThread) -> None:
        self._context = context
        self._opened = opened
        self._in_thread = in_thread

    def begin(self, asked: MakeBackup) -> SealedCopy:
        """Make one, and do not wait for it. Raises Failure(PASSPHRASE) for who has not the vault's key."""
        if not is_permitted(self._opened.permit_key, asked.chunk_key, asked.permit):
            raise Failure(Code.PASSPHRASE, "the passphrase is not that of the profile in use")
        copy = SealedCopy(asked, str(self._opened.profile.directory), self._in_thread)
        copy.make(self._context)
        return copy


class SealedCopy:
    """One that is being made, or is there. `drop` it."""

    def __init__(self, asked: MakeBackup, directory: str, in_thread: InThread) -> None:
        self._asked = asked
        self._directory = directory
        self._in_thread = in_thread
        self._lock = Lock()
        self._file: IO[bytes] | None = None
        self._made: MadeBackup | None = None
        self._refused: Failure | None = None
        self._making = False
        self._dropped = False

    def make(self, context: Context) -> None:
        """Begin."""
        self._making = True
        Deferred.fromCoroutine(self._make(context)).addErrback(self._failed).addBoth(self._ended)

    async def _make(self, context: Context) -> None:
        now = context.now
        await context.vault.write(lambda tx: forget_expired(tx, now))
        # Aside: nobody who reads or writes meanwhile waits for it.
        self._made = await context.vault.aside(lambda tx, _: self._seal(tx, now))

    def _seal(self, tx: Connection, now: int) -> MadeBackup:
        """In a thread of its own. Raises what becomes a StoreError."""
        with self._lock:
            self._file = file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - `_close` does it
        writer = ChunkWriter(file, self._asked.chunk_key)
        for record in vault_records(tx, now, self._asked.version, self._asked.config):
            if self._dropped:
                raise StoreError("nobody wants it any more")
            writer.add(record)
        writer.finish()
        return MadeBackup(*count_portable(tx), size=file.tell())

    def _failed(self, reason: Any) -> None:
        why = str(reason.value) if reason.check(StoreError) else "the holder of the profile failed"
        self._refused = Failure(Code.FAILED, f"the backup cannot be made: {why}")
        if not reason.check(StoreError):
            _log.failure("a backup for another command has failed", failure=reason)

    def _ended(self, _: object) -> None:
        self._making = False
        if self._dropped:
            self._close()

    async def part(self, offset: int) -> BackupPart:
        """What has been written behind `offset` so far, PART_BYTES at the most. Raises Failure(FAILED)."""
        if self._refused is not None:
            raise self._refused
        made = self._made
        return BackupPart(await self._in_thread(lambda: self._read(offset)), made)

    def _read(self, offset: int) -> bytes:
        with self._lock:
            return b"" if self._file is None else os.pread(self._file.fileno(), PART_BYTES, offset)

    def drop(self) -> None:
        """Nobody wants it any more."""
        self._dropped = True
        if not self._making:
            self._close()

    def _close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()
