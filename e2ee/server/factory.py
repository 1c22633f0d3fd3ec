"""Makes the protocol of each connection. Knows how its parts fit together, and nothing else."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from e2ee.net.protocol import MessageProtocol
from e2ee.server.connection import Connection
from e2ee.server.rooms import Rooms
from e2ee.server.source import source_of
from e2ee.wire.connection import ServerConnection


class ServerProtocol(MessageProtocol):
    """A connection that is counted from its first moment, before its handshake."""

    def __init__(self, handler: Connection, clock: IReactorTime) -> None:
        super().__init__(ServerConnection(), clock, handler)
        self._made = handler.made

    def connectionMade(self) -> None:
        """TCP is up."""
        super().connectionMade()
        self._made()


class ServerFactory(Factory[ServerProtocol]):
    """For one listening port; TLS is put around it by `net.tls`."""

    noisy = False

    def __init__(self, rooms: Rooms, clock: IReactorTime) -> None:
        self._rooms = rooms
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> ServerProtocol:
        """See `IProtocolFactory.buildProtocol`."""
        connection = Connection(self._rooms, source_of(getattr(addr, "host", "")))
        protocol = ServerProtocol(connection, self._clock)
        connection.protocol = protocol
        return protocol
