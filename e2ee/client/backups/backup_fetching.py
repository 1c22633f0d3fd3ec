"""A backup that the holder of the vault seals, fetched from there part by part into a file of our own.

Knows requests, parts and the head of the file, whose passphrase stays in this process. When the holder
ends in the middle, everything begins anew with the next one: under other keys, since no key may seal two
states of a vault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO

from twisted.internet.task import deferLater

from e2ee.client.backups.backup_file import Draft
from e2ee.client.deadline import Deadline
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.roaming import LEAST_SECONDS, Roaming
from e2ee.client.threads import InThread
from e2ee.crypto.backup_chunks import HEAD_BYTES, BackupKeys, new_head
from e2ee.crypto.backup_permit import new_permit
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, E2eeError, Failure

POLL_SECONDS = 0.05
"""How long until the holder is asked again who has sealed nothing more."""


class _Anew(E2eeError):
    """There is another holder, and nothing of this backup."""

    def __init__(self) -> None:
        super().__init__("the holder of the vault has ended")


async def fetch_backup(
    roaming: Roaming,
    clock: Any,
    in_thread: InThread,
    draft: Draft,
    *,
    passphrase: bytes,
    permit_key: bytes,
    version: str,
    config: str | None,
    entropy: Entropy,
    silence: float | None,
) -> h.MadeBackup:
    """Write the file to `draft`; `size` of what is returned is that of the whole file.

    `silence`: how many seconds the holder may seal nothing. Raises Failure: PROFILE_BUSY then, and what
    the holder and the way to him raise; OSError for what the file system refuses.
    """

    def begin() -> tuple[BinaryIO, BackupKeys]:
        head = new_head(entropy)
        keys = head.derive(passphrase)
        file = draft.open()
        file.write(head.encode(keys))
        return file, keys

    while True:
        file, keys = await in_thread(begin)
        permit = new_permit(permit_key, keys.chunk_key)
        fetching = _Fetching(roaming, clock, in_thread, file, silence)
        try:
            made = await fetching.fetch(h.MakeBackup(keys.chunk_key, permit, version, config))
        except _Anew:
            continue
        finally:
            await in_thread(file.close)
        return h.MadeBackup(made.contacts, made.messages, HEAD_BYTES + made.size)


class _Fetching:
    """One attempt."""

    def __init__(
        self, roaming: Roaming, clock: Any, in_thread: InThread, file: BinaryIO, silence: float | None
    ) -> None:
        self._roaming = roaming
        self._clock = clock
        self._in_thread = in_thread
        self._file = file
        self._silence = None if silence is None else max(LEAST_SECONDS, silence)

    async def fetch(self, asked: h.MakeBackup) -> h.MadeBackup:
        """All of it, on the disk. Raises _Anew, Failure, OSError."""
        await self._roaming.ask(_once(asked))
        made = await self._take_parts()
        await self._in_thread(self._sync)
        return made

    async def _take_parts(self) -> h.MadeBackup:
        taken, silent = 0, Deadline(self._clock, self._silence)
        while True:
            part = await self._part(taken)
            if part.content:
                await self._write(part.content)
                taken, silent = taken + len(part.content), Deadline(self._clock, self._silence)
            if part.made is not None and taken >= part.made.size:
                return part.made
            if not part.content:
                await self._wait(part, silent)

    async def _part(self, offset: int) -> h.BackupPart:
        part = await self._roaming.ask(lambda: h.ReadBackup(offset))
        if part is None:
            raise _Anew
        return part

    async def _wait(self, part: h.BackupPart, silent: Deadline) -> None:
        if part.made is not None:
            raise Failure(Code.FAILED, "the holder of the profile has not the whole backup")
        if silent.passed:
            raise self._roaming.busy()
        await deferLater(self._clock, POLL_SECONDS)

    async def _write(self, content: bytes) -> None:
        await self._in_thread(lambda: self._file.write(content))

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _once(asked: h.MakeBackup) -> Callable[[], h.MakeBackup]:
    """For a request that is not repeated to the next holder: he gets one with another key."""
    unasked = [asked]

    def make() -> h.MakeBackup:
        if not unasked:
            raise _Anew
        return unasked.pop()

    return make
