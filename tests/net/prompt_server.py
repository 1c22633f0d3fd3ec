"""A server whose TLS sends promptly, over sockets in memory: for the tests of what leaves it, and when."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.testing.certificates import self_signed
from e2ee.wire.limits import ALPN
from tests.net.strangers import OtherClient, PlainFactory
from tests.net.turning import Heard, Pair, TurningReactor

CONTEXT = ServerContext(self_signed("127.0.0.1"))


@implementer(IPushProducer)
class Noted:
    """A producer that notes what it is told; `on_resume` is called then."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_resume: Any = lambda: None

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self.on_resume()

    def stopProducing(self) -> None:
        self.told.append("stop")


def other_clients(reactor: Any, kind: type[Heard] = Heard) -> TLSMemoryBIOFactory:
    """Clients with TLS as it comes."""
    creator = OtherClient(SSL.TLS1_3_VERSION, [ALPN])
    factory = TLSMemoryBIOFactory(creator, True, PlainFactory.forProtocol(kind), reactor)
    factory.protocol = TLSMemoryBIOProtocol
    return factory


class House:
    """The server and its clients."""

    def __init__(self) -> None:
        self.reactor = TurningReactor()
        self.factory = server_tls_factory(CONTEXT, Factory.forProtocol(Heard), self.reactor)
        self.clients = other_clients(self.reactor)

    def connect(self) -> Pair:
        """A connection whose handshake is done."""
        pair = Pair(self.reactor, self.factory, self.clients)
        self.reactor.settle()
        self.forget(pair)
        return pair

    def forget(self, pair: Pair) -> None:
        pair.socket.sent.clear()
        pair.socket.tries = 0


class PromptCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.reactor = self.house.reactor

    def tearDown(self) -> None:
        self.reactor.settle()

    def write(self, pair: Pair, *parts: bytes) -> None:
        for part in parts:
            pair.server.transport.write(part)

    def produce(self, pair: Pair) -> Noted:
        producer = Noted()
        pair.server.transport.registerProducer(producer, True)
        return producer
