"""A backup as a file: records in, sealed chunks out, and back; never more in memory than a record.

Knows chunks, lengths and files; not what a record means (`backup_content`). Everything blocks: call
it in a thread. The layout stands in `docs/cryptography.md`, "Backups".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from e2ee.client.profiles.private_files import FILE_MODE
from e2ee.crypto.backup_chunks import (
    CHUNK_BYTES,
    HEAD_BYTES,
    TAG_BYTES,
    BackupHead,
    BackupKeys,
    OtherVersion,
    check_head,
    decode_head,
    new_head,
    open_chunk,
    seal_chunk,
)
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, EncodingRefused, Failure, OpenFailed
from e2ee.store.directories import sync_directory

RECORD_BYTES = 2 * 1024 * 1024
"""Longer than any record: a CA file has up to 1 MiB, a text 64 KiB."""
_LENGTH_BYTES = 4


class ChunkWriter:
    """Writes all of a file but its head. `finish` it, or it is cut off and nobody can read it."""

    def __init__(self, file: BinaryIO, chunk_key: bytes) -> None:
        self._file = file
        self._chunk_key = chunk_key
        self._buffer = bytearray()
        self._number = 0

    def add(self, record: bytes) -> None:
        """The next record, of 1 to RECORD_BYTES."""
        if not 0 < len(record) <= RECORD_BYTES:
            raise ValueError(f"a record has 1 to {RECORD_BYTES} bytes, not {len(record)}")
        self._buffer += len(record).to_bytes(_LENGTH_BYTES, "big") + record
        # One more byte than a chunk: only then it is known that this is not the last.
        while len(self._buffer) > CHUNK_BYTES:
            self._seal(CHUNK_BYTES, last=False)

    def finish(self) -> None:
        """Write what is left."""
        self._seal(len(self._buffer), last=True)
        self._file.flush()

    def _seal(self, size: int, *, last: bool) -> None:
        chunk = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._file.write(seal_chunk(self._chunk_key, self._number, last, chunk))
        self._number += 1


class BackupWriter(ChunkWriter):
    """Writes one file from its beginning."""

    def __init__(self, file: BinaryIO, passphrase: bytes, entropy: Entropy) -> None:
        head = new_head(entropy)
        keys = head.derive(passphrase)
        super().__init__(file, keys.chunk_key)
        file.write(head.encode(keys))

    def finish(self) -> None:
        """Write what is left, and have all of it on the disk."""
        super().finish()
        os.fsync(self._file.fileno())


class BackupReader:
    """Reads one file from its beginning. Every record it gives is genuine; whether the file is whole
    is known only when `records` has come to its end."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._encoded = _read(file, HEAD_BYTES, name)
        self._head = self._decode_head()
        self._keys: BackupKeys | None = None

    def unlock(self, passphrase: bytes) -> None:
        """Derive the keys. Raises Failure(PASSPHRASE) where they are not this file's."""
        keys = self._head.derive(passphrase)
        try:
            check_head(self._encoded, keys)
        except OpenFailed:
            raise Failure(
                Code.PASSPHRASE, f"the passphrase does not open {self._name}, or its beginning is damaged"
            ) from None
        self._keys = keys

    def records(self) -> Iterator[bytes]:
        """All records. Raises Failure(FAILED) at the first byte that is not as it was written."""
        buffer = bytearray()
        for chunk in self._chunks():
            buffer += chunk
            while (end := self._end_of_record(buffer)) is not None:
                yield bytes(buffer[_LENGTH_BYTES:end])
                del buffer[:end]
        if buffer:
            raise self.damaged()

    def damaged(self) -> Failure:
        """The one answer to whatever is wrong behind the head."""
        return Failure(Code.FAILED, f"{self._name} is damaged or incomplete; nothing was restored")

    def _end_of_record(self, buffer: bytearray) -> int | None:
        if len(buffer) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(buffer[:_LENGTH_BYTES], "big")
        if not 0 < length <= RECORD_BYTES:
            raise self.damaged()
        end = _LENGTH_BYTES + length
        return end if len(buffer) >= end else None

    def _chunks(self) -> Iterator[bytes]:
        if self._keys is None:
            raise ValueError("unlock it first")
        number = 0
        sealed = _read(self._file, CHUNK_BYTES + TAG_BYTES, self._name)
        while True:
            following = _read(self._file, CHUNK_BYTES + TAG_BYTES, self._name)
            try:
                yield open_chunk(self._keys, number, not following, sealed)
            except OpenFailed:
                raise self.damaged() from None
            if not following:
                return
            sealed, number = following, number + 1

    def _decode_head(self) -> BackupHead:
        try:
            return decode_head(self._encoded)
        except OtherVersion:
            raise Failure(
                Code.FAILED, f"{self._name} is a backup in a format that this version does not know"
            ) from None
        except EncodingRefused:
            raise Failure(Code.FAILED, f"{self._name} is not a backup of e2ee, or is damaged") from None


def _read(file: BinaryIO, size: int, name: str) -> bytes:
    """`size` bytes, less only at the end of the file."""
    try:
        return file.read(size)
    except OSError as error:
        raise Failure(Code.FAILED, f"{name} cannot be read: {error.strerror}") from error


def open_backup(path: Path) -> BinaryIO:
    """The file to read from. Raises Failure(FAILED) where it cannot be opened."""
    try:
        return path.open("rb")
    except OSError as error:
        raise Failure(Code.FAILED, f"{path} cannot be read: {error.strerror}") from error


# --- a file that appears whole or not at all ----------------------------------------------------


class Draft:
    """A file beside its final place, with mode 0600. `publish` or `discard` it."""

    def __init__(self, final: Path, entropy: Entropy) -> None:
        self._final = final
        self._path = final.with_name(f".{final.name[:100]}.{entropy(6).hex()}.part")

    def open(self) -> BinaryIO:
        """The empty file to write to, also where an earlier attempt has left something. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, FILE_MODE)
        with suppress(PermissionError):
            # Some file systems of removable disks have no modes; what is written is encrypted.
            os.fchmod(descriptor, FILE_MODE)
        return open(descriptor, "wb")

    def publish(self) -> None:
        """Give the file its name. Raises FileExistsError where another has it, OSError."""
        try:
            os.link(self._path, self._final)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here: look, then rename, which is the best that this file system has.
            refuse_existing(self._final)
            os.replace(self._path, self._final)
        else:
            self._path.unlink()
        sync_directory(self._final.parent)

    def discard(self) -> None:
        """Take it away where it was not published."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raises FileExistsError where something has this name."""
    if os.path.lexists(path):
        raise FileExistsError(path)
