"""The server's state directory: its secret, its keys, its lock, and who may read them.

Knows files and modes; not databases or connections. Everything here blocks, and is done before the
reactor runs or in a thread.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
import stat
from pathlib import Path

from e2ee.errors import E2eeError

SECRET_BYTES = 32
DATABASE = "server.sqlite3"
SECRET = "server.secret"  # noqa: S105 - the name of a file
CERTIFICATE = "server.pem"
BACKUP_KEY = "backup-key.pem"
CONNECT_LINK = "connect-link"
ADMIN_SOCKET = "admin.sock"
SOCKET_PATH_BYTES = 100
"""Below the 108 of Linux and the 104 of macOS."""
_OF_DATABASE = tuple(DATABASE + suffix for suffix in ("", "-wal", "-shm", "-reserve"))
PRIVATE = (*_OF_DATABASE, SECRET, CERTIFICATE, BACKUP_KEY, CONNECT_LINK)


class StateRefused(E2eeError):
    """The state directory cannot be used as it is; the text says what to do."""


class StateDirectory:
    """One directory, locked for one server as long as the process lives."""

    def __init__(self, path: Path) -> None:
        """`path` is absolute."""
        self.path = path
        self._descriptor = -1

    def prepare(self) -> None:
        """Make the directory (mode 0700), lock it, and look at the modes. Raises StateRefused."""
        try:
            _make_directory(self.path)
            self.path.chmod(0o700)
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StateRefused(
                f"the state directory {self.path} cannot be used: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise StateRefused(f"another server is running with the state directory {self.path}") from None
        try:
            for name in PRIVATE:
                refuse_readable(self.path / name)
        except StateRefused:
            self.close()
            raise
        self.remove(CONNECT_LINK)

    def close(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def secret(self, database: Path) -> bytes:
        """The server's secret, 32 bytes, made at the first start. Raises StateRefused."""
        path = self.path / SECRET
        if not path.exists():
            if database.exists() and database.stat().st_size:
                raise StateRefused(f"{path} is missing, and without it {database} cannot be opened")
            self.write(SECRET, secrets.token_hex(SECRET_BYTES).encode("ascii") + b"\n")
        text = self.read(SECRET).decode("ascii", "replace").strip()
        if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}", text, re.ASCII):
            raise StateRefused(f"{path} does not hold {2 * SECRET_BYTES} hex digits")
        return bytes.fromhex(text)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return (self.path / name).exists()

    def read(self, name: str) -> bytes:
        """The content of a file. Raises StateRefused."""
        return read_file(self.path / name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file with mode 0600, whole or not at all, and on disk on return."""
        try:
            _write_atomically(self.path, name, content)
        except OSError as error:
            raise StateRefused(f"{self.path / name} cannot be written: {error.strerror}") from None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def socket_address(self, name: str) -> str:
        """A path for a UNIX socket in this directory, short enough whatever the directory's own is."""
        path = str(self.path / name)
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        return f"/proc/self/fd/{self._descriptor}/{name}"


def read_file(path: Path) -> bytes:
    """The content of a file that the operator has named. Raises StateRefused."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateRefused(f"{path} cannot be read: {error.strerror}") from None


def refuse_readable(path: Path) -> None:
    """Raise StateRefused, with the command that mends it, if others may read or change the file."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateRefused(f"{path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(path))}"
        raise StateRefused(f"others can read {path} (mode {mode:04o}); mend it with: {command}")


def _make_directory(path: Path) -> None:
    """Make it, and what leads to it, on disk on return: else a power cut takes it with all that is in it."""
    for missing in [parent for parent in (*reversed(path.parents), path) if not parent.exists()]:
        missing.mkdir(mode=0o700 if missing == path else 0o777, exist_ok=True)
        _sync_directory(missing.parent)


def _write_atomically(directory: Path, name: str, content: bytes) -> None:
    temporary = directory / f".{name}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(directory / name)
    _sync_directory(directory)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
