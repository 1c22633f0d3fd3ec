"""Behind a front that sends the PROXY header: who somebody is stands in it, before anything is counted."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.fronted import FrontedFactory, behind_front, is_fronted
from e2ee.server.source import source_of
from e2ee.testing.transport import MemoryTransport
from e2ee.wire.limits import LOGIN_SECONDS

MOST = 3
FRONT = IPv4Address("TCP", "10.0.0.1", 40_000)
VERSION_1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 8443\r\n"
VERSION_1_IPV6 = b"PROXY TCP6 2001:db8:1:2:3::4 2001:db8::1 56324 8443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 56324, 8443)
VERSION_2 = SIGNATURE + b"\x21\x11" + struct.pack(">H", len(ADDRESSES)) + ADDRESSES
ADDRESSES_6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8:1:2:3::4") + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack(">HH", 56324, 8443)
)  # fmt: skip
VERSION_2_IPV6 = SIGNATURE + b"\x21\x21" + struct.pack(">H", len(ADDRESSES_6)) + ADDRESSES_6
VERSION_2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
"""The front asks for itself, whether the server lives."""


class Inner(Protocol):
    """Keeps what it gets."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.made = self.gone = False
        self.data = b""

    def connectionMade(self) -> None:
        self.made = True

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.gone = True


class InnerFactory(Factory[Inner]):
    """Keeps what it made; none any more when `full`."""

    def __init__(self) -> None:
        self.made: list[Inner] = []
        self.full = False

    def buildProtocol(self, addr: Any) -> Inner | None:
        """As the server's factory asks for the source."""
        if self.full:
            return None
        self.made.append(Inner(source_of(addr.host)))
        return self.made[-1]


class FrontedTests(SynchronousTestCase):
    """Twisted's own wrapper, as `haproxy:tcp:8443` makes it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.connected: list[tuple[Any, MemoryTransport]] = []
        self.inner = InnerFactory()
        self.cut = 0
        self.outer = HAProxyWrappingFactory(FrontedFactory(self.inner, self.clock, MOST, self.note_cut))

    def note_cut(self) -> None:
        self.cut += 1

    def tearDown(self) -> None:
        for _, transport in self.connected:
            transport.abortConnection()
            transport.deliver()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self) -> tuple[Any, MemoryTransport]:
        protocol = self.outer.buildProtocol(FRONT)
        transport = MemoryTransport(FRONT, FRONT)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.connected.append((protocol, transport))
        return protocol, transport

    def source_behind(self, header: bytes) -> str:
        protocol, _ = self.connect()
        protocol.dataReceived(header + b"hello")
        made = self.inner.made[-1]
        self.assertEqual((made.made, made.data), (True, b"hello"))
        protocol.dataReceived(b" again")
        self.assertEqual(made.data, b"hello again")
        return made.source

    def test_the_source_is_the_one_in_the_header(self) -> None:
        self.assertEqual(self.source_behind(VERSION_1), "192.0.2.7")
        self.assertEqual(self.source_behind(VERSION_2), "192.0.2.7")

    def test_an_ipv6_address_counts_with_its_network(self) -> None:
        self.assertEqual(self.source_behind(VERSION_1_IPV6), "2001:db8:1:2::/64")
        self.assertEqual(self.source_behind(VERSION_2_IPV6), "2001:db8:1:2::/64")

    def test_without_an_address_the_front_itself_counts(self) -> None:
        self.assertEqual(self.source_behind(b"PROXY UNKNOWN 192.0.2.7 198.51.100.1 1 2\r\n"), FRONT.host)
        self.assertEqual(self.source_behind(VERSION_2_LOCAL), FRONT.host)

    def test_a_header_in_pieces(self) -> None:
        protocol, _ = self.connect()
        for part in (VERSION_1[:20], VERSION_1[20:], b"h", b"i"):
            protocol.dataReceived(part)
        (made,) = self.inner.made
        self.assertEqual((made.source, made.data), ("192.0.2.7", b"hi"))

    def test_nobody_is_counted_before_the_first_byte_behind_the_header(self) -> None:
        protocol, _ = self.connect()
        self.assertEqual(self.inner.made, [])
        protocol.dataReceived(VERSION_1)
        self.assertEqual(self.inner.made, [])
        protocol.dataReceived(b"x")
        self.assertEqual(len(self.inner.made), 1)

    def test_that_byte_has_the_time_of_a_login(self) -> None:
        protocol, transport = self.connect()
        self.clock.advance(LOGIN_SECONDS / 2)
        protocol.dataReceived(VERSION_1)
        self.clock.advance(LOGIN_SECONDS / 2 - 0.01)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(0.01)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.inner.made, [])

    def test_of_too_many_that_wait_for_it_the_oldest_is_cut(self) -> None:
        waiting = [self.connect() for _ in range(MOST)]
        for protocol, _ in waiting:
            protocol.dataReceived(VERSION_1)
        self.assertEqual(self.cut, 0)
        for number in range(1, MOST):
            self.connect()
            cut = [transport.disconnecting for _, transport in waiting]
            self.assertEqual((self.cut, cut), (number, [True] * number + [False] * (MOST - number)))
        waiting[-1][0].dataReceived(b"x")
        self.assertEqual(len(self.inner.made), 1)

    def test_who_has_sent_it_or_is_gone_does_not_wait(self) -> None:
        for _ in range(MOST):
            protocol, transport = self.connect()
            protocol.dataReceived(VERSION_1 + b"x")
            _, transport = self.connect()
            transport.abortConnection()
            transport.deliver()
        for _ in range(MOST):
            self.connect()
        self.assertEqual(self.cut, 0)
        self.connect()
        self.assertEqual(self.cut, 1)
        self.assertFalse(any(transport.disconnecting for _, transport in self.connected[: 2 * MOST : 2]))

    def test_without_a_header_nobody_comes_in(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.inner.made, [])
        transport.deliver()

    def test_the_end_is_told(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(VERSION_1 + b"x")
        transport.abortConnection()
        transport.deliver()
        self.assertTrue(self.inner.made[0].gone)

    def test_where_nobody_is_taken_it_is_cut(self) -> None:
        self.inner.full = True
        protocol, transport = self.connect()
        protocol.dataReceived(VERSION_1 + b"x")
        self.assertTrue(transport.disconnecting)

    def test_only_where_the_endpoint_says_so(self) -> None:
        for listen in ("tcp:8443", "tcp6:8443", "systemd:domain=INET6:index=0"):
            self.assertIs(behind_front(listen, self.inner, self.clock, MOST, self.note_cut), self.inner)
            self.assertFalse(is_fronted(listen))
        fronted = behind_front("haproxy:tcp:8443", self.inner, self.clock, MOST, self.note_cut)
        self.assertIsInstance(fronted, FrontedFactory)
        self.assertTrue(is_fronted("haproxy:tcp:8443"))
