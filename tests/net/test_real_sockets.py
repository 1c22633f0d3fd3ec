"""The same over real sockets: what the network in memory might get wrong about Twisted's transports."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from e2ee.errors import Code, Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.net.connecting import connect
from e2ee.net.protocol import MessageProtocol
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.testing.certificates import self_signed
from e2ee.wire import messages as m
from e2ee.wire.connection import ServerConnection
from e2ee.wire.limits import NOTICE_ENVELOPES
from tests.net.conversation import NUMBER, Recorder

NOTICES = 500
"""Of 18 KB each: more than two sockets hold, and unlike envelopes not bounded by a window."""


class Answering(Recorder):
    """The server's handler: greets, logs in, answers look-ups; tells when the connection is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: MessageProtocol
        self.gone: Deferred[None] = Deferred()

    def received(self, message: m.Message) -> None:
        super().received(message)
        if isinstance(message, m.Hello):
            self.protocol.send(m.Welcome(message.n, 1, (), b"p" * 32))
        elif isinstance(message, m.LogIn):
            self.protocol.send(m.LoggedIn(message.n, None, 0, 0, 0))
        elif isinstance(message, m.LookUp):
            self.protocol.send(m.LookedUp(message.n, b"statement"))

    def lost(self, reason: Failure) -> None:
        super().lost(reason)
        self.gone.callback(None)


class Asking(Recorder):
    """The client's handler: what came can be waited for, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[type[m.Message], int, Deferred[None]]] = []
        self.gone: Deferred[None] = Deferred()

    def wait_for(self, kind: type[m.Message], count: int = 1) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self.waiting.append((kind, count, deferred))
        return deferred

    def received(self, message: m.Message) -> None:
        super().received(message)
        for kind, count, deferred in list(self.waiting):
            if sum(isinstance(each, kind) for each in self.messages) >= count:
                self.waiting.remove((kind, count, deferred))
                deferred.callback(None)

    def lost(self, reason: Failure) -> None:
        super().lost(reason)
        self.gone.callback(None)


class ServerFactory(Factory[MessageProtocol]):
    noisy = False

    def buildProtocol(self, addr: object) -> MessageProtocol:
        self.handler = Answering()
        self.handler.protocol = MessageProtocol(ServerConnection(), _reactor(), self.handler)
        return self.handler.protocol


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor


class RealSocketTests(TestCase):
    """One server on 127.0.0.1."""

    timeout = 300

    async def listen(self) -> ConnectLink:
        credentials = self_signed("127.0.0.1", "localhost")
        self.server = ServerFactory()
        factory = server_tls_factory(ServerContext(credentials), self.server, _reactor())
        port = await TCP4ServerEndpoint(_reactor(), 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        return ConnectLink("localhost", port.getHost().port, (credentials.pin,))

    async def log_in(self) -> tuple[MessageProtocol, Asking]:
        link = await self.listen()
        handler = Asking()
        client = await connect(_reactor(), link, (), handler, 120)
        for message, answer in (
            (m.Hello(client.next_number(), (1,), ()), m.Welcome),
            (m.LogIn(client.next_number(), NUMBER, b"d" * 8, b"s" * 64), m.LoggedIn),
        ):
            client.send(message)
            await handler.wait_for(answer)
        return client, handler

    async def end(self, client: MessageProtocol, handler: Asking) -> None:
        client.close()
        await handler.gone
        await self.server.handler.gone

    async def test_a_login_and_an_orderly_end(self) -> None:
        client, handler = await self.log_in()
        self.assertEqual(handler.facts.group, "X25519MLKEM768")
        self.assertEqual(handler.facts.exporter, self.server.handler.facts.exporter)
        await self.end(client, handler)

    async def test_a_last_word_arrives_before_the_end(self) -> None:
        _, handler = await self.log_in()
        self.server.handler.protocol.close(m.RefusalCode.DISPLACED, "a newer connection")
        await handler.gone
        await self.server.handler.gone
        self.assertEqual(
            handler.messages[-1], m.Refused(None, m.RefusalCode.DISPLACED, "a newer connection")
        )

    async def test_another_pin(self) -> None:
        link = await self.listen()
        handler = Asking()
        wrong = ConnectLink(link.host, link.port, (b"x" * 32,))
        try:
            await connect(_reactor(), wrong, (), handler, 120)
        except Failure as failure:
            self.assertEqual(failure.code, Code.PIN_MISMATCH)
        else:
            self.fail("it was believed")
        await self.server.handler.gone
        self.assertEqual(self.server.handler.messages, [])
        self.assertEqual(handler.reasons, [])

    async def test_a_port_that_nobody_listens_on(self) -> None:
        link = await self.listen()
        nobody = ConnectLink("127.0.0.1", 1, link.pins)
        try:
            await connect(_reactor(), nobody, (), Asking(), 120)
        except Failure as failure:
            self.assertEqual(failure.code, Code.UNREACHABLE)
        else:
            self.fail("somebody listens on port 1")

    async def test_a_client_that_does_not_read_is_not_read_from_until_it_does(self) -> None:
        client, handler = await self.log_in()
        server = self.server.handler.protocol
        client.transport.pauseProducing()
        ids = (b"e" * 16,) * NOTICE_ENVELOPES
        for number in range(1, NOTICES + 1):
            server.send(m.Notice(number, m.NoticeReason.EXPIRED, ids))
        paused: Deferred[None] = Deferred()
        _reactor().callLater(0, paused.callback, None)
        await paused
        self.assertFalse(server.transport.transport in _reactor().getReaders())
        client.transport.resumeProducing()
        await handler.wait_for(m.Notice, NOTICES)
        client.send(m.LookUp(client.next_number(), NUMBER))
        await handler.wait_for(m.LookedUp)
        await self.end(client, handler)
