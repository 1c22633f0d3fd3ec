"""A TCP connection in memory that moves bytes only when it is told to. Knows nothing of TLS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

FULL_BUFFER_BYTES: Final = 64 * 1024
"""Above this a transport pauses its producer, like Twisted's own."""


@dataclass
class Wire:
    """One TCP connection from the outside: what each side has written so far."""

    client: MemoryTransport
    server: MemoryTransport

    @property
    def from_client(self) -> bytes:
        """Every byte that the client has given to TCP, even if an abort dropped it afterwards."""
        return bytes(self.client.written)

    @property
    def from_server(self) -> bytes:
        """The same for the server."""
        return bytes(self.server.written)

    def cut(self) -> None:
        """Break the cable: both ends notice at once, what was on its way is lost."""
        for end in (self.client, self.server):
            end.end(error.ConnectionLost("the wire was cut"))


@implementer(ITCPTransport)
class MemoryTransport:
    """One end of a connection. Bytes move when the network's `deliver` or `settle` is called."""

    disconnecting = False

    def __init__(self, host: IPv4Address | IPv6Address, peer: IPv4Address | IPv6Address) -> None:
        self.protocol: Any = None
        self.other: MemoryTransport | None = None
        self.written = bytearray()
        self.waiting = bytearray()
        self.stalled = False
        """Set it to keep everything that this end writes in its buffer: the other side does not read."""
        self._host = host
        self._peer = peer
        self._producer: Any = None
        self._producer_paused = False
        self._reading = True
        self._no_delay = False
        self._gone = False

    @property
    def reading(self) -> bool:
        """Whether this end takes what the other writes."""
        return self._reading and not self._gone

    def write(self, data: bytes) -> None:
        """Into the buffer; a full one pauses the producer."""
        if self._gone or (self.disconnecting and self._producer is None):
            return
        self.written += data
        self.waiting += data
        if len(self.waiting) > FULL_BUFFER_BYTES and self._producer and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Several at once."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """End once the buffer is empty and the producer is gone."""
        self.disconnecting = True

    def abortConnection(self) -> None:
        """End at the next delivery; the buffer is dropped."""
        self.waiting.clear()
        self.unregisterProducer()
        self.disconnecting = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Push producers only."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """No producer any more."""
        self._producer = None
        self._producer_paused = False

    def pauseProducing(self) -> None:
        """Do not read."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self._reading = True

    def stopProducing(self) -> None:
        """The same as an end."""
        self.loseConnection()

    def loseWriteConnection(self) -> None:
        """Half-closed connections are not imitated."""
        self.loseConnection()

    def getHost(self) -> IPv4Address | IPv6Address:
        """This end's address."""
        return self._host

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The other end's address."""
        return self._peer

    def getTcpNoDelay(self) -> bool:
        """As it was set."""
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Noted, without effect: nothing is ever held back here."""
        self._no_delay = enabled

    def getTcpKeepAlive(self) -> bool:
        """As TCP has it."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing to set."""

    def deliver(self) -> bool:
        """Move what this end has written, if the other end reads; whether anything happened."""
        moved = self._move()
        if not self.waiting and not self._gone:
            if self._producer_paused:
                self._producer_paused = False
                self._producer.resumeProducing()
                return True
            if self.disconnecting and self._producer is None:
                self._finish()
                return True
        return moved

    def end(self, reason: Exception) -> None:
        """This end is told that the connection is gone."""
        if not self._gone:
            self._gone = True
            self.waiting.clear()
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))

    def _move(self) -> bool:
        if not self.waiting or self.stalled or self.other is None or not self.other.reading:
            return False
        data = bytes(self.waiting)
        self.waiting.clear()
        self.other.protocol.dataReceived(data)
        return True

    def _finish(self) -> None:
        other = self.other
        self.end(error.ConnectionDone())
        if other is not None:
            # What the other side had written to a closed end is lost, as with TCP.
            other.end(error.ConnectionDone())
