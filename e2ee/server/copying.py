"""Backups of the server while it runs: a copy of its database, left in the state directory to be taken.

Knows names of files and what else has to be kept; how a copy is made is the store's. The asker moves
the copy to where it belongs, so that the server needs no right to write anywhere else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from e2ee.errors import E2eeError
from e2ee.server.running import Running
from e2ee.server.secret_source import SecretSource
from e2ee.server.state_directory import BACKUP_KEY, CERTIFICATE, SECRET
from e2ee.store.aside import Stopped
from e2ee.store.connection import Connection
from e2ee.store.server.snapshot import open_copy, write_snapshot

BACKED_UP_AT = "backed_up_at"
PREFIX = ".backup-"


class BackupRefused(E2eeError):
    """No copy was made."""


@dataclass(slots=True)
class Copying:
    """One for the server; one copy at a time."""

    running: Running
    secret: bytes
    _busy: bool = False

    def __repr__(self) -> str:
        return "Copying(…)"

    async def copy(self) -> dict[str, object]:
        """Make a copy; its name in the state directory, its size, and what else has to be kept.

        Raises BackupRefused, StoreUnavailable or StoreError.
        """
        if self._busy:
            raise BackupRefused("another backup is being made")
        self._busy = True
        try:
            return await self._copy()
        finally:
            self._busy = False

    async def last(self) -> float | None:
        """When the last copy was made (seconds since 1970); None: never."""
        value = await self.running.facts.get(BACKED_UP_AT)
        return None if value is None else int.from_bytes(value, "big") / 1000

    async def _copy(self) -> dict[str, object]:
        running, folder = self.running, self.running.state.path
        await running.in_thread(lambda: _remove_leftovers(folder))
        name = PREFIX + secrets.token_hex(8)
        made_at = int(running.wall() * 1000)

        def write(connection: Connection, stopped: Stopped) -> int:
            return write_snapshot(
                connection, folder / name, lambda path: open_copy(path, self.secret), stopped
            )

        size = await running.database.aside(write)
        await running.facts.put(BACKED_UP_AT, made_at.to_bytes(8, "big"))
        return {
            "type": "backup",
            "name": name,
            "bytes": size,
            "made_at": made_at,
            "keep": await running.in_thread(self._also_to_keep),
        }

    def _also_to_keep(self) -> list[str]:
        """Files that the copy is of no use without, or that clients would miss."""
        state, configuration = self.running.state, self.running.identity.configuration
        secret = configuration.secret
        files: list[Path | SecretSource] = [state.path / SECRET if secret is None else secret]
        if configuration.certificate is not None and configuration.private_key is not None:
            files += [configuration.certificate, configuration.private_key]
        else:
            files.append(state.path / CERTIFICATE)
        if state.has(BACKUP_KEY):
            files.append(state.path / BACKUP_KEY)
        return [str(file) for file in files]


def _remove_leftovers(folder: Path) -> None:
    """Copies that nobody has taken away."""
    for left in folder.glob(f"{PREFIX}*"):
        left.unlink(missing_ok=True)
