"""What the yardsticks share: frames with a length, TLS 1.3 with a given certificate, a free port."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory

from e2ee.wire.limits import ALPN

NAME_BYTES = 8


class BareProtocol(Int32StringReceiver):
    """One connection of a yardstick."""

    MAX_LENGTH = 128 * 1024
    transport: Any

    def connectionMade(self) -> None:
        """As e2ee does: no frame waits for the acknowledgement of the one before."""
        self.transport.setTcpNoDelay(True)


def serve(certificate: str, protocol: type[BareProtocol]) -> None:
    """Serve on a free port of loopback until killed."""
    reactor: Any = importlib.import_module("twisted.internet.reactor")
    pem = Path(certificate).read_bytes()
    pair = ssl.PrivateCertificate.loadPEM(pem)
    options = ssl.CertificateOptions(
        privateKey=pair.privateKey.original, certificate=pair.original,
        raiseMinimumTo=ssl.TLSVersion.TLSv1_3, acceptableProtocols=[ALPN],
    )
    factory = TLSMemoryBIOFactory(options, False, Factory.forProtocol(protocol))
    factory.noisy = False
    port = reactor.listenTCP(0, factory, backlog=1000, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()
