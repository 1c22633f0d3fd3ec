"""What a relayed message costs the server, beside a bare Twisted TLS relay in the same run.

Run as ``python -m benchmarks.relay``. Both servers carry the same four frames for a message (from
the sender, to the recipient, its acknowledgement, the answer), over the same TLS, from one load
process. Measured is the CPU time of the server's process, and messages a second as a by-product:
load and server share the machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from OpenSSL.SSL import Connection
from twisted.internet import ssl
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.task import react
from twisted.protocols.basic import Int32StringReceiver
from zope.interface import implementer

from benchmarks.bare_relay import ACKNOWLEDGE, LOG_IN, MESSAGE, NAME_BYTES
from benchmarks.processes import BareServer, Server, cpu_seconds
from benchmarks.users import User

PAIRS = 20
MESSAGES = 200
ROUNDS = 3
ENVELOPE_BYTES = 400

Send = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Figures:
    """One round."""

    cpu_us: float
    per_second: float


async def _one_after_another(send: Send) -> None:
    for _ in range(MESSAGES):
        await send()


async def measure(pid: int, sends: list[Send]) -> Figures:
    """All senders at once, each with one message under way."""
    count = len(sends) * MESSAGES
    began, before = time.perf_counter(), cpu_seconds(pid)
    await gatherResults([Deferred.fromCoroutine(_one_after_another(send)) for send in sends])
    return Figures((cpu_seconds(pid) - before) / count * 1e6, count / (time.perf_counter() - began))


class BareClient(Int32StringReceiver):
    """One end of the bare relay; acknowledges what comes, fires when an acknowledgement comes."""

    MAX_LENGTH = 128 * 1024

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.answer: Deferred[None] = Deferred()

    def log_in(self) -> Deferred[None]:
        """Make the name known."""
        self.sendString(LOG_IN + self.name)
        return self.answer

    def submit(self, name: bytes, payload: bytes) -> Deferred[None]:
        """Send to another name; fires with its acknowledgement."""
        self.answer = Deferred()
        self.sendString(MESSAGE + name + payload)
        return self.answer

    def stringReceived(self, string: bytes) -> None:
        if string[:1] == MESSAGE:
            self.sendString(ACKNOWLEDGE + string[1 : 1 + NAME_BYTES])
        else:
            self.answer.callback(None)


async def bare_sends(reactor: Any, port: int) -> list[Send]:
    """PAIRS connected pairs of the bare relay."""
    context = ssl.CertificateOptions(verify=False, raiseMinimumTo=ssl.TLSVersion.TLSv1_3)
    clients = []
    for number in range(2 * PAIRS):
        endpoint = wrapClientTLS(_Unchecked(context), HostnameEndpoint(reactor, "127.0.0.1", port))
        client = await connectProtocol(endpoint, BareClient(number.to_bytes(NAME_BYTES, "big")))
        await client.log_in()
        clients.append(client)
    return [
        lambda one=one, other=other: one.submit(other.name, os.urandom(ENVELOPE_BYTES))  # type: ignore[misc]
        for one, other in zip(clients[::2], clients[1::2], strict=True)
    ]


@implementer(IOpenSSLClientConnectionCreator)
class _Unchecked:
    """TLS 1.3 without judging the server: the load is not what is measured."""

    def __init__(self, context: ssl.CertificateOptions) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Connection:
        """What Twisted asks for."""
        return Connection(self._context.getContext(), None)


async def our_sends(reactor: Any, server: Server, link: str) -> list[Send]:
    """PAIRS registered and connected pairs of users."""
    users = [User(reactor, link, number) for number in range(100, 100 + 2 * PAIRS)]
    for user in users:
        await user.register(server.codes)
        await user.log_in()
    return [
        lambda one=one, other=other: one.send(other, os.urandom(ENVELOPE_BYTES))  # type: ignore[misc]
        for one, other in zip(users[::2], users[1::2], strict=True)
    ]


async def compare(reactor: Any) -> None:
    """Print the table."""
    with Server("--presence", "everyone") as fast, Server("--presence", "nobody") as stored:
        fast_sends = await our_sends(reactor, fast, fast.start_server())
        stored_sends = await our_sends(reactor, stored, stored.start_server())
        with BareServer(fast.state / "server.pem") as bare:
            contestants = {
                "bare Twisted TLS relay": (bare.pid, await bare_sends(reactor, bare.port)),
                "e2ee, delivered (never on a disk)": (fast.pid, fast_sends),
                "e2ee, stored (commit with fsync)": (stored.pid, stored_sends),
            }
            rounds: dict[str, list[Figures]] = {name: [] for name in contestants}
            for _ in range(ROUNDS + 1):
                for name, (pid, sends) in contestants.items():
                    rounds[name].append(await measure(pid, sends))
    print(f"{PAIRS} pairs, one message of {ENVELOPE_BYTES} bytes under way each, {ROUNDS} rounds, medians\n")
    print(f"{'':36}{'server CPU µs/message':>24}{'ratio':>8}{'messages/s':>12}")
    medians = {
        name: (
            statistics.median(one.cpu_us for one in figures[1:]),
            statistics.median(one.per_second for one in figures[1:]),
        )
        for name, figures in rounds.items()
    }
    yardstick = medians["bare Twisted TLS relay"][0]
    for name, (cpu, speed) in medians.items():
        print(f"{name:36}{cpu:24.1f}{cpu / yardstick:8.2f}{speed:12.0f}")


def main() -> None:
    """Run the comparison on a reactor of its own."""

    def begin(reactor: Any) -> Deferred[None]:
        coroutine: Coroutine[Any, Any, None] = compare(reactor)
        return Deferred.fromCoroutine(coroutine)

    react(begin)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
