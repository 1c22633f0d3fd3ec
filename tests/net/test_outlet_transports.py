"""What TLS sends promptly through: sockets of all kinds, a front's wrapper; and what it leaves as it is."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure as TwistedFailure
from twisted.trial.unittest import TestCase

from e2ee.net.fronted import FrontedFactory
from e2ee.net.outlet import socket_under
from e2ee.net.tls import server_tls_factory
from e2ee.testing.network import MemoryNetwork
from tests.net.conversation import APPLICATION, PORT, records
from tests.net.prompt_server import CONTEXT, Noted, PromptCase, other_clients
from tests.net.test_fronted import VERSION_1
from tests.net.turning import Heard, Pair

MANY, PART = 500, 18_000
"""More than two sockets and their buffers hold."""


class Remembering(Factory[Any]):
    """Keeps what it has made."""

    noisy = False

    def __init__(self, kind: type[Heard] = Heard) -> None:
        self.kind = kind
        self.made: list[Any] = []

    def buildProtocol(self, addr: object) -> Any:
        self.made.append(self.kind())
        return self.made[-1]


class WrapperTests(PromptCase):
    """Between TLS and the socket, or in the place of the socket."""

    def test_behind_a_front_the_socket_under_the_wrapper_sends_promptly(self) -> None:
        inner = Remembering()
        secured = server_tls_factory(CONTEXT, inner, self.reactor)
        outer = HAProxyWrappingFactory(FrontedFactory(secured, self.reactor, 1, lambda: None))
        pair = Pair(self.reactor, outer, self.house.clients)
        pair.socket.arrived = VERSION_1 + pair.socket.arrived
        self.reactor.settle()
        self.house.forget(pair)
        [server] = inner.made
        for part in (b"through ", b"the ", b"front"):
            server.transport.write(part)
        self.reactor.advance(0)
        self.assertEqual(len(pair.socket.sent), 1)
        self.assertNotIn(pair.descriptor, self.reactor.asked)
        server.transport.loseConnection()
        self.reactor.settle()
        self.assertEqual((pair.client.data, len(server.reasons)), (b"through the front", 1))

    def test_another_tls_below_is_not_passed_by(self) -> None:
        inner = Remembering()
        secured = server_tls_factory(CONTEXT, inner, self.reactor)
        twice = TLSMemoryBIOFactory(CONTEXT, False, secured, self.reactor)
        clients = other_clients(self.reactor)
        clients.wrappedFactory = other_clients(self.reactor)
        pair = Pair(self.reactor, twice, clients)
        self.reactor.settle()
        inner.made[0].transport.write(b"inside of both")
        self.reactor.settle()
        self.assertEqual(pair.client.wrappedProtocol.data, b"inside of both")

    def test_where_there_is_no_socket_writes_are_only_written(self) -> None:
        self.assertIsNone(socket_under(StringTransport()))
        network, inner = MemoryNetwork(), Remembering()
        network.listenTCP(PORT, server_tls_factory(CONTEXT, inner, network))
        network.connectTCP("127.0.0.1", PORT, other_clients(network))
        network.settle()
        [server], [wire] = inner.made, network.wires
        before = len(wire.from_server)
        for part in (b"as ", b"one"):
            server.transport.write(part)
        network.settle()
        self.assertEqual(records(wire.from_server[before:]), [APPLICATION])
        self.assertEqual(wire.client.protocol.wrappedProtocol.data, b"as one")


class Awaited(Heard):
    """What it hears, and its end, can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[tuple[int, Deferred[None]]] = []
        self.gone: Deferred[None] = Deferred()

    def wait_for(self, size: int) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self.expected.append((size, deferred))
        return deferred

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.expected and len(self.data) >= self.expected[0][0]:
            self.expected.pop(0)[1].callback(None)

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        super().connectionLost(reason)
        if len(self.reasons) == 1:
            self.gone.callback(None)


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor


class SocketTests(TestCase):
    """Real ones."""

    timeout = 300

    async def connect(self, server_end: Any, client_end: Any = None) -> tuple[Awaited, Awaited]:
        inner = Remembering(Awaited)
        port = await server_end.listen(server_tls_factory(CONTEXT, inner, _reactor()))
        self.addCleanup(port.stopListening)
        if client_end is None:
            client_end = TCP4ClientEndpoint(_reactor(), "127.0.0.1", port.getHost().port)
        client = (await client_end.connect(other_clients(_reactor(), Awaited))).wrappedProtocol
        client.transport.write(b"hello")
        while not (inner.made and inner.made[0].data):
            await deferLater(_reactor(), 0.01)
        return inner.made[0], client

    async def end(self, server: Awaited, client: Awaited) -> None:
        server.transport.loseConnection()
        await client.gone
        await server.gone
        self.assertEqual((len(server.reasons), len(client.reasons)), (1, 1))

    def tcp(self) -> TCP4ServerEndpoint:
        return TCP4ServerEndpoint(_reactor(), 0, interface="127.0.0.1")

    async def test_a_peer_that_does_not_read_gets_all_of_it_later(self) -> None:
        server, client = await self.connect(self.tcp())
        producer = Noted()
        server.transport.registerProducer(producer, True)
        client.transport.pauseProducing()
        for number in range(MANY):
            server.transport.write(b"%08d" % number + bytes(PART))
            if not number % 10:
                await deferLater(_reactor(), 0)
        self.assertEqual((producer.told[0], producer.told[-1]), ("pause", "pause"))
        heard = client.wait_for(MANY * (8 + PART))
        client.transport.resumeProducing()
        await heard
        self.assertEqual(client.data, b"".join(b"%08d" % number + bytes(PART) for number in range(MANY)))
        server.transport.unregisterProducer()
        await self.end(server, client)

    async def test_a_peer_that_resets_is_lost_once(self) -> None:
        for reading in (True, False):
            server, client = await self.connect(self.tcp())
            if not reading:
                server.transport.pauseProducing()
            client.transport.abortConnection()
            # Later in the same turn, so that it is the prompt send that meets the reset.
            server.transport.write(b"into the void")
            await server.gone
            await client.gone
            server.transport.write(b"and more")
            await deferLater(_reactor(), 0.01)
            self.assertEqual(client.data, b"")
            [reason] = server.reasons
            reason.trap(ConnectionLost)

    async def test_a_unix_socket(self) -> None:
        path = self.mktemp()[-80:].replace("/", "-")
        server, client = await self.connect(
            UNIXServerEndpoint(_reactor(), path), UNIXClientEndpoint(_reactor(), path)
        )
        heard = client.wait_for(11)
        for part in (b"as ", b"a ", b"record"):
            server.transport.write(part)
        await heard
        self.assertEqual(client.data, b"as a record")
        await self.end(server, client)
