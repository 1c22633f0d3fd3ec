"""From a connect link to a connection whose server is the right one.

Knows endpoints and patience; who is believed is decided in `tls` and `pinning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from e2ee.errors import Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.net.handler import Handler
from e2ee.net.handshake import TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.net.tls import ServerCheck, client_tls_factory
from e2ee.net.x509 import Certificate
from e2ee.wire.connection import ClientConnection
from e2ee.wire.messages import Message


async def connect(
    reactor: Any,
    link: ConnectLink,
    authorities: Sequence[Certificate],
    handler: Handler,
    timeout: float,
) -> MessageProtocol:
    """Connect within `timeout` seconds, handshake included; the server has been judged right then.

    With `authorities` (from a CA file) its chain must lead to one of them. `handler.secured` has
    been called when this returns; `handler.lost` will be called once after that, and never if this
    raises. Raises Failure: pin_mismatch, certificate, name_mismatch or unreachable.
    """
    check = ServerCheck(link, authorities)
    attempt = _Attempt(reactor, check, handler)
    endpoint = HostnameEndpoint(reactor, link.host, link.port, timeout=timeout)
    started = reactor.seconds()
    try:
        tls = client_tls_factory(check, attempt, reactor)
        await endpoint.connect(tls).addTimeout(timeout, reactor)
        left = max(0.0, started + timeout - reactor.seconds())
        return await attempt.outcome.addTimeout(left, reactor)
    except Failure:
        raise
    except CancelledError:
        attempt.give_up()
        raise
    except Exception as problem:
        attempt.give_up()
        raise check.trust.unreachable(_say(problem, timeout)) from None


class _Attempt(Factory[MessageProtocol]):
    """One connection, and the handler of it until it is secured."""

    noisy = False

    def __init__(self, reactor: Any, check: ServerCheck, handler: Handler) -> None:
        self.outcome: Deferred[MessageProtocol] = Deferred()
        self._reactor = reactor
        self._check = check
        self._handler = handler
        self._protocol: MessageProtocol | None = None
        self._secured = False

    def buildProtocol(self, addr: IAddress | None) -> MessageProtocol | None:
        """The one protocol; an address that answers later is not needed any more."""
        if self._protocol is not None:
            return None
        self._protocol = MessageProtocol(ClientConnection(), self._reactor, self, self._check)
        return self._protocol

    def give_up(self) -> None:
        """Nobody waits any more."""
        if self._protocol is not None:
            self._protocol.abort()

    def secured(self, tls: TlsFacts) -> None:
        """The handshake is done."""
        if self._protocol is None or self.outcome.called:
            return
        self._secured = True
        self._handler.secured(tls)
        self.outcome.callback(self._protocol)

    def received(self, message: Message) -> None:
        """Passed on."""
        self._handler.received(message)

    def lost(self, reason: Failure) -> None:
        """Passed on if it had been secured; else it is the outcome of the attempt."""
        if self._secured:
            self._handler.lost(reason)
        elif not self.outcome.called:
            self.outcome.errback(reason)


def _say(problem: Exception, timeout: float) -> str:
    if isinstance(problem, (DeferredTimeout, error.TimeoutError)):
        return f"there was no answer within {timeout:g} seconds"
    if isinstance(problem, error.DNSLookupError):
        return "its name was not found"
    if isinstance(problem, error.ConnectionRefusedError):
        return "nothing listens there"
    return f"the network reported {type(problem).__name__}"
