"""A client that keeps to no rule, against a whole server over real TLS in memory.

Knows frames and TLS; says whatever it is given, in one write, and keeps what it is told.
"""

from __future__ import annotations

from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from e2ee.net.handshake import read_facts
from e2ee.wire import codec
from e2ee.wire import messages as m
from e2ee.wire.framing import FrameReader, frame
from e2ee.wire.limits import ALPN
from tests.net.strangers import OtherClient
from tests.server.test_connection import PORT, ConnectionCase


@implementer(IHandshakeListener)
class Stranger(Protocol):
    """One connection."""

    transport: Any

    def __init__(self) -> None:
        self.told: list[m.Message] = []
        self.exporter = b""
        self.over = False
        self._reader = FrameReader()

    def handshakeCompleted(self) -> None:
        """TLS is up."""
        self.exporter = read_facts(self.transport).exporter

    def dataReceived(self, data: bytes) -> None:
        """Whatever a server says must be a message, even now."""
        self._reader.feed(data)
        while (payload := self._reader.next_frame(2**20)) is not None:
            self.told.append(codec.decode_server(payload))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        self.over = True

    def say(self, *messages: m.Message) -> None:
        """All of them in one write."""
        self.transport.write(b"".join(frame(codec.encode(message)) for message in messages))

    @property
    def last_word(self) -> m.RefusalCode | None:
        """Why the server has ended it."""
        last = self.told[-1] if self.told else None
        return last.code if isinstance(last, m.Refused) and last.n is None else None


class HostileCase(ConnectionCase):
    """Whatever happens here, nothing may be logged as an error, and an honest login goes on."""

    def setUp(self) -> None:
        super().setUp()
        self.defects: list[str] = []
        observer = cast(ILogObserver, self._observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self._tls = OtherClient(SSL.TLS1_3_VERSION, [ALPN])

    def _observe(self, event: Any) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            self.defects.append(str(event.get("log_format")))

    def stranger(self) -> Stranger:
        """A new connection after its handshake."""
        stranger = Stranger()
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: stranger  # type: ignore[method-assign]
        self.network.connectTCP(
            "127.0.0.1", PORT, TLSMemoryBIOFactory(self._tls, True, factory, self.network)
        )
        self.network.settle()
        return stranger

    def says(self, stranger: Stranger, *messages: m.Message) -> None:
        """Say it, and let everything happen."""
        stranger.say(*messages)
        self.network.settle()

    def leave(self, stranger: Stranger) -> None:
        """Cut it, if the server has not."""
        if not stranger.over:
            stranger.transport.abortConnection()
            self.network.settle()

    def check(self, what: object = "") -> None:
        """No defect so far."""
        self.assertEqual(self.defects, [], what)
