"""TLS to servers that are not e2ee's: a mail server, a web service. Authorities vouch for them, not pins.

Chain, name and validity are always verified, and there is no option that skips it. Knows neither what
is said over the connection nor where certificates of authorities are kept.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from e2ee.net.x509 import load_certificates


def system_roots() -> Any:
    """The authorities that this machine believes, as Twisted's `trustRoot`."""
    return ssl.platformTrust()


def roots_from_pem(pem: bytes) -> Any:
    """These authorities and no others, as Twisted's `trustRoot`. Raises CredentialsRefused."""
    found = load_certificates(pem)
    return ssl.trustRootFromCertificates(
        [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in found]
    )


def verified_context(host: str, roots: Any) -> Any:
    """For one connection to this host: TLS 1.2 or newer, vouched for by `roots`."""
    return ssl.optionsForClientTLS(
        host, trustRoot=roots, extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_2}
    )


async def shake_hands(endpoint: IStreamClientEndpoint, host: str, roots: Any) -> None:
    """Begin TLS with a server, verify its certificate and hang up. Raises why that did not work."""
    listener = _Listener()
    await wrapClientTLS(verified_context(host, roots), endpoint).connect(_Once(listener))
    await listener.shaken


@implementer(IHandshakeListener)
class _Listener(Protocol):
    """One connection, which says nothing."""

    transport: Any

    def __init__(self) -> None:
        self.shaken: Deferred[None] = Deferred(lambda _: self.transport.abortConnection())

    def handshakeCompleted(self) -> None:
        """See `IHandshakeListener.handshakeCompleted`."""
        self.shaken.callback(None)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `IProtocol.connectionLost`."""
        if not self.shaken.called:
            self.shaken.errback(reason)


class _Once(ClientFactory):
    noisy = False

    def __init__(self, listener: _Listener) -> None:
        self._listener = listener

    def buildProtocol(self, addr: object) -> _Listener:
        return self._listener


def is_tls_failure(error: BaseException | None) -> bool:
    """Whether a connection has ended since the certificate was refused, or TLS failed in another way."""
    return isinstance(error, (SSL.Error, VerificationError))
