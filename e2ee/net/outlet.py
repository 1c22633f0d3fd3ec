"""What TLS has encrypted goes to the socket at once, as far as it takes it.

A transport of Twisted's keeps what is written until the reactor has found the socket writable, which is a
round of the reactor and two system calls for what most often fits at once: a server pays for both with each
message. Knows bytes and what carries them, not what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy


class Outlet:
    """The transport below one TLS connection: like `below`, but for when bytes leave.

    `socket` is what owns the socket there. All that is written passes here, in order: what the socket does
    not take is left to the reactor, as by a write of its own that took a part, and the rest behind that.
    """

    _below: Any = None  # in the class, too, or `__getattr__` would ask itself for it in one half made

    def __init__(self, below: ITransport, socket: Connection) -> None:
        self._below = below
        self._socket = socket
        self._shut = False
        directlyProvides(self, providedBy(below))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def write(self, data: bytes) -> None:
        """See `ITransport.write`; calls nobody back but a producer that `below` pauses."""
        socket = self._socket
        # One that ends has the reactor's attention until it has ended; one that has ended drops it.
        if socket.dataBuffer or socket.disconnecting or self._shut or not socket.connected:
            self._below.write(data)
            return
        sent = socket.writeSomeData(data)
        if sent != len(data):
            # An error is met again, and judged, by the reactor. Not through `write`, which would keep it
            # where nobody can see that something waits. TLS writes 32 KiB at most: too few to pause anybody.
            socket.dataBuffer = data[sent:] if isinstance(sent, int) else data
            socket.startWriting()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """See `ITransport.writeSequence`."""
        self.write(b"".join(iovec))

    def shut(self) -> None:
        """From now on nothing is sent from here: it waits for the reactor, or for an abort to drop it."""
        self._shut = True


class PromptTLS(BufferingTLSTransport):
    """TLS of one connection: what is written during a turn of the reactor leaves at its end, at once."""

    def makeConnection(self, transport: ITransport) -> None:
        """See `IProtocol.makeConnection`."""
        socket = socket_under(transport)
        super().makeConnection(transport if socket is None else Outlet(transport, socket))

    def abortConnection(self) -> None:
        """See `IAbortingTransport`: nothing leaves any more.

        Least of all the alert that Twisted writes here: it would call an end orderly that drops bytes
        (RFC 8446, section 6.1).
        """
        if isinstance(self.transport, Outlet):
            self.transport.shut()
        super().abortConnection()


class PromptTLSFactory(TLSMemoryBIOFactory):
    """TLS around a factory, for either side of a connection."""

    protocol = PromptTLS


def socket_under(transport: object) -> Connection | None:
    """What owns the socket, below wrappers such as the one that reads a PROXY header.

    None in memory, and below a wrapper with a `write` of its own, such as another TLS, which must not be
    passed by.
    """
    while isinstance(transport, ProtocolWrapper) and type(transport).write is ProtocolWrapper.write:
        transport = transport.transport
    return transport if isinstance(transport, Connection) else None
