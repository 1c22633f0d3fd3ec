"""Connections that come through a front (Twisted's `haproxy:` endpoints): who they are is known later.

The endpoint reads the PROXY header (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, versions 1
and 2), and until then everybody seems to be the front. So what counts connections by their source is made
with the first byte behind the header. Knows transports; no limits but the time for that byte.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure as TwistedFailure

from e2ee.net.deadlines import Deadline
from e2ee.wire.limits import LOGIN_SECONDS

FRONTED = "haproxy:"
"""What such endpoints begin with."""


class Fronted(Protocol):
    """Waits for the first byte, and hands it and all others on."""

    transport: Any

    def __init__(self, factory: IProtocolFactory, clock: IReactorTime) -> None:
        self._factory = factory
        self._inner: IProtocol | None = None
        self._deadline = Deadline(clock, LOGIN_SECONDS, self._expired)

    def connectionMade(self) -> None:
        """The front has connected."""
        self._deadline.start()

    def dataReceived(self, data: bytes) -> None:
        """Behind the header: from the first byte on all of it is the real protocol's."""
        if self._inner is None:
            self._deadline.stop()
            inner = self._factory.buildProtocol(self.transport.getPeer())
            if inner is None:
                self.transport.abortConnection()
                return
            self._inner = inner
            inner.makeConnection(self.transport)
        self._inner.dataReceived(data)

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """Over."""
        self._deadline.stop()
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def _expired(self) -> None:
        self.transport.abortConnection()


class FrontedFactory(Factory[Fronted]):
    """Around `factory`, inside a `haproxy:` endpoint."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, clock: IReactorTime) -> None:
        self._factory = factory
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Fronted:
        """See `IProtocolFactory.buildProtocol`."""
        return Fronted(self._factory, self._clock)


def behind_front(listen: str, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
    """The factory for an endpoint: as it is, or behind a front."""
    return FrontedFactory(factory, clock) if listen.startswith(FRONTED) else factory
