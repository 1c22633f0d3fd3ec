"""What the tests of senders share: an authority with a server's certificate, files, surroundings."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.net import x509
from e2ee.server.senders.interface import CodeNotSent, SenderSurroundings

NUMBER = Address("+15550100101")
OTHER_NUMBER = Address("+15550100102")
CODE = "004711"
EXPIRES_AT = 1_767_225_600_123
HOST = "localhost"


def at_once(step: Callable[[], Any]) -> Deferred[Any]:
    """A thread pool that runs in this thread."""
    return succeed(None).addCallback(lambda _: step())


def surroundings() -> SenderSurroundings:
    """The real reactor, a fixed time and ids that repeat."""
    return SenderSurroundings(reactor, at_once, lambda: 1_767_225_000.0, lambda size: b"\x05" * size)


def private_file(test: SynchronousTestCase, text: str, mode: int = 0o600) -> Path:
    """A file with this text."""
    path = Path(test.mktemp()).absolute()
    path.touch(0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


class Authority:
    """A CA of its own, whose certificate is in `ca`, and a server's for this host."""

    def __init__(self, folder: Path, host: str = HOST) -> None:
        folder.mkdir()
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        authority = x509.make_authority("a test's authority", now, 1)
        server = x509.issue(authority, (host,), now, 1, x509.KeyKind.ECDSA_P256.generate())
        self.ca, self.server = folder / "ca.pem", folder / "server.pem"
        self.ca.write_bytes(x509.certificates_to_pem(authority.chain))
        self.server.write_bytes(server.to_pem())

    def context(self) -> ssl.SSLContext:
        """A server's side, by another implementation of TLS than the one under test."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def without_secrets(test: SynchronousTestCase, error: CodeNotSent, *secrets: str) -> str:
    """The text of a failure, which must not hold any of these, the number or the code."""
    for secret in (*secrets, CODE, str(NUMBER), NUMBER[1:]):
        test.assertNotIn(secret, str(error))
        test.assertNotIn(secret, repr(error))
    return str(error)
