"""Twisted's own TCP transport over sockets in memory, and a reactor that turns when a test says so.

What `e2ee.testing.transport` imitates is Twisted's here (`doWrite`, producers, ends); only the sockets are
not real.
"""

from __future__ import annotations

import errno
import itertools
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

_numbers = itertools.count(1000)


class MemorySocket:
    """One end; `room` is how many bytes it takes before it is full, None for all of them.

    Of a `reset` the first call that meets it is told, once, as Linux does it: later ones meet an end.
    """

    def __init__(self) -> None:
        self.other = self
        self.sent: list[bytes] = []
        self.tries = 0
        self.room: int | None = None
        self.reset = self.ended = self.broken = False
        self.arrived = b""
        self._number = next(_numbers)

    @property
    def readable(self) -> bool:
        return bool(self.arrived) or self.reset or self.ended

    @property
    def writable(self) -> bool:
        return self.room != 0 or self.reset or self.broken

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def setsockopt(self, *args: object) -> None:
        """SO_LINGER, which is set before a reset."""
        self.other.reset = True

    def shutdown(self, how: int) -> None:
        self.other.ended = True

    def close(self) -> None:
        self.other.ended = True

    def send(self, data: memoryview) -> int:
        self.tries += 1
        self._meet_reset()
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "broken")
        if data and self.room == 0:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        taken = bytes(data[: self.room])
        if self.room is not None:
            self.room -= len(taken)
        self.sent.append(taken)
        self.other.arrived += taken
        return len(taken)

    def recv(self, size: int) -> bytes:
        if not self.arrived:
            self._meet_reset()
            if not self.ended:
                raise BlockingIOError(errno.EWOULDBLOCK, "nothing yet")
        data, self.arrived = self.arrived[:size], self.arrived[size:]
        return data

    def _meet_reset(self) -> None:
        if self.reset:
            self.reset, self.ended, self.broken = False, True, True
            raise ConnectionResetError(errno.ECONNRESET, "reset")


@implementer(IReactorFDSet)
class TurningReactor(Clock):
    """Timed calls by `advance(0)`, sockets by `poll`; a real one does both in each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, None] = {}
        self.writers: dict[Any, None] = {}
        self.asked: list[Any] = []
        """Who wanted to be told when its socket is writable."""

    def addReader(self, reader: Any) -> None:
        self.readers[reader] = None

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def addWriter(self, writer: Any) -> None:
        self.asked.append(writer)
        self.writers[writer] = None

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def poll(self) -> bool:
        """Let everything read and write that can, once; whether there was anything."""
        ready = [(each, each.doRead) for each in self.readers if each.socket.readable]
        ready += [(each, each.doWrite) for each in self.writers if each.socket.writable]
        for descriptor, step in ready:
            if descriptor.connected and (why := step()):
                self.removeReader(descriptor)
                self.removeWriter(descriptor)
                descriptor.connectionLost(TwistedFailure(why))
        return bool(ready)

    def settle(self) -> None:
        """Turn until nothing moves any more."""
        for _ in range(100_000):
            self.advance(0)
            if not self.poll() and not self.getDelayedCalls():
                return
        raise AssertionError("the reactor does not come to rest")


class MemoryConnection(tcp.Connection):
    """One end of a connection, as a listening port would have made it."""

    def __init__(self, socket: MemorySocket, protocol: Any, reactor: TurningReactor) -> None:
        stand_in: Any = socket
        super().__init__(stand_in, protocol, reactor)
        self.connected = 1
        self.startReading()


class Heard(Protocol):
    """Keeps what it gets, and how it ended."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.reasons: list[TwistedFailure] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        self.reasons.append(reason)


class Pair:
    """Two protocols that the factories have made, and what is between them."""

    def __init__(self, reactor: TurningReactor, server: Any, client: Any) -> None:
        self.socket, far = MemorySocket(), MemorySocket()
        self.socket.other, far.other = far, self.socket
        self.tls = server.buildProtocol(None)
        far_tls = client.buildProtocol(None)
        self.descriptor = MemoryConnection(self.socket, self.tls, reactor)
        self.tls.makeConnection(self.descriptor)
        far_tls.makeConnection(MemoryConnection(far, far_tls, reactor))
        self.server, self.client = self.tls.wrappedProtocol, far_tls.wrappedProtocol
