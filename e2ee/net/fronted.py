"""Connections that come through a front (Twisted's `haproxy:` endpoints): who they are is known later.

The endpoint reads the PROXY header (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, versions 1
and 2), and until then everybody seems to be the front. So what counts connections by their source is made
with the first byte behind the header. Knows transports; no limits but the time for that byte, and how many
may wait for it: of too many the oldest is cut, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
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

    def __init__(self, lobby: FrontedFactory, factory: IProtocolFactory, clock: IReactorTime) -> None:
        self._lobby = lobby
        self._factory = factory
        self._inner: IProtocol | None = None
        self._deadline = Deadline(clock, LOGIN_SECONDS, self.abort)

    def connectionMade(self) -> None:
        """The front has connected."""
        self._deadline.start()
        self._lobby.enter(self)

    def dataReceived(self, data: bytes) -> None:
        """Behind the header: from the first byte on all of it is the real protocol's."""
        if self._inner is None:
            self._wait_no_more()
            inner = self._factory.buildProtocol(self.transport.getPeer())
            if inner is None:
                self.transport.abortConnection()
                return
            self._inner = inner
            inner.makeConnection(self.transport)
        self._inner.dataReceived(data)

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """Over."""
        self._wait_no_more()
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def abort(self) -> None:
        """Cut it."""
        self.transport.abortConnection()

    def _wait_no_more(self) -> None:
        self._deadline.stop()
        self._lobby.leave(self)


class FrontedFactory(Factory[Fronted]):
    """Around `factory`, inside a `haproxy:` endpoint. `most` connections may wait for their first byte.

    They are counted nowhere else. `told` is called for each that is cut because there are more.
    """

    noisy = False

    def __init__(
        self, factory: IProtocolFactory, clock: IReactorTime, most: int, told: Callable[[], None]
    ) -> None:
        self._factory = factory
        self._clock = clock
        self._most = most
        self._told = told
        self._waiting: dict[Fronted, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Fronted:
        """See `IProtocolFactory.buildProtocol`."""
        return Fronted(self, self._factory, self._clock)

    def enter(self, guest: Fronted) -> None:
        """It waits; the one that has waited longest may be cut for it."""
        self._waiting[guest] = None
        if len(self._waiting) > self._most:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            self._told()
            oldest.abort()

    def leave(self, guest: Fronted) -> None:
        """It waits no more."""
        self._waiting.pop(guest, None)


def is_fronted(listen: str) -> bool:
    """Whether connections to this endpoint come through a front."""
    return listen.startswith(FRONTED)


def behind_front(
    listen: str, factory: IProtocolFactory, clock: IReactorTime, most: int, told: Callable[[], None]
) -> IProtocolFactory:
    """The factory for an endpoint: as it is, or behind a front (see `FrontedFactory`)."""
    return FrontedFactory(factory, clock, most, told) if is_fronted(listen) else factory
