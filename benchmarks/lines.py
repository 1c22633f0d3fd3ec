"""The load's end of a connection, as cheap as it can be: it must not be what is measured.

A line sends envelopes to its partner, acknowledges what comes to it, and calls somebody when its own
are answered. There is one kind for e2ee and one for each yardstick; all carry the same bytes.
"""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL.SSL import Connection
from twisted.internet import ssl
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from benchmarks import bare_mailbox, bare_relay
from benchmarks.bare_server import NAME_BYTES
from benchmarks.residents import TOKEN, Resident
from e2ee.net.handshake import read_facts
from e2ee.wire import codec
from e2ee.wire import messages as m
from e2ee.wire.limits import ALPN, PROTOCOL_VERSION

Done = Callable[[], None]
AT_ONCE = 50
"""Connections that are being made at one time."""


@implementer(IHandshakeListener)
class Line(Int32StringReceiver):
    """`ready` fires when it is logged in; `arrived` is called with each envelope that comes."""

    MAX_LENGTH = 128 * 1024
    transport: Any

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.arrived: Callable[[bytes], None] = lambda envelope: None
        self.count = 0
        self.partner: Line = self

    def connectionMade(self) -> None:
        """TCP is up."""
        self.transport.setTcpNoDelay(True)

    @abstractmethod
    def handshakeCompleted(self) -> None:
        """TLS is up: log in."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """A login that does not come about is an error; later ends are none."""
        if not self.ready.called:
            self.ready.errback(reason)

    @abstractmethod
    def submit(self, envelope: bytes, done: Done) -> None:
        """Send to the partner; `done` is called with the answer."""

    def _came(self, envelope: bytes) -> None:
        self.count += 1
        self.arrived(envelope)


class OurLine(Line):
    """A resident on an e2ee server; `refused` keeps what the server would not do."""

    def __init__(self, resident: Resident) -> None:
        super().__init__()
        self.resident = resident
        self.refused: list[m.Message] = []
        self._answers: dict[int, Done] = {}
        self._last = 2

    def handshakeCompleted(self) -> None:
        """Greet; the login follows the answer."""
        self._say(m.Hello(1, (PROTOCOL_VERSION,), ()))

    def submit(self, envelope: bytes, done: Done) -> None:
        """With the contact token: on the fast path where the policy lets it."""
        other = self.partner
        if not isinstance(other, OurLine):
            raise TypeError("the partner is on another server")
        self._last += 1
        self._answers[self._last] = done
        own = other.resident.own
        self._say(m.Send(self._last, str(own.address), own.statement_hash, TOKEN, envelope, _state_token()))

    def stringReceived(self, string: bytes) -> None:
        message = codec.decode_server(string)
        if isinstance(message, m.Push):
            envelope_id = hashlib.sha256(message.envelope).digest()[:16]
            self._say(m.Acknowledge(message.push, envelope_id, m.Verdict.OPENED))
            self._came(message.envelope)
        elif isinstance(message, m.Accepted):
            self._answers.pop(message.n)()
        elif isinstance(message, m.Welcome):
            own = self.resident.own
            signature = own.sign_login(read_facts(self.transport).exporter)
            self._say(m.LogIn(2, str(own.address), bytes(own.device), signature))
        elif isinstance(message, m.LoggedIn):
            self.ready.callback(None)
        elif isinstance(message, m.Refused):
            self.refused.append(message)
            if message.n in self._answers:
                self._answers.pop(message.n)()

    def _say(self, message: m.Message) -> None:
        self.sendString(codec.encode(message))


class StalledLine(OurLine):
    """Logs in and never reads again."""

    def stringReceived(self, string: bytes) -> None:
        super().stringReceived(string)
        if self.ready.called:
            self.transport.pauseProducing()


class BareLine(Line):
    """What the yardsticks share. Payloads are as long as the messages of e2ee."""

    log_in = b""
    example = m.Send(1000, "+15550100101", bytes(32), TOKEN, b"x" * 300, bytes(40))
    send_overhead = len(codec.encode(example)) - 300
    acknowledgement = codec.encode(m.Acknowledge(1000, bytes(16), m.Verdict.OPENED))

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = number.to_bytes(NAME_BYTES, "big")
        self._answers: deque[Done] = deque()

    def handshakeCompleted(self) -> None:
        """Give the own name."""
        self.sendString(self.log_in + self.name)

    def _payload(self, envelope: bytes) -> bytes:
        return envelope + bytes(self.send_overhead - NAME_BYTES - 1)

    def _partner_name(self) -> bytes:
        if not isinstance(self.partner, BareLine):
            raise TypeError("the partner is on another server")
        return self.partner.name


class RelayLine(BareLine):
    """A client of `bare_relay`."""

    log_in = bare_relay.LOG_IN

    def submit(self, envelope: bytes, done: Done) -> None:
        self._answers.append(done)
        self.sendString(bare_relay.MESSAGE + self._partner_name() + self._payload(envelope))

    def stringReceived(self, string: bytes) -> None:
        kind, name = string[:1], string[1 : 1 + NAME_BYTES]
        if kind == bare_relay.MESSAGE:
            self.sendString(bare_relay.ACKNOWLEDGE + name + self.acknowledgement)
            self._came(string[1 + NAME_BYTES :])
        elif kind == bare_relay.LOG_IN:
            self.ready.callback(None)
        else:
            self._answers.popleft()()


class MailboxLine(BareLine):
    """A client of `bare_mailbox`."""

    log_in = bare_mailbox.LOG_IN

    def submit(self, envelope: bytes, done: Done) -> None:
        self._answers.append(done)
        self.sendString(bare_mailbox.SUBMIT + self._partner_name() + self._payload(envelope))

    def fetch(self) -> None:
        """Ask for what waits."""
        self.sendString(bare_mailbox.FETCH)

    def stringReceived(self, string: bytes) -> None:
        kind, row = string[:1], string[1 : 1 + bare_mailbox.ROW_BYTES]
        if kind == bare_mailbox.FETCH:
            self.sendString(bare_mailbox.ACKNOWLEDGE + row + self.acknowledgement)
            self._came(string[1 + bare_mailbox.ROW_BYTES :])
        elif kind == bare_mailbox.LOG_IN:
            self.ready.callback(None)
        else:
            self._answers.popleft()()


@implementer(IOpenSSLClientConnectionCreator)
class Unchecked:
    """TLS 1.3 without judging the server: the load is not what is measured."""

    def __init__(self) -> None:
        self._context = ssl.CertificateOptions(verify=False, raiseMinimumTo=ssl.TLSVersion.TLSv1_3)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Connection:
        """What Twisted asks for."""
        connection = Connection(self._context.getContext(), None)
        connection.set_alpn_protos([ALPN])
        return connection


async def connect_all(reactor: Any, port: int, lines: Sequence[Line]) -> None:
    """Connect and log in, AT_ONCE at a time."""
    tls = Unchecked()

    async def connect(line: Line) -> None:
        await connectProtocol(wrapClientTLS(tls, HostnameEndpoint(reactor, "127.0.0.1", port)), line)
        await line.ready

    for begin in range(0, len(lines), AT_ONCE):
        some = lines[begin : begin + AT_ONCE]
        await gatherResults([Deferred.fromCoroutine(connect(line)) for line in some])


async def disconnect_all(reactor: Any, lines: Sequence[Line]) -> None:
    """Cut them all, and give the server time to notice."""
    for line in lines:
        line.transport.abortConnection()
    await deferLater(reactor, 0.5)


def pair_up(lines: Sequence[Line]) -> list[Line]:
    """The senders: each even line sends to the odd one behind it."""
    for sender, recipient in zip(lines[::2], lines[1::2], strict=True):
        sender.partner = recipient
    return list(lines[::2])


def _state_token() -> bytes:
    """As long as a client's, and with a counter that grows with each envelope, as theirs."""
    return time.monotonic_ns().to_bytes(8, "big") + bytes(32)
