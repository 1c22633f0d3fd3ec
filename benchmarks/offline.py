"""What a message to somebody who is offline costs the server, in and out.

Run as ``python -m benchmarks.offline``. 20,000 envelopes of texts of 400 bytes go from 100 senders,
ten in flight each, into 100 mailboxes; then their owners log in and fetch them. The yardstick is
`bare_mailbox`: the same frames into SQLite with group commit and `synchronous=FULL`, and back; once
as a store that only reads back, once as one that removes what was acknowledged, as e2ee does.
Measured is the CPU time of the server's process; then, in a round of its own under strace, fsyncs.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.lines import Line, MailboxLine, OurLine, connect_all, disconnect_all
from benchmarks.load import Flood
from benchmarks.processes import BareServer, Server, SyncCounter, cpu_seconds
from benchmarks.residents import ENVELOPE_BYTES, Registry, Resident, settled

MAILBOXES = 100
MESSAGES = 200
IN_FLIGHT = 10
ROUNDS = int(os.environ.get("E2EE_BENCHMARK_ROUNDS", "5"))
QUIET_SECONDS = 0.3
"""A server that has used less than a tick of CPU time for so long has removed what was acknowledged."""


@dataclass
class Contestant:
    """A server with clients. `fetch` makes a line that is logged in ask for what waits."""

    name: str
    pid: int
    port: int
    directory: Path
    make_line: Callable[[int], Line]
    fetch: Callable[[Line], None]
    costs_in: list[float] = field(default_factory=list)
    costs_out: list[float] = field(default_factory=list)
    syncs: tuple[int | None, int | None] = (None, None)


async def round_of(reactor: Any, one: Contestant) -> tuple[float, float]:
    """CPU microseconds for a message, in and out; logins are counted with the way out."""
    count = MAILBOXES * MESSAGES
    senders, recipients = await _connected_senders(reactor, one)
    cost_in = (await Flood(senders, MESSAGES, IN_FLIGHT).run(one.pid)).cpu_us
    await disconnect_all(reactor, senders)
    before = cpu_seconds(one.pid)
    await _drain(reactor, one, recipients)
    cost_out = (cpu_seconds(one.pid) - before) / count * 1e6
    await disconnect_all(reactor, recipients)
    return cost_in, cost_out


async def syncs_of(reactor: Any, one: Contestant) -> tuple[int | None, int | None]:
    """The same, counting fsyncs."""
    senders, recipients = await _connected_senders(reactor, one)
    counter = SyncCounter(one.pid, one.directory)
    await Flood(senders, MESSAGES, IN_FLIGHT).run(one.pid)
    syncs_in = counter.stop()
    await disconnect_all(reactor, senders)
    counter = SyncCounter(one.pid, one.directory)
    await _drain(reactor, one, recipients)
    syncs_out = counter.stop()
    await disconnect_all(reactor, recipients)
    return syncs_in, syncs_out


async def _connected_senders(reactor: Any, one: Contestant) -> tuple[list[Line], list[Line]]:
    recipients = [one.make_line(number) for number in range(MAILBOXES)]
    senders = [one.make_line(MAILBOXES + number) for number in range(MAILBOXES)]
    for sender, recipient in zip(senders, recipients, strict=True):
        sender.partner = recipient
    await connect_all(reactor, one.port, senders)
    return senders, recipients


async def _drain(reactor: Any, one: Contestant, recipients: Sequence[Line]) -> None:
    """Returns when everything has come and the server has nothing left to do about it."""
    await connect_all(reactor, one.port, recipients)
    for recipient in recipients:
        one.fetch(recipient)
    while sum(recipient.count for recipient in recipients) < MAILBOXES * MESSAGES:
        await deferLater(reactor, 0.01)
    used = -1.0
    while cpu_seconds(one.pid) - used > 0.003:
        used = cpu_seconds(one.pid)
        await deferLater(reactor, QUIET_SECONDS)


def _ours(server: Server, residents: Sequence[Resident]) -> Contestant:
    return Contestant(
        "e2ee (SQLCipher)", server.pid, server.port, server.directory,
        lambda number: OurLine(residents[number]), lambda line: None,
    )  # fmt: skip


def _bare(name: str, bare: BareServer, directory: Path) -> Contestant:
    def fetch(line: Line) -> None:
        if isinstance(line, MailboxLine):
            line.fetch()

    return Contestant(name, bare.pid, bare.port, directory, MailboxLine, fetch)


async def compare(reactor: Any) -> None:
    """Print the table."""
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        residents = await settled(reactor, server, 2 * MAILBOXES)
        certificate, directory = str(server.state / "server.pem"), server.directory
        reads = stack.enter_context(
            BareServer("bare_mailbox", certificate, str(directory / "reads.sqlite3"))
        )
        removes = stack.enter_context(
            BareServer("bare_mailbox", certificate, str(directory / "removes.sqlite3"), "remove")
        )
        contestants = [
            _bare("bare Twisted TLS and SQLite", reads, directory),
            _bare("the same, removing what was read", removes, directory),
            _ours(server, residents),
        ]
        for _ in range(ROUNDS + 1):
            for one in contestants:
                cost_in, cost_out = await round_of(reactor, one)
                one.costs_in.append(cost_in)
                one.costs_out.append(cost_out)
        for one in contestants:
            one.syncs = await syncs_of(reactor, one)
        server.stop_server()
        registry = await Registry.open(reactor, server.state)
        if left := await registry.waiting():
            raise RuntimeError(f"{left} messages were not drained")
        await registry.close()
    _print(contestants)


def _print(contestants: Sequence[Contestant]) -> None:
    print(
        f"{MAILBOXES * MESSAGES} envelopes of {ENVELOPE_BYTES} bytes, {MAILBOXES} mailboxes,"
        f" {MAILBOXES} senders with {IN_FLIGHT} in flight, {ROUNDS} rounds, medians\n"
    )
    print(
        f"{'server CPU µs/message':36}{'in':>8}{'ratio':>8}{'out':>8}{'ratio':>8}{'fsyncs in':>11}{'out':>8}"
    )
    costs_in = [statistics.median(one.costs_in[1:]) for one in contestants]
    costs_out = [statistics.median(one.costs_out[1:]) for one in contestants]
    for one, cost_in, cost_out in zip(contestants, costs_in, costs_out, strict=True):
        syncs = "".join(
            f"{'–' if count is None else f'{count / MAILBOXES / MESSAGES:.4f}':>{width}}"
            for count, width in zip(one.syncs, (11, 8), strict=True)
        )
        print(
            f"{one.name:36}{cost_in:8.1f}{cost_in / costs_in[0]:8.2f}"
            f"{cost_out:8.1f}{cost_out / costs_out[0]:8.2f}{syncs}"
        )


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(compare(reactor)))
