"""Which number has which e-mail address: a file of the operator's with a line for each person.

Knows the file's form, ``+15550100101 alice@example.org``; not what is sent there. The file is read
again whenever it has changed, so that a new person needs no restart.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address as EmailAddress
from pathlib import Path

from e2ee.errors import InvalidAddress
from e2ee.ids import Address
from e2ee.server.senders.interface import SenderRefused
from e2ee.server.senders.private_file import read_private


class Routes:
    """One file. Its methods block; they may be called by several threads."""

    def __init__(self, path: Path) -> None:
        """Reads the file; raises SenderRefused if there is anything wrong with it."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._routes: Mapping[Address, str] = {}
        self.read()

    def read(self) -> None:
        """See that the file is there and has nothing wrong in it; raises SenderRefused."""
        self._current()

    def find(self, address: Address) -> str | None:
        """Where to write to this number, or None. Raises SenderRefused, naming the line at fault."""
        return self._current().get(address)

    def _current(self) -> Mapping[Address, str]:
        with self._lock:
            seen = self._look()
            if seen is None or seen != self._seen:
                self._routes = parse_routes(read_private(self._path, "routing file"))
                self._seen = seen
            return self._routes

    def _look(self) -> tuple[int, int, int] | None:
        try:
            facts = os.stat(self._path)
        except OSError:
            return None  # reading it tells why
        return facts.st_mtime_ns, facts.st_size, facts.st_ino


def parse_routes(text: str) -> dict[Address, str]:
    """The routes in a file's text: a line each, `#` begins a comment. Raises SenderRefused."""
    routes: dict[Address, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].rsplit(None, 1)
        if not words:
            continue
        try:
            written, email = words
            address = Address.parse(written.strip())
        except (ValueError, InvalidAddress):
            raise SenderRefused(
                f"line {number} of the routing file is not a number and an e-mail address"
            ) from None
        if address in routes:
            raise SenderRefused(f"line {number} of the routing file names a number again")
        routes[address] = email_address(email, f"line {number} of the routing file")
    return routes


def email_address(text: str, where: str) -> str:
    """An e-mail address in ASCII, as an SMTP envelope has it; raises SenderRefused."""
    try:
        parsed = EmailAddress(addr_spec=text)
        if not text.isascii() or not text.isprintable() or not parsed.domain or " " in text:
            raise ValueError
    except (ValueError, HeaderParseError, IndexError):
        raise SenderRefused(f"{where} has no e-mail address such as name@example.org") from None
    return text
