"""The yardstick for the server: a relay in bare Twisted over the same TLS, with nothing else.

It has the same four frames for a message as e2ee: from the sender, to the recipient, the
recipient's acknowledgement, the answer to the sender. It keeps nothing, checks nothing, loses
everything when it ends. Run as ``python -m benchmarks.bare_relay CERTIFICATE``; prints its port.
"""

from __future__ import annotations

import sys

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from benchmarks.bare_server import NAME_BYTES, BareProtocol, serve

LOG_IN, MESSAGE, ACKNOWLEDGE = b"L", b"M", b"A"


class BareRelay(BareProtocol):
    """Frames: kind(1) ‖ name(8) ‖ payload."""

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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connections.pop(self.name, None)


if __name__ == "__main__":
    serve(sys.argv[1], BareRelay)
