"""The UNIX socket at which an agent serves programs: where it is, and who may come in.

Knows paths, modes, locks and the kernel's word on whose it is; not what is said there. It lies beside the
socket of the vault's holder. See `docs/scripting.md`, "The agent".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IListeningPort

from e2ee.client.holding.holder_socket import PATH_BYTES, is_own_user, listen, socket_path
from e2ee.client.profiles.profile_directory import Profile
from e2ee.client.profiles.profile_lock import holder_of, try_lock
from e2ee.errors import Code, Failure

__all__ = ["AgentSocket", "is_own_user"]


class AgentSocket:
    """Taken by one agent of a profile; `path` is where it is, unless another place is wanted.

    Raises Failure: PROFILE_BUSY where the profile has an agent, USAGE for a place that cannot be used.
    """

    def __init__(self, profile: Profile, environment: Mapping[str, str], path: Path | None) -> None:
        self.path = _default_path(profile, environment) if path is None else _checked(path)
        lock_path = profile.directory / "agent"
        lock = try_lock(lock_path)
        if lock is None:
            raise Failure(Code.PROFILE_BUSY, f"the profile has an agent: {holder_of(lock_path)}")
        self._lock = lock

    def listen(self, reactor: Any, factory: Any) -> IListeningPort:
        """Listen, mode 0600 from the first moment, and write the path into the lock file."""
        try:
            port = listen(reactor, self.path, factory)
        except OSError as error:
            raise Failure(Code.FAILED, f"nothing can listen at {self.path}: {error.strerror}") from error
        self._lock.tell_place(self.path)
        return port

    def close(self) -> None:
        """Let another agent come."""
        self._lock.release()


def _default_path(profile: Profile, environment: Mapping[str, str]) -> Path:
    return socket_path(profile.directory, environment, kind="rpc")


def _checked(path: Path) -> Path:
    """A place that somebody has chosen: what lies there and is no socket of ours stays."""
    path = path.absolute()
    if len(os.fsencode(path)) > PATH_BYTES:
        raise Failure(Code.USAGE, f"the path of a socket has {PATH_BYTES} bytes at the most")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return path
    except OSError as error:
        raise Failure(Code.USAGE, f"{path} cannot be used: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise Failure(Code.USAGE, f"{path} exists")
    return path
