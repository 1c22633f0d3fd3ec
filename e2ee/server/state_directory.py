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
from contextlib import suppress
from pathlib import Path

from e2ee.errors import E2eeError
from e2ee.store.directories import sync_directory

SECRET_BYTES = 32
DATABASE = "server.sqlite3"
SECRET = "server.secret"  # noqa: S105 - the name of a file
NEXT_SECRET = "server.secret.next"  # noqa: S105
OLD_SECRET = "server.secret.old"  # noqa: S105
CERTIFICATE = "server.pem"
BACKUP_KEY = "backup-key.pem"
CONNECT_LINK = "connect-link"
ADMIN_SOCKET = "admin.sock"
FILES = "files"
ONLY_OURS = 0o077
FOR_OTHERS = 0o027
"""Bits that must not be set: in the state directory, and of files that somebody else puts elsewhere for
this server. Their group may read: so root hands a file to one service."""
SOCKET_PATH_BYTES = 100
"""Below the 108 of Linux and the 104 of macOS."""
_OF_DATABASE = tuple(DATABASE + suffix for suffix in ("", "-wal", "-shm", "-reserve"))
PRIVATE = (*_OF_DATABASE, SECRET, NEXT_SECRET, OLD_SECRET, CERTIFICATE, BACKUP_KEY, CONNECT_LINK)


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
            self.write(SECRET, encode_secret(new_secret()))
        return decode_secret(self.read(SECRET), str(path))

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


def new_secret() -> bytes:
    """Another secret for a server."""
    return secrets.token_bytes(SECRET_BYTES)


def encode_secret(secret: bytes) -> bytes:
    """As it stands in a file."""
    return secret.hex().encode("ascii") + b"\n"


def decode_secret(text: bytes, what: str) -> bytes:
    """The secret that is written so: 64 hex digits, and white space around them. Raises StateRefused."""
    if not re.fullmatch(rb"\s*[0-9a-fA-F]{%d}\s*" % (2 * SECRET_BYTES), text):
        raise StateRefused(f"{what} does not hold {2 * SECRET_BYTES} hex digits")
    return bytes.fromhex(text.strip().decode("ascii"))


def read_file(path: Path) -> bytes:
    """The content of a file that the operator has named. Raises StateRefused."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateRefused(f"{path} cannot be read: {error.strerror}") from None


def read_given(path: Path, most: int, called: str = "") -> bytes:
    """Up to `most` bytes of a file that somebody puts elsewhere for this server, and for nobody else.

    `called` is its name in sentences. Raises StateRefused. What is looked at is what is read: by its name
    another file could come in between.
    """
    what = f"{called} {path}".lstrip()
    try:
        # A named pipe must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise StateRefused(f"{what} is not a regular file")
            _refuse_mode(path, mode, FOR_OTHERS, what)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(most)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateRefused(f"{what} cannot be read: {error.strerror}") from None


def refuse_readable(path: Path, others: int = ONLY_OURS) -> None:
    """Raise StateRefused, with the command that mends it, if others may read or change the file.

    `others` are the bits of its mode that must not be set.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateRefused(f"{path} cannot be read: {error.strerror}") from None
    _refuse_mode(path, mode, others, str(path))


def _refuse_mode(path: Path, mode: int, others: int, what: str) -> None:
    if mode & others:
        # Nobody gets a right by it that he did not have.
        change = "600" if others == ONLY_OURS else "o=,g-w"
        command = f"chmod {change} {shlex.quote(str(path))}"
        raise StateRefused(f"others can read {what} (mode {stat.S_IMODE(mode):04o}); mend it with: {command}")


def _make_directory(path: Path) -> None:
    """Make it, and what leads to it, on disk on return: else a power cut takes it with all that is in it."""
    for missing in [parent for parent in (*reversed(path.parents), path) if not parent.exists()]:
        missing.mkdir(mode=0o700 if missing == path else 0o777, exist_ok=True)
        sync_directory(missing.parent)


def _write_atomically(directory: Path, name: str, content: bytes) -> None:
    temporary = directory / f".{name}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        _give_to_owner(descriptor, directory)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(directory / name)
    sync_directory(directory)


def _give_to_owner(descriptor: int, directory: Path) -> None:
    """What root writes here is the server's all the same, where root may say so."""
    if os.geteuid() == 0:
        owner = directory.stat()
        with suppress(PermissionError):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
