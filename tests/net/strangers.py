"""Clients and servers of TLS that are not ours."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from e2ee.net import x509
from tests.net.conversation import Conversation

OTHER_PIN = b"x" * 32


@implementer(IOpenSSLServerConnectionCreator)
class OtherServer:
    """A TLS server that is not one of ours; `answers` is what it says to ALPN."""

    def __init__(self, credentials: x509.Credentials, newest: int, answers: Any) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_max_proto_version(newest)
        self._context.use_certificate(crypto.X509.from_cryptography(credentials.certificate))
        self._context.use_privatekey(crypto.PKey.from_cryptography_key(credentials.key))
        self._context.set_alpn_select_callback(lambda connection, offered: answers)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context)


def other_server(newest: int, answers: Any) -> Conversation:
    conversation = Conversation()
    creator = OtherServer(conversation.credentials, newest, answers)
    factory = Factory.forProtocol(Protocol)
    conversation.listen(TLSMemoryBIOFactory(creator, False, factory, conversation.network))
    return conversation


@implementer(IOpenSSLClientConnectionCreator)
class OtherClient:
    """A TLS client that believes everything."""

    def __init__(self, newest: int, offers: list[bytes]) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_max_proto_version(newest)
        if offers:
            self._context.set_alpn_protos(offers)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context)


class PlainFactory(Factory[Protocol]):
    """Connects without an endpoint."""

    noisy = False

    def startedConnecting(self, connector: object) -> None:
        """Nothing to note."""


class Hasty(Protocol):
    """A client protocol that writes before the handshake is done."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(b"SECRET " * 10)
