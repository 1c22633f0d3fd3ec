"""What floods do to honest people: 2,000 silent connections and 500 that dribble, handshakes, wrong logins.

Run as ``python -m benchmarks.siege``. The silent ones stop after their ClientHello, the dribbling ones send
it byte by byte for ever; floods of handshakes and of logins come from `benchmarks.flood`, from one address of
loopback, so that the limit of one source is reached, and from 40. For each are printed how much there was of
it, how long honest logins take meanwhile and messages between those who are logged in, the server's memory,
and the limits that were counted. It ends with 1 if a connection outlives its deadline, a login or a message
fails, or the server's log has a traceback or grows with the flood.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from benchmarks.lines import OurLine, connect_all
from benchmarks.processes import Server, resident_kib
from benchmarks.residents import ENVELOPE_BYTES, Resident, settled
from e2ee.wire.limits import ALPN, LOGIN_SECONDS

IDLE = 2000
DRIBBLING = 500
ADDRESSES = 40
FLOODS = [(kind, count) for kind in ("handshakes", "held", "logins") for count in (1, ADDRESSES)]
FLOOD_SECONDS = 8.0
BYTE_SECONDS = 0.5
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 3 * LOGIN_SECONDS
"""When what still stands is said to stand for ever; load and server share the machine."""
LOG_LINES = 100
"""What a server may say of itself in all this time, whatever the strangers do."""


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
    """One that never comes to a login. `lasted` is in seconds, once it has ended."""

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
    for number in range(IDLE + DRIBBLING):
        besieger = Besieger(hello, dribbles=number >= IDLE)
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr, one=besieger: one  # type: ignore[method-assign,misc]
        source = f"127.0.1.{1 + number % ADDRESSES}"
        reactor.connectTCP("127.0.0.1", port, factory, bindAddress=(source, 0))
        besiegers.append(besieger)
        if number % 100 == 99:
            await deferLater(reactor, 0.05)
    return besiegers


class Honest:
    """Two people: one comes again and again and writes to the other, who stays. Times are in milliseconds."""

    def __init__(self, reactor: Any, server: Server, residents: list[Resident]) -> None:
        self._reactor = reactor
        self._server = server
        self._sender, recipient = residents
        self._recipient = OurLine(recipient)
        self._logins: list[float] = []
        self._messages: list[float] = []
        self._most = 0.0

    async def arrive(self) -> None:
        """The one who stays."""
        await connect_all(self._reactor, self._server.port, [self._recipient])

    async def while_(self, goes_on: Callable[[], bool]) -> None:
        """Come, write, leave, until it is over; once at least."""
        self._logins, self._messages, self._most = [], [], 0.0
        while goes_on() or not self._logins:
            await self._once()
            self._most = max(self._most, resident_kib(self._server.pid) / 1024)
            await deferLater(self._reactor, PAUSE_SECONDS)

    async def _once(self) -> None:
        line, began = OurLine(self._sender), time.perf_counter()
        await connect_all(self._reactor, self._server.port, [line])
        logged_in = time.perf_counter()
        line.partner = self._recipient
        answered: Deferred[None] = Deferred()
        line.submit(os.urandom(ENVELOPE_BYTES), lambda: answered.callback(None))
        await answered
        if line.refused:
            sys.exit(f"an honest message was refused: {line.refused[0]}")
        self._logins.append((logged_in - began) * 1000)
        self._messages.append((time.perf_counter() - logged_in) * 1000)
        line.transport.abortConnection()

    def say(self, what: str) -> None:
        """One line of the table."""
        cells = "".join(
            f"{statistics.median(times):9.0f}{max(times):9.0f}" for times in (self._logins, self._messages)
        )
        print(f"{what:44}{len(self._logins):8}{cells}{self._most:8.1f}", flush=True)


class Limits:
    """What the server has counted, from its metrics."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._port = int(listening.getsockname()[1])
        self.option = f"tcp:{self._port}:interface=127.0.0.1"
        self._before: dict[str, int] = {}

    async def say(self) -> None:
        """Those that were hit since the last time."""
        now = await deferToThread(self._read)
        hit = {name: count - self._before.get(name, 0) for name, count in now.items()}
        self._before = now
        counted = [f"{name} {count:,}" for name, count in hit.items() if count]
        print(f"    counted: {', '.join(counted) or 'nothing'}")

    def _read(self) -> dict[str, int]:
        with urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=30) as page:
            text = page.read().decode()
        found = re.findall(r'hit_total\{limit="([a-z_]+)"\} ([0-9.e+]+)', text)
        found += re.findall(r'refusals_total\{code="(login_refused)",request="login"\} ([0-9.e+]+)', text)
        return {name: int(float(count)) for name, count in found}


async def run(reactor: Any) -> None:
    """Print the table; SystemExit if something was not as it has to be."""
    limits = Limits()
    with Server("--metrics", limits.option, limits={}) as server:
        honest = Honest(reactor, server, await settled(reactor, server, 2))
        await honest.arrive()
        print(f"{'':44}{'logins':>8}{'login ms':>9}{'most':>9}{'message':>9}{'most':>9}{'MiB':>8}")
        rounds = iter(range(20))
        await honest.while_(lambda: next(rounds, None) is not None)
        honest.say("nobody else")
        outlived = await siege(reactor, server, honest)
        await limits.say()
        for kind, addresses in FLOODS:
            await flood(server, honest, kind, addresses)
            await limits.say()
        log = server.log
    if outlived or "Traceback" in log or log.count("\n") > LOG_LINES:
        sys.exit("a deadline was not kept, or the server's log has a traceback or too much")


async def siege(reactor: Any, server: Server, honest: Honest) -> int:
    """Silent and dribbling ones, until they have ended; how many have not."""
    besiegers = await besiege(reactor, server.port)

    def standing() -> int:
        return sum(one.lasted is None for one in besiegers)

    def dribble() -> None:
        for one in besiegers:
            one.dribble()

    dribbling, began, at_once = LoopingCall(dribble), time.monotonic(), standing()
    dribbling.start(BYTE_SECONDS)
    await honest.while_(lambda: bool(standing()) and time.monotonic() - began < PATIENCE_SECONDS)
    dribbling.stop()
    last = max(one.lasted or 0.0 for one in besiegers)
    honest.say(f"{IDLE} silent, {DRIBBLING} dribbling; the last {last:.1f} s")
    print(f"    at once: {at_once:,}")
    return standing()


async def flood(server: Server, honest: Honest, kind: str, addresses: int) -> None:
    """One of `benchmarks.flood`, and what it does to the honest."""
    arguments = [kind, str(server.port), str(addresses), str(FLOOD_SECONDS)]
    command = [sys.executable, "-m", "benchmarks.flood", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        await honest.while_(lambda: process.poll() is None)
        made, _ = process.communicate()
    honest.say(f"{int(made) / FLOOD_SECONDS:,.0f} {kind} a second, from {addresses}")


if __name__ == "__main__":
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
