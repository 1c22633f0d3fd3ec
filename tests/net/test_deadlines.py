"""The deadlines of a connection, on both sides of each limit."""

from __future__ import annotations

from e2ee.errors import Code, Failure
from e2ee.net.handshake import TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.testing.transport import MemoryTransport
from e2ee.wire import limits
from e2ee.wire import messages as m
from e2ee.wire.connection import ServerConnection
from tests.net.conversation import ConversationCase


class LoginDeadlineTests(ConversationCase):
    """Ten seconds from the connection to the end of the login, whatever arrives meanwhile."""

    def test_a_connection_that_says_nothing(self) -> None:
        client = self.conversation.open()
        client._login.stop()  # the server's alone is looked at
        self.network.settle(limits.LOGIN_SECONDS - 0.01)
        self.assertEqual(self.last_words(), [])
        self.network.settle(0.01)
        self.assertEqual([each.code for each in self.last_words()], [m.RefusalCode.TIMEOUT])
        self.assert_over()

    def test_single_bytes_do_not_extend_it(self) -> None:
        client = self.conversation.open()
        client._login.stop()
        for byte in (b"\0", b"\0", b"\0", b"\x40", b"\x92", b"\xa4", b"p", b"i", b"n"):
            self.network.settle(1)
            self.raw(client, byte)
            self.assertEqual(self.last_words(), [])
        self.network.settle(1)
        self.assertEqual([each.code for each in self.last_words()], [m.RefusalCode.TIMEOUT])

    def test_a_tcp_connection_without_a_handshake(self) -> None:
        told: list[Failure] = []

        class Silent:
            def secured(self, tls: TlsFacts) -> None:
                raise AssertionError

            def received(self, message: m.Message) -> None:
                raise AssertionError

            def lost(self, reason: Failure) -> None:
                told.append(reason)

        protocol = MessageProtocol(ServerConnection(), self.network, Silent())
        host = self.network.listenTCP(1, self.conversation.server).getHost()
        transport = MemoryTransport(host, host)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.network.advance(limits.LOGIN_SECONDS - 0.01)
        self.assertFalse(transport.disconnecting)
        self.network.advance(0.01)
        self.assertTrue(transport.disconnecting)
        transport.deliver()
        self.assertEqual(len(told), 1)

    def test_a_login_stops_it(self) -> None:
        self.conversation.log_in()
        self.network.settle(limits.LOGIN_SECONDS + 1)
        self.assertEqual(self.conversation.handler.reasons, [])


class SilenceTests(ConversationCase):
    """A ping after 45 seconds of silence, the end after 90."""

    def pinged(self) -> int:
        return len(self.conversation.wire.from_client)

    def test_a_client_pings_after_45_seconds(self) -> None:
        self.conversation.log_in()
        before = self.pinged()
        self.network.settle(limits.PING_AFTER_SECONDS - 0.01)
        self.assertEqual(self.pinged(), before)
        self.network.settle(0.01)
        self.assertTrue(self.pinged() > before)

    def test_pings_keep_a_connection_for_hours(self) -> None:
        self.conversation.log_in()
        for _ in range(200):
            self.network.settle(44)
        self.assertEqual(self.conversation.handler.reasons, [])
        self.assertEqual(self.conversation.server.handler.reasons, [])

    def test_a_client_gives_up_after_90_seconds(self) -> None:
        self.conversation.log_in()
        self.conversation.wire.server.stalled = True
        self.network.settle(limits.IDLE_SECONDS / 2)
        self.network.settle(limits.IDLE_SECONDS / 2 - 0.01)
        self.assertEqual(self.conversation.handler.reasons, [])
        self.network.settle(0.01)
        self.network.settle(limits.CLOSE_SECONDS)
        self.assertIn("nothing was heard", self.conversation.handler.reasons[0].sentence)
        self.assertEqual(self.conversation.handler.reasons[0].code, Code.UNREACHABLE)

    def test_a_server_gives_up_after_90_seconds(self) -> None:
        client = self.conversation.log_in()
        client._silence.stop()  # the server's alone is looked at
        self.network.settle(limits.IDLE_SECONDS - 0.01)
        self.assertEqual(self.last_words(), [])
        self.network.settle(0.01)
        self.assertEqual([each.code for each in self.last_words()], [m.RefusalCode.TIMEOUT])
        self.network.settle(limits.CLOSE_SECONDS)
        self.assertEqual(len(self.conversation.server.handler.reasons), 1)
