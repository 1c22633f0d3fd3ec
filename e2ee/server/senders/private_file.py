"""Files that an operator writes for a sender: passwords, headers, routes. Blocks; knows no content.

Others must not read or change them. Their group may read, as with a file of root's that the server's
group is allowed to see; so may a service manager that hands the file over.
"""

from __future__ import annotations

from pathlib import Path

from e2ee.server.senders.interface import SenderRefused
from e2ee.server.state_directory import StateRefused, read_given

FILE_BYTES = 4 * 1024 * 1024
"""More than routes to fifty thousand people take."""


def read_private(path: Path, what: str) -> str:
    """The text of a file that is called `what` in sentences. Raises SenderRefused."""
    try:
        content = read_given(path, FILE_BYTES + 1, f"the {what}")
    except StateRefused as refused:
        raise SenderRefused(str(refused)) from None
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
