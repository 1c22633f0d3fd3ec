"""A network in memory, as a reactor whose time stands still. Real TLS runs over it.

Knows connections, names and time; nothing of what a test is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConnector,
    IHostnameResolver,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from e2ee.testing.transport import MemoryTransport, Wire


@implementer(IListeningPort)
class MemoryPort:
    """What listens; `stopListening` makes later connections fail."""

    def __init__(self, network: MemoryNetwork, address: IPv4Address | IPv6Address, factory: Any) -> None:
        self.factory = factory
        self._network = network
        self._address = address

    def startListening(self) -> None:
        """Done by listenTCP."""

    def stopListening(self) -> None:
        """Refuse from now on."""
        self._network.ports.pop(self._address.port, None)
        self.factory.doStop()

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens."""
        return self._address


@implementer(IConnector)
@dataclass
class MemoryConnector:
    """The client's side of a connection that is being made."""

    destination: IPv4Address | IPv6Address
    transport: MemoryTransport | None = None
    stopped: bool = field(default=False)

    def stopConnecting(self) -> None:
        """Give up."""
        self.stopped = True

    def disconnect(self) -> None:
        """Give up, or end it."""
        self.stopped = True
        if self.transport is not None:
            self.transport.loseConnection()

    def connect(self) -> None:
        """Connections are made once."""

    def getDestination(self) -> IPv4Address | IPv6Address:
        """Where it goes."""
        return self.destination


@implementer(IReactorTCP, IReactorTime, IReactorPluggableNameResolver, IHostnameResolver)
class MemoryNetwork(Clock):
    """A reactor whose network is this object and whose time stands still until it is told.

    `connectTCP` and `listenTCP` as in Twisted, every machine being this one; `names` are the hosts
    that can be resolved; `black_holes` are ports that never answer. `settle` runs until nothing
    moves any more, without time going by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[int, MemoryPort] = {}
        self.wires: list[Wire] = []
        self.names: dict[str, str] = {"localhost": "127.0.0.1"}
        self.black_holes: set[int] = set()
        self.client_address = "192.0.2.7"
        self._next_port = 40_000

    # --- IReactorTCP ---

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> MemoryPort:
        """Listen; port 0 chooses one."""
        port = port or self._new_port()
        if port in self.ports:
            raise error.CannotListenError(interface, port, OSError("in use"))
        self.ports[port] = MemoryPort(self, _address(interface or "127.0.0.1", port), factory)
        factory.doStart()
        return self.ports[port]

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: object = None
    ) -> MemoryConnector:
        """Connect at the next step of time."""
        connector = MemoryConnector(_address(host, port))
        factory.doStart()
        factory.startedConnecting(connector)
        if port in self.black_holes:
            self.callLater(timeout, self._fail, connector, factory, error.TimeoutError())
        else:
            self.callLater(0, self._join, connector, factory)
        return connector

    # --- names ---

    @property
    def nameResolver(self) -> MemoryNetwork:
        """This object."""
        return self

    def installNameResolver(self, resolver: Any) -> Any:
        """There is only this one."""
        return self

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """From `names`, or the address itself."""
        resolutionReceiver.resolutionBegan(None)
        found = self.names.get(hostName, hostName if hostName[-1].isdigit() or ":" in hostName else None)
        if found is not None:
            resolutionReceiver.addressResolved(_address(found, portNumber))
        resolutionReceiver.resolutionComplete()

    # --- what a test does ---

    def settle(self, seconds: float = 0.0) -> None:
        """Let `seconds` go by, then move everything until nothing moves any more."""
        self.advance(seconds)
        for _ in range(100_000):
            self.advance(0)
            moved = [end.deliver() for wire in self.wires for end in (wire.client, wire.server)]
            due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
            if not any(moved) and not due:
                return
        raise AssertionError("the network does not come to rest")

    def _join(self, connector: MemoryConnector, factory: Any) -> None:
        port = self.ports.get(connector.destination.port)
        if connector.stopped:
            self._fail(connector, factory, error.UserError())
            return
        if port is None:
            self._fail(connector, factory, error.ConnectionRefusedError())
            return
        source = _address(self.client_address, self._new_port())
        client = MemoryTransport(source, connector.destination)
        server = MemoryTransport(connector.destination, source)
        client.other, server.other = server, client
        client.protocol = factory.buildProtocol(connector.destination)
        server.protocol = port.factory.buildProtocol(source)
        if client.protocol is None or server.protocol is None:
            self._fail(connector, factory, error.ConnectionRefusedError())
            return
        connector.transport = client
        self.wires.append(Wire(client, server))
        server.protocol.makeConnection(server)
        client.protocol.makeConnection(client)

    def _fail(self, connector: MemoryConnector, factory: Any, reason: Exception) -> None:
        factory.clientConnectionFailed(connector, Failure(reason))
        factory.doStop()

    def _new_port(self) -> int:
        self._next_port += 1
        return self._next_port


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
