"""What connections and starts cost the server, beside bare Twisted over the same TLS.

Run as ``python -m benchmarks.connections``. CPU time of a login, from the connection to the answer;
memory of an idle connection that is logged in, at 2,000 of them; the time from the start of the
process until it serves, with an empty database and with 100,000 messages waiting, up to the first
login that is answered.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.lines import Line, OurLine, RelayLine, connect_all, disconnect_all
from benchmarks.processes import BareServer, Server, cpu_seconds, resident_kib
from benchmarks.residents import Registry, settled

LOGINS = 200
IDLE = int(os.environ.get("E2EE_BENCHMARK_IDLE", "2000"))
ROUNDS = int(os.environ.get("E2EE_BENCHMARK_ROUNDS", "5"))
WAITING = 100_000
MAILBOXES = 100

MakeLine = Callable[[int], Line]


async def login_cost(reactor: Any, pid: int, port: int, make_line: MakeLine) -> float:
    """CPU microseconds of one login."""
    lines = [make_line(number) for number in range(LOGINS)]
    before = cpu_seconds(pid)
    await connect_all(reactor, port, lines)
    await deferLater(reactor, 0.3)
    used = cpu_seconds(pid) - before
    await disconnect_all(reactor, lines)
    return used / LOGINS * 1e6


async def idle_memory(reactor: Any, pid: int, port: int, make_line: MakeLine) -> float:
    """KiB of one idle connection; some have come and gone before."""
    before = resident_kib(pid)
    lines = [make_line(number) for number in range(IDLE)]
    await connect_all(reactor, port, lines)
    await deferLater(reactor, 1.0)
    used = resident_kib(pid) - before
    await disconnect_all(reactor, lines)
    return used / IDLE


async def compare(reactor: Any) -> None:
    """Print the tables."""
    with Server() as server:
        residents = await settled(reactor, server, IDLE)
        with BareServer("bare_relay", str(server.state / "server.pem")) as bare:
            contestants: dict[str, tuple[int, int, MakeLine]] = {
                "bare Twisted TLS": (bare.pid, bare.port, RelayLine),
                "e2ee": (server.pid, server.port, lambda number: OurLine(residents[number])),
            }
            costs: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(ROUNDS + 1):
                for name, contestant in contestants.items():
                    costs[name].append(await login_cost(reactor, *contestant))
            memory = {name: await idle_memory(reactor, *one) for name, one in contestants.items()}
    print(f"{'':24}{'CPU µs/login':>14}{'ratio':>8}{f'KiB each at {IDLE}':>20}")
    yardstick = statistics.median(costs["bare Twisted TLS"][1:])
    for name, rounds in costs.items():
        cost = statistics.median(rounds[1:])
        print(f"{name:24}{cost:14.0f}{cost / yardstick:8.2f}{memory[name]:20.1f}")
    print()
    await starts(reactor)


async def starts(reactor: Any) -> None:
    """Print how long it takes until somebody is served."""
    with Server() as server:
        residents = await settled(reactor, server, 2 * MAILBOXES)
        owners, senders = residents[:MAILBOXES], residents[MAILBOXES:]
        server.stop_server()

        async def start() -> tuple[float, float]:
            began = time.perf_counter()
            server.start_server()
            listening = time.perf_counter() - began
            line = OurLine(owners[0])
            await connect_all(reactor, server.port, [line])
            served = time.perf_counter() - began
            await disconnect_all(reactor, [line])
            server.stop_server()
            return listening * 1000, served * 1000

        empty = [await start() for _ in range(ROUNDS)]
        registry = await Registry.open(reactor, server.state)
        await registry.fill(senders, owners, WAITING // MAILBOXES)
        await registry.close()
        full = [await start() for _ in range(ROUNDS)]
        with_bare = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            with BareServer("bare_relay", str(server.state / "server.pem")):
                with_bare.append((time.perf_counter() - began) * 1000)
    print(f"{'ms from the start of the process':36}{'listening':>10}{'first login answered':>22}")
    print(f"{'bare Twisted TLS relay':36}{statistics.median(with_bare):10.0f}{'':>22}")
    for name, times in (("e2ee", empty), (f"e2ee, {WAITING} messages waiting", full)):
        listening, served = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:36}{listening:10.0f}{served:22.0f}")


def main() -> None:
    """With as many open files as this process and the servers need."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    react(lambda reactor: Deferred.fromCoroutine(compare(reactor)))


if __name__ == "__main__":
    main()
