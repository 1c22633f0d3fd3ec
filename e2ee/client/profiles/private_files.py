"""Files and directories that only their owner can read, from their first moment, whatever the umask; and
files that a user names, read within bounds.

Knows paths and bytes, not what is in them. Everything here blocks: call it off the reactor's thread.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from e2ee.errors import Code, Failure
from e2ee.store.directories import sync_directory

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
OTHERS = 0o077


def make_private_directory(path: Path) -> None:
    """Make this directory, and what leads to it, with mode 0700; one that exists is narrowed.

    What was made is on the disk when this returns: else a power cut takes it away with all that was synced
    within it. Raises Failure(FAILED) where it cannot be made or belongs to somebody else.
    """
    try:
        for missing in [parent for parent in (*reversed(path.parents), path) if not parent.exists()]:
            missing.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            sync_directory(missing.parent)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise Failure(Code.FAILED, f"{path} belongs to another user")
        if stat.S_IMODE(found.st_mode) != DIRECTORY_MODE:
            path.chmod(DIRECTORY_MODE)
    except OSError as error:
        raise Failure(Code.FAILED, f"the directory {path} cannot be used: {error.strerror}") from error


def open_private(path: Path, flags: int) -> int:
    """A file descriptor with mode 0600 for this path; `flags` as for `os.open`. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    # A umask can only take bits away; one that took ours would lock the owner out.
    os.fchmod(descriptor, FILE_MODE)
    return descriptor


def write_private(path: Path, content: bytes) -> None:
    """Put this content under `path`, all of it or nothing, on the disk when this returns."""
    draft = path.with_name(path.name + ".new")
    descriptor = open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync_directory(path.parent)


def read_private(path: Path, limit: int) -> bytes:
    """Up to `limit` bytes of a file of our own. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(limit)


def remove(path: Path) -> None:
    """Take this file away, if there is one, so that a power cut does not bring it back."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def read_secret(path: Path, limit: int, wrong: Code = Code.PASSPHRASE) -> bytes:
    """The content of a file, or of a pipe, that holds a secret: at most `limit` bytes.

    Raises Failure with the code `wrong` where it cannot be read, is longer, or is a regular file
    that others can read, with the command that mends it.
    """
    return _read(path, limit, wrong, private=True)


def read_public(path: Path, limit: int) -> bytes:
    """The same for a file that everybody may read. Raises Failure(USAGE)."""
    return _read(path, limit, Code.USAGE, private=False)


def _read(path: Path, limit: int, wrong: Code, *, private: bool) -> bytes:
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if private and stat.S_ISREG(found.st_mode) and found.st_mode & OTHERS:
                raise Failure(wrong, f"others can read {path}; mend it with: chmod 600 {path}")
            content = file.read(limit + 1)
    except OSError as error:
        raise Failure(wrong, f"{path} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise Failure(wrong, f"{path} is longer than {limit} bytes")
    return content
