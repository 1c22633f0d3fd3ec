"""2,000 connections that say hello to TLS and then next to nothing, while honest people log in.

Run as ``python -m benchmarks.siege``. Half of them stop after their ClientHello, half send it byte by
byte for ever; they come from 40 addresses of loopback, so that no limit of one source keeps them out.
Printed are the server's memory before, during and after, how long the connections last, and how long
honest logins take meanwhile. It ends with 1 if one of them outlives its deadline, a login fails, or the
server's log has a traceback.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import statistics
import sys
import time
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.python.failure import Failure

from benchmarks.lines import OurLine, connect_all
from benchmarks.processes import Server, resident_kib
from benchmarks.residents import Resident, settled
from e2ee.wire.limits import ALPN, LOGIN_SECONDS

CONNECTIONS = 2000
ADDRESSES = 40
BYTE_SECONDS = 0.5
SIEGES = 3
PATIENCE_SECONDS = 3 * LOGIN_SECONDS
"""When what still stands is said to stand for ever; load and server share the machine."""


def client_hello() -> bytes:
    """What a real client says first."""
    context = SSL.Context(SSL.TLS_METHOD)
    connection = SSL.Connection(context)
    connection.set_alpn_protos([ALPN])
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(2**14)


class Besieger(Protocol):
    """One of them. `lasted` is in seconds, once it has ended."""

    transport: Any

    def __init__(self, hello: bytes, dribbles: bool) -> None:
        self._hello = iter(hello)
        self._dribbles = dribbles
        self._began = 0.0
        self.lasted: float | None = None

    def connectionMade(self) -> None:
        """Say all of it, or the first byte."""
        self._began = time.monotonic()
        self.transport.write(bytes(itertools.islice(self._hello, 1 if self._dribbles else None)))

    def dribble(self) -> None:
        """One byte more."""
        if self.lasted is None and self._began and self._dribbles:
            self.transport.write(bytes(itertools.islice(self._hello, 1)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server has had enough."""
        self.lasted = time.monotonic() - self._began


async def besiege(reactor: Any, port: int) -> list[Besieger]:
    """All of them, connected."""
    hello, besiegers = client_hello(), []
    for number in range(CONNECTIONS):
        besieger = Besieger(hello, dribbles=number % 2 == 1)
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr, one=besieger: one  # type: ignore[method-assign,misc]
        source = f"127.0.1.{1 + number % ADDRESSES}"
        reactor.connectTCP("127.0.0.1", port, factory, bindAddress=(source, 0))
        besiegers.append(besieger)
        if number % 100 == 99:
            await deferLater(reactor, 0.05)
    return besiegers


async def run(reactor: Any) -> None:
    """Print the figures; SystemExit if something was not as it has to be."""
    with Server(limits={}) as server:
        (resident,) = await settled(reactor, server, 1)
        alone = [await _login(reactor, server, resident) for _ in range(10)]
        print(f"a login alone: {statistics.median(alone):.0f} ms; server: {_mib(server):.1f} MiB")
        lasted = [await siege(reactor, server, resident) for _ in range(SIEGES)]
        log = server.log
    if None in itertools.chain(*lasted) or "Traceback" in log:
        sys.exit("a deadline was not kept, or the server's log has a traceback")


async def siege(reactor: Any, server: Server, resident: Resident) -> list[float | None]:
    """One siege, and how long each connection lasted."""
    besiegers = await besiege(reactor, server.port)

    def dribble() -> None:
        for one in besiegers:
            one.dribble()

    dribbling = LoopingCall(dribble)
    dribbling.start(BYTE_SECONDS)
    logins, most, began = [], 0.0, time.monotonic()
    while time.monotonic() - began < LOGIN_SECONDS / 2:
        logins.append(await _login(reactor, server, resident))
        most = max(most, _mib(server))
    standing = sum(one.lasted is None for one in besiegers)
    while time.monotonic() - began < PATIENCE_SECONDS and any(one.lasted is None for one in besiegers):
        await deferLater(reactor, 0.1)
    dribbling.stop()
    lasted = [one.lasted for one in besiegers]
    ended = [one for one in lasted if one is not None]
    print(
        f"{standing} of {CONNECTIONS} stood at once, {len(ended)} ended, the last after {max(ended):.1f} s;"
        f" server: {most:.1f} MiB at most, {_mib(server):.1f} afterwards; {len(logins)} logins meanwhile,"
        f" median {statistics.median(logins):.0f} ms, at most {max(logins):.0f} ms"
    )
    return lasted


def _mib(server: Server) -> float:
    return resident_kib(server.pid) / 1024


async def _login(reactor: Any, server: Server, resident: Resident) -> float:
    """Milliseconds; raises if there is none."""
    line, began = OurLine(resident), time.perf_counter()
    await connect_all(reactor, server.port, [line])
    took = (time.perf_counter() - began) * 1000
    line.transport.abortConnection()
    return took


if __name__ == "__main__":
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
