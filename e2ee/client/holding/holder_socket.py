"""The socket at which the holder of a profile's vault serves the other commands of its user.

Knows where it lies, who may connect and whose it is; not what is said there. Only the owner of the
profile's lock binds and unlinks it. See `docs/command-line.md`, "One holder, many commands".
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IListeningPort

from e2ee.client.profiles.private_files import OTHERS
from e2ee.errors import Code, Failure

PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest path of a UNIX socket, without its final zero."""
BACKLOG = 512
"""Commands that may wait while the holder is busy: a full queue turns them away."""
_HASH_DIGITS = 32
_LOCAL_PEERCRED = 1
"""macOS and the BSDs: an option of level 0, answered with version, uid and groups."""


def socket_name(directory: Path, kind: str = "") -> str:
    """The name of the socket of the profile in this directory; `kind`: of its holder, or another one."""
    place = os.fsencode(directory.resolve())
    return hashlib.sha256(b"e2ee holder\0" + place).hexdigest()[:_HASH_DIGITS] + f"{kind and '.'}{kind}.sock"


def socket_path(directory: Path, environment: Mapping[str, str], kind: str = "") -> Path:
    """Where the holder of this profile is to listen; the directory of it exists and is private.

    The runtime directory of the user, else one of his own among the temporary files. Raises
    Failure(FAILED) where neither can be used.
    """
    name = socket_name(directory, kind)
    for place in _places(environment):
        path = place / name
        if len(os.fsencode(path)) <= PATH_BYTES and _is_private(place):
            return path
    raise Failure(Code.FAILED, "there is no private directory for the profile's socket")


def _places(environment: Mapping[str, str]) -> Iterator[Path]:
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _belongs_to_us(Path(runtime)):
        yield Path(runtime) / "e2ee"
    for temporary in (environment.get("TMPDIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if os.path.isabs(temporary):
            yield Path(temporary) / f"e2ee-{os.geteuid()}"


def _belongs_to_us(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_private(path: Path) -> bool:
    """Make this directory; whether it is ours, a directory and nobody else's business.

    It is looked at without following links: anybody can put one among the temporary files.
    """
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)  # a umask may have taken ours away
        found = path.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return mine and not stat.S_IMODE(found.st_mode) & OTHERS


def listen(reactor: Any, path: Path, factory: Any) -> IListeningPort:
    """Listen at `path`, mode 0600 from its first moment. For the owner of the profile's lock only:
    what lies there is what an earlier holder has left. Raises OSError."""
    path.unlink(missing_ok=True)
    before = os.umask(0o077)
    try:
        port: IListeningPort = reactor.listenUNIX(str(path), factory, backlog=BACKLOG, mode=0o600)
    finally:
        os.umask(before)
    return port


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a UNIX socket; None where the system does not say."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            credentials = struct.Struct("iII")
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
            return int(credentials.unpack(found)[1])
        credentials = struct.Struct("2I")
        return int(credentials.unpack(connection.getsockopt(0, _LOCAL_PEERCRED, credentials.size))[1])
    except (OSError, struct.error):
        return None


def is_own_user(transport: Any) -> bool:
    """Whether the other end of this transport belongs to the user of this process."""
    return peer_uid(transport.getHandle()) == os.geteuid()
