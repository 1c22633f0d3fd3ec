"""Which envelope is being opened, where a process that dies over it leaves its name.

A file beside the vault with one envelope id, written before the opening and cleared after it: without
a wait for the disk, for what ends here is a process, not the machine. The vault cannot keep it: what a
transaction has written is gone when the process dies inside of it. Knows ids, not envelopes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from e2ee.client.profiles.private_files import open_private
from e2ee.ids import EnvelopeId

_NOTHING = bytes(EnvelopeId.SIZE)


class Opening(Protocol):
    """One profile's place for the name. Called in the vault's thread."""

    def left(self) -> bytes | None:
        """The id that a process has left by dying; None where all ended well."""

    def of(self, envelope_id: EnvelopeId) -> AbstractContextManager[None]:
        """Hold the name while its envelope is being opened."""

    def clear(self) -> None:
        """Forget what was left: it has been counted."""


class OpeningFile:
    """`Opening` in a file of the profile. A file that cannot be written counts nothing, and stops nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def left(self) -> bytes | None:
        """See `Opening.left`."""
        try:
            found = os.pread(self._open(), EnvelopeId.SIZE, 0)
        except OSError:
            return None
        return None if len(found) < EnvelopeId.SIZE or found == _NOTHING else found

    @contextmanager
    def of(self, envelope_id: EnvelopeId) -> Iterator[None]:
        """See `Opening.of`."""
        self._write(envelope_id)
        try:
            yield
        finally:
            self._write(_NOTHING)

    def clear(self) -> None:
        """See `Opening.clear`."""
        self._write(_NOTHING)

    def close(self) -> None:
        """The profile is closed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _write(self, envelope_id: bytes) -> None:
        try:
            os.pwrite(self._open(), envelope_id, 0)
        except OSError:
            return

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        return self._descriptor
