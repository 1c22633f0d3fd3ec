"""A client and a server over TLS in memory, for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure as TwistedFailure
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.net.connecting import connect
from e2ee.net.handshake import TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.net.x509 import Credentials
from e2ee.testing.certificates import self_signed
from e2ee.testing.network import MemoryNetwork
from e2ee.testing.transport import Wire
from e2ee.wire import limits
from e2ee.wire import messages as m
from e2ee.wire.connection import ServerConnection

PORT = 8443
NUMBER = "+15550100101"
HANDSHAKE, ALERT, APPLICATION = 22, 21, 23


def records(stream: bytes) -> list[int]:
    """The types of the TLS records in what one side has sent (RFC 8446, section 5.1)."""
    kinds, at = [], 0
    while at < len(stream):
        kinds.append(stream[at])
        at += 5 + int.from_bytes(stream[at + 3 : at + 5], "big")
    return kinds


class Recorder:
    """A handler that keeps what it is told."""

    def __init__(self) -> None:
        self.tls: TlsFacts | None = None
        self.messages: list[m.Message] = []
        self.reasons: list[Failure] = []

    @property
    def facts(self) -> TlsFacts:
        if self.tls is None:
            raise AssertionError("not secured")
        return self.tls

    def secured(self, tls: TlsFacts) -> None:
        self.tls = tls

    def received(self, message: m.Message) -> None:
        self.messages.append(message)

    def lost(self, reason: Failure) -> None:
        self.reasons.append(reason)


class ServerSide(Factory[MessageProtocol]):
    """Makes a MessageProtocol for each connection and remembers the last."""

    noisy = False

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.handler = Recorder()

    def buildProtocol(self, addr: object) -> MessageProtocol:
        self.handler = Recorder()
        self.latest = MessageProtocol(ServerConnection(), self.network, self.handler)
        return self.latest


class Conversation:
    """One server that listens, and a client that connects to it."""

    def __init__(self, credentials: Credentials | None = None, host: str = "127.0.0.1") -> None:
        self.network = MemoryNetwork()
        self.credentials = credentials or self_signed(host)
        self.server = ServerSide(self.network)
        self.context = ServerContext(self.credentials)
        self.host = host
        self.pins: tuple[bytes, ...] = (self.credentials.pin,)
        self.handler = Recorder()
        self.listen(server_tls_factory(self.context, self.server, self.network))

    def listen(self, factory: Any) -> None:
        self.network.ports.clear()
        self.network.listenTCP(PORT, factory)

    def connect(self, authorities: Sequence[Any] = (), timeout: float = 30.0) -> Deferred[MessageProtocol]:
        link = ConnectLink(self.host, PORT, self.pins)
        connecting = connect(self.network, link, authorities, self.handler, timeout)
        deferred = Deferred.fromCoroutine(connecting)
        self.network.settle()
        return deferred

    def open(self) -> MessageProtocol:
        """A secured connection, the client's end."""
        protocols: list[MessageProtocol] = []
        self.connect().addCallback(protocols.append)
        [protocol] = protocols
        return protocol

    def refused(self, authorities: Sequence[Any] = ()) -> Failure:
        """The Failure that connecting ends with."""
        failures: list[TwistedFailure] = []
        self.connect(authorities).addErrback(failures.append)
        self.network.settle(1)
        [failure] = failures
        reason = failure.value
        if not isinstance(reason, Failure):
            raise AssertionError(f"not a Failure: {reason!r}")
        return reason

    def log_in(self) -> MessageProtocol:
        """A connection that is ready, the client's end."""
        client = self.open()
        client.send(m.Hello(client.next_number(), (1,), ()))
        self.network.settle()
        self.server.latest.send(m.Welcome(1, 1, (), b"p" * 32))
        self.network.settle()
        client.send(m.LogIn(client.next_number(), NUMBER, b"d" * 8, b"s" * 64))
        self.network.settle()
        self.server.latest.send(m.LoggedIn(2, None, 0, 0, 0))
        self.network.settle()
        return client

    @property
    def wire(self) -> Wire:
        return self.network.wires[-1]


def envelope(number: int, size: int = 90 * 1024) -> m.Push:
    return m.Push(number, NUMBER, b"d" * 8, b"x" * size)

class ConversationCase(SynchronousTestCase):
    """A test about one conversation."""
    def setUp(self) -> None:
        self.conversation = Conversation()
        self.network = self.conversation.network

    def raw(self, client: MessageProtocol, data: bytes) -> None:
        """Bytes that no client of ours would send."""
        client.transport.write(data)
        self.network.settle()

    def last_words(self) -> list[m.Refused]:
        return [each for each in self.conversation.handler.messages if isinstance(each, m.Refused)]

    def assert_over(self, client_says: str = "") -> None:
        """Both handlers were told once, and no delayed call is left."""
        self.network.settle(limits.CLOSE_SECONDS)
        [reason] = self.conversation.handler.reasons
        self.assertIn(client_says, reason.sentence)
        self.assertEqual(len(self.conversation.server.handler.reasons), 1)
        self.assertEqual(self.network.getDelayedCalls(), [])
