"""The yardstick for the server: a relay in bare Twisted over the same TLS, with nothing else.

It has the same four frames for a message as e2ee: from the sender, to the recipient, the
recipient's acknowledgement, the answer to the sender. It keeps nothing, checks nothing, loses
everything when it ends. Run as ``python -m benchmarks.bare_relay CERTIFICATE``; prints its port.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory

NAME_BYTES = 8
LOG_IN, MESSAGE, ACKNOWLEDGE = b"L", b"M", b"A"


class BareRelay(Int32StringReceiver):
    """Frames: kind(1) ‖ name(8) ‖ payload."""

    MAX_LENGTH = 128 * 1024
    connections: dict[bytes, BareRelay] = {}  # noqa: RUF012 - one relay in one process

    name = b""

    def stringReceived(self, string: bytes) -> None:
        kind, name = string[:1], string[1 : 1 + NAME_BYTES]
        if kind == LOG_IN:
            self.name = name
            self.connections[name] = self
            self.sendString(LOG_IN)
        else:
            self.connections[name].sendString(kind + self.name + string[1 + NAME_BYTES :])


def main(certificate: str) -> None:
    """Serve on a free port of loopback until killed."""
    reactor: Any = importlib.import_module("twisted.internet.reactor")
    pem = Path(certificate).read_bytes()
    pair = ssl.PrivateCertificate.loadPEM(pem)
    options = ssl.CertificateOptions(
        privateKey=pair.privateKey.original, certificate=pair.original,
        raiseMinimumTo=ssl.TLSVersion.TLSv1_3,
    )
    factory = TLSMemoryBIOFactory(options, False, Factory.forProtocol(BareRelay))
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
