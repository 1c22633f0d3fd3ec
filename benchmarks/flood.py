"""A flood: TLS handshakes, or logins that are wrong, as fast as one process can make them.

Run as ``python -m benchmarks.flood KIND PORT ADDRESSES SECONDS``; prints how many there were. KIND is
``handshakes`` (done, and gone), ``held`` (done, and kept open without a word, whatever the server says) or
``logins`` (of an account and of numbers without one in turn, with wrong signatures). A process of its own,
so that those who are measured do not wait for it. Blocking sockets in threads: cheaper than the server's end.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import ssl
import sys
import threading
import time

from e2ee.wire import codec
from e2ee.wire import messages as m
from e2ee.wire.framing import frame
from e2ee.wire.limits import ALPN, PROTOCOL_VERSION

THREADS = 100
"""Connections under way at once: more than one source may have before login."""
HELD = 5
"""Connections that each thread keeps open, where they are kept."""
PATIENCE_SECONDS = 15.0
KINDS = ("handshakes", "held", "logins")
ACCOUNT = "+15550100101"


class Flood:
    """All its threads; `made` counts what was finished."""

    def __init__(self, kind: str, port: int, addresses: int) -> None:
        self._kind = kind
        self._port = port
        self._sources = [f"127.0.1.{1 + number}" for number in range(addresses)]
        self._until = 0.0
        self._lock = threading.Lock()
        self.made = 0
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls.set_alpn_protocols([ALPN.decode("ascii")])

    def run(self, seconds: float) -> None:
        """So long."""
        self._until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._flow, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _flow(self, number: int) -> None:
        kept: list[ssl.SSLSocket] = []
        for turn in itertools.count(number):
            if time.monotonic() > self._until:
                break
            with contextlib.suppress(OSError):
                kept.append(self._connect(self._sources[turn % len(self._sources)]))
                if self._kind == "logins":
                    self._log_in(kept[-1], turn)
                with self._lock:
                    self.made += 1
            while len(kept) > (HELD if self._kind == "held" else 0):
                kept.pop(0).close()
        for one in kept:
            one.close()

    def _connect(self, source: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS, (source, 0))
        try:
            return self._tls.wrap_socket(plain)
        except OSError:
            plain.close()
            raise

    def _log_in(self, line: ssl.SSLSocket, turn: int) -> None:
        """Greet, log in, and wait for the refusal; OSError if the connection ends before."""
        number = ACCOUNT if turn % 2 else f"+1555{2_000_000 + turn:07d}"
        signature = os.urandom(63) + b"\0"  # well-formed, so that it is really verified
        line.sendall(frame(codec.encode(m.Hello(1, (PROTOCOL_VERSION,), ()))))
        if not line.recv(4096):
            raise ConnectionError
        line.sendall(frame(codec.encode(m.LogIn(2, number, os.urandom(8), signature))))
        if not line.recv(4096):
            raise ConnectionError


def main(kind: str, port: str, addresses: str, seconds: str) -> None:
    """Flood, and say how much it was."""
    if kind not in KINDS:
        sys.exit(f"one of {', '.join(KINDS)}")
    flood = Flood(kind, int(port), int(addresses))
    flood.run(float(seconds))
    print(flood.made)


if __name__ == "__main__":
    main(*sys.argv[1:])
