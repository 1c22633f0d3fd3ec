"""One request to a web service over HTTPS (treq), and what its outcome means in one sentence.

Knows the address of the service and its certificate's roots; not codes. Redirects are not followed:
they would take the code, and the headers with their secrets, somewhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers

from e2ee import __version__
from e2ee.net.verified_tls import is_tls_failure, shake_hands
from e2ee.server.senders.interface import CodeNotSent

TRY_SECONDS = 10.0
"""From the beginning to the answer's headers."""
CONNECT_SECONDS = 5.0
HTTPS_PORT = 443
_TOO_MANY_REQUESTS = 429


class TryAgain(CodeNotSent):
    """It has failed, and the same request may succeed a little later."""


class Gateway:
    """One service."""

    def __init__(self, reactor: Any, url: str, root: Any) -> None:
        """`root` vouches for the service's certificate."""
        self._reactor = reactor
        self._url = url
        self._root = root
        self._agent = Agent(reactor, BrowserLikePolicyForHTTPS(root), connectTimeout=CONNECT_SECONDS)

    async def post(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """POST once; raises TryAgain or CodeNotSent unless the answer is a success (2xx)."""
        fields = Headers({"User-Agent": [f"e2ee/{__version__}"]})
        for name, value in headers:
            fields.addRawHeader(name, value)
        # A client of its own for each request: no cookie of one is told with another.
        client = HTTPClient(self._agent)
        try:
            asked = client.request(
                "POST", self._url, headers=fields, data=body, allow_redirects=False, unbuffered=True,
                reactor=self._reactor,
            )  # fmt: skip
            response = await asked.addTimeout(TRY_SECONDS, self._reactor, _too_late)
        except (CancelledError, CodeNotSent):
            raise
        except Exception as error:
            raise _failure(error) from None
        if response is None:
            raise TryAgain("the gateway has not answered")
        response.deliverBody(_NotRead())
        _judge(response.code)

    async def reach(self) -> None:
        """Begin TLS and hang up; raises CodeNotSent if that fails."""
        url = urlsplit(self._url)
        host = url.hostname or ""
        endpoint = HostnameEndpoint(self._reactor, host, url.port or HTTPS_PORT, CONNECT_SECONDS)
        shaking = Deferred.fromCoroutine(shake_hands(endpoint, host, self._root))
        try:
            await shaking.addTimeout(TRY_SECONDS, self._reactor, _too_late)
        except (CancelledError, CodeNotSent):
            raise
        except Exception as error:
            raise _failure(error) from None


class _NotRead(Protocol):
    """Hangs up: an answer's status says it all, and its body may be endless."""

    def connectionMade(self) -> None:
        """See `IProtocol.connectionMade`."""
        if self.transport is not None:
            self.transport.loseConnection()


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise CodeNotSent(f"the gateway answered with a redirect ({status}), which is not followed")
    if status >= 500 or status == _TOO_MANY_REQUESTS:
        raise TryAgain(f"the gateway answered with status {status}")
    raise CodeNotSent(f"the gateway refused the request with status {status}")


def _too_late(result: object, timeout: float) -> NoReturn:
    """However the given-up request ended: the time was over."""
    raise TryAgain(f"the gateway did not answer within {timeout:.0f} seconds")


def _failure(error: Exception) -> CodeNotSent:
    """Texts of other libraries are not repeated: they may hold the request."""
    if isinstance(error, (ConnectError, ConnectingCancelledError, DNSLookupError)):
        return TryAgain("the gateway cannot be reached")
    reasons: Sequence[Failure] = getattr(error, "reasons", ())
    if is_tls_failure(error) or any(is_tls_failure(reason.value) for reason in reasons):
        return CodeNotSent("the certificate of the gateway was refused, or TLS failed")
    hung_up = reasons and not any(each.check(CancelledError) for each in reasons)
    if hung_up or isinstance(error, ConnectionClosed):
        return TryAgain("the gateway ended the connection before it had answered")
    return CodeNotSent(f"the gateway could not be asked ({type(error).__name__})")
