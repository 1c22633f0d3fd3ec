"""What a message to somebody who is online costs the server, beside a bare Twisted TLS relay.

Run as ``python -m benchmarks.relay``. 100 connections in 50 pairs, the envelope of a text of 400
bytes, both servers under the same load process, by turns. Both carry the same four frames for a
message over the same TLS: from the sender, to the recipient, its acknowledgement, the answer.
Measured is the CPU time of the server's process with one message in flight for each sender and with
ten; then the time that messages take at 500 a second.
"""

from __future__ import annotations

import os
import statistics
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.lines import Line, OurLine, RelayLine, connect_all, pair_up
from benchmarks.load import Figures, Flood, percentile, steadily
from benchmarks.processes import BareServer, Server
from benchmarks.residents import ENVELOPE_BYTES, settled

CONNECTIONS = 100
MESSAGES = 200
ROUNDS = int(os.environ.get("E2EE_BENCHMARK_ROUNDS", "15"))
PER_SECOND = 500
SECONDS = 10.0

Contestants = dict[str, tuple[int, list[Line]]]
BARE, OURS = "bare Twisted TLS relay", "e2ee, delivered (never on a disk)"


async def compare(reactor: Any) -> None:
    """Print the tables."""
    with Server() as server:
        residents = await settled(reactor, server, CONNECTIONS)
        ours: list[Line] = [OurLine(resident) for resident in residents]
        await connect_all(reactor, server.port, ours)
        with BareServer("bare_relay", str(server.state / "server.pem")) as bare:
            lines: list[Line] = [RelayLine(number) for number in range(CONNECTIONS)]
            await connect_all(reactor, bare.port, lines)
            contestants = {BARE: (bare.pid, pair_up(lines)), OURS: (server.pid, pair_up(ours))}
            print(f"{CONNECTIONS} connections, envelopes of {ENVELOPE_BYTES} bytes, {ROUNDS} rounds\n")
            for in_flight in (1, 10):
                await _costs(contestants, in_flight)
            await _latencies(reactor, contestants)
    if any(line.refused for line in ours if isinstance(line, OurLine)):
        raise RuntimeError("the server has refused something")


async def _costs(contestants: Contestants, in_flight: int) -> None:
    rounds: dict[str, list[Figures]] = {name: [] for name in contestants}
    for _ in range(ROUNDS + 1):
        for name, (pid, senders) in contestants.items():
            rounds[name].append(await Flood(senders, MESSAGES, in_flight).run(pid))
    print(f"{in_flight:2} in flight{'':25}{'server CPU µs/message':>24}{'ratio':>8}{'messages/s':>12}")
    medians = {name: statistics.median(one.cpu_us for one in figures[1:]) for name, figures in rounds.items()}
    for name, figures in rounds.items():
        speed = statistics.median(one.per_second for one in figures[1:])
        print(f"{name:36}{medians[name]:24.1f}{medians[name] / medians[BARE]:8.2f}{speed:12.0f}")
    print(flush=True)


async def _latencies(reactor: Any, contestants: Contestants) -> None:
    print(f"{f'ms at {PER_SECOND} messages/s':36}{'arrived p50':>12}{'p99':>8}{'answered p50':>14}{'p99':>8}")
    for name, (_, senders) in contestants.items():
        arrived, answered = await steadily(reactor, senders, PER_SECOND, SECONDS)
        print(
            f"{name:36}{percentile(arrived, 0.5):12.2f}{percentile(arrived, 0.99):8.2f}"
            f"{percentile(answered, 0.5):14.2f}{percentile(answered, 0.99):8.2f}"
        )


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(compare(reactor)))
