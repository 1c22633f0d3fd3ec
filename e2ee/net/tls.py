"""TLS for both sides: version 1.3 only, one ALPN name, no resumption; the client judges the server.

Pin, validity, name, chain and ALPN are judged in OpenSSL's verify callback, before the client has
sent its Finished: if one of them is wrong, an alert is all that leaves. Resumption stays off, since
the callback is not called on a resumed connection. Knows handshakes, not what is said after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet import ssl
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.errors import Failure
from e2ee.net.connect_link import ConnectLink, is_ip_address
from e2ee.net.handshake import TLS_VERSION, TlsFacts
from e2ee.net.outlet import PromptTLSFactory
from e2ee.net.pinning import Trust
from e2ee.net.x509 import Certificate, Credentials, certificate_pin
from e2ee.wire.limits import ALPN

_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NOBODY_VOUCHES: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's errors for a chain that leads to no trusted root: expected where a pin stands for it."""
_NO_TLS_1_3: Final = (
    "protocol version", "unsupported protocol", "wrong ssl version", "wrong version number"
)  # fmt: skip
_NO_ALPN: Final = ("no application protocol",)


@implementer(IOpenSSLServerConnectionCreator)
class ServerContext:
    """The server's side. `replace` changes the certificate for later connections and drops none."""

    def __init__(self, credentials: Credentials) -> None:
        self.replace(credentials)

    @property
    def credentials(self) -> Credentials:
        """What new connections are shown."""
        return self._credentials

    def replace(self, credentials: Credentials) -> None:
        """Use another certificate from now on."""
        leaf, *others = (crypto.X509.from_cryptography(each) for each in credentials.chain)
        self._options = ssl.CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(credentials.key),
            certificate=leaf,
            extraCertChain=others,
            raiseMinimumTo=ssl.TLSVersion.TLSv1_3,
            acceptableProtocols=[ALPN],
        )
        self._credentials = credentials

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """What Twisted asks for with each connection."""
        return self._options.serverConnectionForTLS(protocol)


def server_tls_factory(
    context: ServerContext, factory: IProtocolFactory, clock: IReactorTime
) -> PromptTLSFactory:
    """TLS around `factory`, for any stream endpoint."""
    return PromptTLSFactory(context, False, factory, clock)


class ServerCheck:
    """The client's judgement of one server: a Guard, and the first lock inside the handshake."""

    def __init__(self, link: ConnectLink, authorities: Sequence[Certificate] = ()) -> None:
        self.link = link
        self.authorities = tuple(authorities)
        self.trust = Trust(link)

    def judge_leaf(self, leaf: Certificate, errors: Sequence[tuple[int, int]], alpn: bytes) -> None:
        """Raise Failure unless this certificate, with OpenSSL's (depth, error) pairs, is believed."""
        seen = certificate_pin(leaf)
        self.trust.check_pin(seen)
        if not self.authorities:
            # Without a CA the pin vouches for the leaf, and nothing above it is looked at.
            errors = [each for each in errors if each[0] == 0 and each[1] not in _NOBODY_VOUCHES]
        if errors:
            raise self.trust.wrong_certificate(_say(errors), seen)
        self._check_name(leaf, seen)
        if alpn != ALPN:
            raise self.trust.wrong_protocol(ALPN.decode("ascii"), seen)

    def judge(self, facts: TlsFacts) -> None:
        """The second lock, when the handshake is done."""
        if facts.peer_pin is None:
            raise self.trust.wrong_certificate("there is none", None)
        self.trust.check_pin(facts.peer_pin)
        if facts.protocol != TLS_VERSION:
            raise self.trust.wrong_protocol("TLS 1.3", facts.peer_pin)
        if facts.alpn != ALPN.decode("ascii"):
            raise self.trust.wrong_protocol(ALPN.decode("ascii"), facts.peer_pin)

    def explain(self, error: BaseException | None, secured: bool) -> Failure:
        """What a connection ended with: our own judgement, OpenSSL's, or the network's."""
        if isinstance(error, Failure):
            return error
        if secured:
            return self.trust.lost()
        if not isinstance(error, SSL.Error):
            return self.trust.unreachable("the connection ended before its handshake did")
        reasons = _reasons(error)
        if any(sign in reasons for sign in _NO_TLS_1_3):
            return self.trust.wrong_protocol("TLS 1.3", None)
        if any(sign in reasons for sign in _NO_ALPN):
            return self.trust.wrong_protocol(ALPN.decode("ascii"), None)
        return self.trust.wrong_certificate("the handshake failed", None)

    def _check_name(self, leaf: Certificate, seen: bytes) -> None:
        check = (
            verify_certificate_ip_address if is_ip_address(self.link.host) else verify_certificate_hostname
        )
        try:
            check(leaf, self.link.host)
        except (VerificationError, CertificateError):
            raise self.trust.wrong_name(seen) from None


@implementer(IOpenSSLClientConnectionCreator)
class ClientContext:
    """The client's side: like Twisted's own, with our verify callback in the place of its."""

    def __init__(self, check: ServerCheck) -> None:
        self._check = check
        roots = [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in check.authorities]
        self._inner = ssl.optionsForClientTLS(
            check.link.host,
            trustRoot=ssl.trustRootFromCertificates(roots),
            acceptableProtocols=[ALPN],
            extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_3},
        )

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """What Twisted asks for with each connection."""
        connection = self._inner.clientConnectionForTLS(protocol)
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify_callback(self._check, protocol)
        )
        return connection


def client_tls_factory(
    check: ServerCheck, factory: IProtocolFactory, clock: IReactorTime
) -> PromptTLSFactory:
    """TLS around `factory` for one connection to the server that `check` describes."""
    return PromptTLSFactory(ClientContext(check), True, factory, clock)


VerifyCallback = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


def _verify_callback(check: ServerCheck, protocol: TLSMemoryBIOProtocol) -> VerifyCallback:
    """OpenSSL asks about each certificate, from the root down; the leaf comes last and decides.

    Errors are collected until then, so that the sentence can name the leaf's pin. If OpenSSL never
    came to the leaf, nothing would have been judged: the second lock, `ServerCheck.judge`, asks for
    the pin again.
    """
    errors: list[tuple[int, int]] = []

    def verify(
        connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        try:
            if not ok:
                errors.append((depth, error))
            elif depth == 0:
                alpn = connection.get_alpn_proto_negotiated()
                check.judge_leaf(certificate.to_cryptography(), errors, alpn)
        except BaseException:
            # Whatever it is: an exception that leaves a callback of OpenSSL would vanish.
            protocol.failVerification(TwistedFailure())
            return False
        return True

    return verify


def _say(errors: Sequence[tuple[int, int]]) -> str:
    numbers = [number for _, number in errors]
    if _EXPIRED in numbers:
        return "it has expired"
    if _NOT_YET_VALID in numbers:
        return "it is not valid yet"
    if all(number in _NOBODY_VOUCHES for number in numbers):
        return "the given CA has not issued it"
    return f"OpenSSL's verification error {numbers[0]}"


def _reasons(error: SSL.Error) -> str:
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return " ".join(str(entry[-1]).casefold() for entry in queue if entry)
