"""Files on the command line: which are sent, where those of others go, and how long to wait for them.

Knows paths and the time that has passed without a sign of life; not how files travel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from e2ee.client.events import Event, FileProgress
from e2ee.errors import Code, Failure
from e2ee.ui.invocation import Invocation
from e2ee.ui.options import DEFAULT_TIMEOUT


def files_to_send(paths: Iterable[Path]) -> list[str]:
    """Their whole paths: another process may have to find them. Raises Failure(USAGE)."""
    return [_whole(path) for path in paths]


def _whole(path: Path) -> str:
    whole = os.path.abspath(path)
    try:
        whole.encode("utf-8")
        mode = os.stat(whole).st_mode
    except UnicodeEncodeError:
        raise Failure(Code.USAGE, f"the path {str(path)!a} is not UTF-8") from None
    except OSError as error:
        raise Failure(Code.USAGE, f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise Failure(Code.USAGE, f"{path} is not a regular file")
    if not os.access(whole, os.R_OK):
        raise Failure(Code.USAGE, f"{path} cannot be read: permission denied")
    return whole


def file_typed(line: str) -> str:
    """The whole path of the file that is named in a chat; quotes around it and ``~`` mean what they mean to a
    shell. Raises Failure(USAGE)."""
    path = line.strip()
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":
        path = path[1:-1]
    if not path:
        raise Failure(Code.USAGE, "/file needs the path of a file")
    return _whole(Path(os.path.expanduser(path)))


def folder_for_files(path: Path | None) -> str | None:
    """The whole path of a folder that is there. Raises Failure(USAGE)."""
    if path is None:
        return None
    whole = os.path.abspath(path)
    if not os.path.isdir(whole) or not os.access(whole, os.W_OK | os.X_OK):
        raise Failure(Code.USAGE, f"{path} is no folder that files can be put into")
    return whole


class Patience:
    """How long a command waits for files: `--timeout` begins anew whenever something has come through."""

    def __init__(self, call: Invocation) -> None:
        self._call = call
        self._seconds = DEFAULT_TIMEOUT if call.options.timeout is None else call.options.timeout
        self._heard_at: float | None = None

    def hear(self, event: Event) -> None:
        """What the messenger tells."""
        if isinstance(event, FileProgress):
            self._heard_at = float(self._call.reactor.seconds())
            self._call.progress.show(event)

    def left(self) -> float:
        """Seconds until it is over."""
        if self._heard_at is None:
            return self._call.left()
        since = float(self._call.reactor.seconds()) - self._heard_at
        return max(self._call.left(), self._seconds - since, 0.0)
