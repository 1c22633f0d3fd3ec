"""How long a server takes to start, what it holds in memory then, and what 100,000 waiting messages change.

Run as ``python -m benchmarks.start_up``. A start ends when the server accepts connections (`connect-link`
is there); then somebody logs in, and the first of his messages comes. Of the 100,000, ten people have
10,000 each; the server before was stopped in good order, or killed. The yardsticks of the same run are
an interpreter that does nothing and one that only loads the libraries without which no server runs; all
take turns. Times are those of the machine as it is; the CPU time of the process until it accepts shows what
others on it have cost.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.lines import OurLine, connect_all, disconnect_all
from benchmarks.one_shot import processor_seconds
from benchmarks.processes import Server, cpu_seconds, resident_kib
from benchmarks.residents import Registry, Resident

ROUNDS = 7
PEOPLE = 10
WAITING = 10_000
LIBRARIES = "import twisted.internet.reactor, OpenSSL, cryptography.x509, sqlcipher3, msgspec, phonenumbers"
SETTLED_SECONDS = 2.0
"""After which a server that nobody uses holds what it will go on holding."""
_LOOK_SECONDS = 0.001


@dataclass
class Contestant:
    """Something that is started, and what each of its starts cost: seconds, and MiB."""

    name: str
    begin: Callable[[Any, Contestant], Any]
    started: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    logged_in: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)


def _interpreter(code: str) -> Callable[[Any, Contestant], Any]:
    async def begin(reactor: Any, one: Contestant) -> None:
        began, used = time.perf_counter(), processor_seconds()
        subprocess.run([sys.executable, "-c", code], check=True)
        one.started.append(time.perf_counter() - began)
        one.processor.append(processor_seconds() - used)

    return begin


def _start(
    server: Server, resident: Resident, waits: bool = False, killed: bool = False
) -> Callable[[Any, Contestant], Any]:
    """A start of this server; at its end the server runs no more, as at the beginning."""

    async def begin(reactor: Any, one: Contestant) -> None:
        began = time.perf_counter()
        server.begin_server()
        link = server.state / "connect-link"
        while not link.exists():
            await deferLater(reactor, _LOOK_SECONDS)
        one.started.append(time.perf_counter() - began)
        one.processor.append(cpu_seconds(server.pid))
        line = OurLine(resident)
        first: Deferred[None] = Deferred()
        line.arrived = lambda envelope: None if first.called else first.callback(None)
        await connect_all(reactor, server.port, [line])
        one.logged_in.append(time.perf_counter() - began)
        if waits:
            await first
            one.received.append(time.perf_counter() - began)
        await disconnect_all(reactor, [line])
        await deferLater(reactor, SETTLED_SECONDS)
        one.memory.append(resident_kib(server.pid) / 1024)
        one.worker += [resident_kib(child) / 1024 for child in _children(server.pid)]
        server.stop_server(killed)

    return begin


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def compare(reactor: Any) -> None:
    """Print the table."""
    with Server() as empty, Server() as full, Server() as killed:
        residents = [await _filled(reactor, server, count) for server, count in (
            (empty, 0), (full, WAITING), (killed, WAITING),
        )]  # fmt: skip
        contestants = [
            Contestant("python -c pass", _interpreter("pass")),
            Contestant("python, only the libraries", _interpreter(LIBRARIES)),
            Contestant("an empty server", _start(empty, residents[0])),
            Contestant(f"{PEOPLE * WAITING} waiting, stopped before", _start(full, residents[1], waits=True)),
            Contestant(
                f"{PEOPLE * WAITING} waiting, killed before", _start(killed, residents[2], True, killed=True)
            ),
        ]
        for _ in range(ROUNDS):
            for one in contestants:
                await one.begin(reactor, one)
    _print(contestants)


async def _filled(reactor: Any, server: Server, count: int) -> Resident:
    """Somebody with so many messages in his mailbox, among others; the server does not run."""
    server.start_server()
    server.stop_server()
    registry = await Registry.open(reactor, server.state)
    people = await registry.settle(PEOPLE)
    await registry.fill([*people[1:], people[0]], people, count)
    await registry.close()
    return people[0]


def _print(contestants: list[Contestant]) -> None:
    print(f"milliseconds from the start of the process, the least and the median of {ROUNDS} rounds; MiB\n")
    columns = ("accepts", "median", "CPU", "login", "median", "message", "median", "memory", "worker")
    print(f"{'':30}" + "".join(f"{column:>9}" for column in columns))
    for one in contestants:
        figures = [
            *_both(one.started), _both(one.processor)[1], *_both(one.logged_in), *_both(one.received),
            *(f"{max(each):.0f}" if each else "–" for each in (one.memory, one.worker)),
        ]  # fmt: skip
        print(f"{one.name:30}" + "".join(f"{figure:>9}" for figure in figures))


def _both(seconds: list[float]) -> tuple[str, str]:
    if not seconds:
        return "–", "–"
    return f"{1000 * min(seconds):.0f}", f"{1000 * statistics.median(seconds):.0f}"


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(compare(reactor)))
