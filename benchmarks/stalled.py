"""What clients cost that have much waiting and never read, and whether others notice.

Run as ``python -m benchmarks.stalled``. 200 people with 10,000 waiting messages each log in and read
nothing; 50 pairs of others exchange 500 messages a second, before and meanwhile. Printed are the
memory of each stalled client, and the time and the server's CPU time for the messages of the others.
It fills a database of 1.7 GB; `E2EE_STALLED_WAITING` says how many messages wait for each.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.lines import Line, OurLine, StalledLine, connect_all, pair_up
from benchmarks.load import percentile, steadily
from benchmarks.processes import Server, cpu_seconds, resident_kib
from benchmarks.residents import Registry

STALLED = 200
OTHERS = 100
WAITING = int(os.environ.get("E2EE_STALLED_WAITING", "10000"))
PER_SECOND = 500
SECONDS = 10.0


async def _say(reactor: Any, what: str, pid: int, senders: list[Line]) -> None:
    before = cpu_seconds(pid)
    arrived, answered = await steadily(reactor, senders, PER_SECOND, SECONDS)
    cpu = (cpu_seconds(pid) - before) / (PER_SECOND * SECONDS) * 1e6
    print(
        f"{what:36}{cpu:12.1f}{percentile(arrived, 0.5):12.2f}{percentile(arrived, 0.99):8.2f}"
        f"{percentile(answered, 0.5):14.2f}{percentile(answered, 0.99):8.2f}", flush=True,
    )  # fmt: skip


async def run(reactor: Any) -> None:
    """Print the table."""
    with Server() as server:
        server.start_server()
        server.stop_server()
        registry = await Registry.open(reactor, server.state)
        residents = await registry.settle(STALLED + OTHERS)
        stalled, others = residents[:STALLED], residents[STALLED:]
        await registry.fill(others * (STALLED // OTHERS), stalled, WAITING)
        await registry.close()
        server.start_server()
        lines: list[Line] = [OurLine(one) for one in others]
        await connect_all(reactor, server.port, lines)
        senders = pair_up(lines)
        print(f"{f'at {PER_SECOND} messages/s':36}{'CPU µs':>12}{'arrived p50':>12}{'p99':>8}"
              f"{'answered p50':>14}{'p99':>8}")
        await _say(reactor, "nobody stalls", server.pid, senders)
        before = resident_kib(server.pid)
        still: list[Line] = [StalledLine(one) for one in stalled]
        await connect_all(reactor, server.port, still)
        await _say(reactor, f"{STALLED} have logged in and never read", server.pid, senders)
        await deferLater(reactor, 1.0)
        each = (resident_kib(server.pid) - before) / STALLED
        print(f"\nKiB of memory for each of them, with {WAITING} messages waiting: {each:.0f}")


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
