"""Files that an operator writes for a sender: passwords, headers, routes. Blocks; knows no content.

Others must not read or change them. Their group may read, as with a file of root's that the server's
group is allowed to see; so may a service manager that hands the file over.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from e2ee.server.senders.interface import SenderRefused

FILE_BYTES = 4 * 1024 * 1024
"""More than routes to fifty thousand people take."""
_FOR_OTHERS = 0o027
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
# O_NONBLOCK: a named pipe must be refused, not waited for.


def read_private(path: Path, what: str) -> str:
    """The text of a file that is called `what` in sentences. Raises SenderRefused."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise SenderRefused(f"the {what} {path} cannot be read: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise SenderRefused(f"the {what} {path} is not a regular file")
        if facts.st_mode & _FOR_OTHERS:
            raise SenderRefused(f"others can read or change the {what} {path}: chmod o=,g-w {path}")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > FILE_BYTES:
        raise SenderRefused(f"the {what} {path} is larger than {FILE_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except ValueError:
        raise SenderRefused(f"the {what} {path} is not UTF-8") from None


def read_secret(path: Path, what: str) -> str:
    """The one secret in a file: its content less one final newline. Raises SenderRefused."""
    secret = read_private(path, what).removesuffix("\n").removesuffix("\r")
    if not secret or not secret.isprintable():
        raise SenderRefused(f"the {what} {path} holds one line, and nothing else")
    return secret
