"""The link over real TLS in memory: it trusts whom the connect link names, and nobody else."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.link import Link, LinkPhase, LinkState
from e2ee.client.linking.channel import connector
from e2ee.client.linking.known_server import KnownServer
from e2ee.crypto.own_device import create_device
from e2ee.crypto.signing import verify_login
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId
from e2ee.net.connect_link import ConnectLink
from e2ee.net.handshake import TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.store.client.identity import ServerRecord
from e2ee.testing.certificates import self_signed
from e2ee.testing.entropy import seeded_entropy
from e2ee.testing.network import MemoryNetwork
from e2ee.wire import messages as m
from e2ee.wire.connection import ServerConnection

ALICE = Address("+15550100101")
PORT = 8443


class Doorkeeper:
    """The server's end of one connection: greets, and checks a login with its own exporter."""

    def __init__(self) -> None:
        self.own = create_device(ALICE, 1, seeded_entropy("alice"))
        self.protocol: MessageProtocol | None = None
        self.tls: TlsFacts | None = None

    def secured(self, tls: TlsFacts) -> None:
        self.tls = tls

    def received(self, message: m.Message) -> None:
        assert self.protocol is not None
        assert self.tls is not None
        if isinstance(message, m.Hello):
            self.protocol.send(m.Welcome(message.n, 1, (), b"\xb2" * 32))
        elif isinstance(message, m.LogIn):
            key, digest = self.own.statement.device_signing_key, self.own.statement_hash
            device = DeviceId(message.device)
            verify_login(key, self.tls.exporter, ALICE, device, digest, message.signature)
            self.protocol.send(m.LoggedIn(message.n, None, 0, 0, 0))

    def lost(self, reason: Failure) -> None:
        pass


class TlsTests(SynchronousTestCase):
    """One server with a self-made certificate."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.network.names["server.example"] = "127.0.0.1"
        self.credentials = self_signed("server.example")
        factory: Factory[MessageProtocol] = Factory()
        factory.buildProtocol = self.build  # type: ignore[method-assign, assignment]
        context = ServerContext(self.credentials)
        self.network.listenTCP(PORT, server_tls_factory(context, factory, self.network))
        self.states: list[LinkState] = []

    def build(self, address: object) -> MessageProtocol:
        handler = Doorkeeper()
        handler.protocol = MessageProtocol(ServerConnection(), self.network, handler)
        return handler.protocol

    def link(self, place: ConnectLink, ca: bytes | None = None) -> Link:
        link = Link(
            self.network,
            connector(self.network),
            KnownServer(ServerRecord(str(place), ca), lambda record: succeed(None)),
            create_device(ALICE, 1, seeded_entropy("alice")),
            seeded_entropy("backoff"),
            on_push=lambda message: None,
            on_state=self.states.append,
        )
        link.start()
        self.network.settle()
        return link

    def place(self) -> ConnectLink:
        return ConnectLink("server.example", PORT, (self.credentials.pin, b"\xb2" * 32))

    def assert_stopped(self, code: Code) -> None:
        failure = self.states[-1].failure
        assert failure is not None
        self.assertEqual((self.states[-1].phase, failure.code), (LinkPhase.STOPPED, code))

    def test_the_right_server_is_logged_in_to_with_a_post_quantum_key_exchange(self) -> None:
        link = self.link(self.place())
        self.assertEqual(self.states[-1].phase, LinkPhase.UP)
        self.assertEqual(self.states[-1].key_exchange, "X25519MLKEM768")
        stopped = Deferred.fromCoroutine(link.stop())
        self.network.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_a_wrong_pin_is_the_end(self) -> None:
        self.link(replace(self.place(), pins=(b"\x01" * 32,)))
        self.assert_stopped(Code.PIN_MISMATCH)

    def test_another_name_is_the_end(self) -> None:
        self.network.names["other.example"] = "127.0.0.1"
        self.link(replace(self.place(), host="other.example"))
        self.assert_stopped(Code.NAME_MISMATCH)

    def test_another_ca_is_the_end(self) -> None:
        other = self_signed("other.example").to_pem()
        self.link(self.place(), ca=other)
        self.assert_stopped(Code.CERTIFICATE)

    def test_nobody_there_is_tried_again(self) -> None:
        link = self.link(replace(self.place(), port=9))
        self.network.settle(0.3)  # the endpoint waits for another address before it gives up
        self.assertEqual(self.states[-1].phase, LinkPhase.DOWN)
        self.successResultOf(Deferred.fromCoroutine(link.stop()))

    def test_a_lost_connection_is_made_again(self) -> None:
        self.link(self.place())
        self.network.wires[-1].cut()
        self.network.settle()
        self.assertEqual(self.states[-1].phase, LinkPhase.DOWN)
        self.network.settle(1.0)
        self.assertEqual(self.states[-1].phase, LinkPhase.UP)
        self.assertEqual(len(self.network.wires), 2)
