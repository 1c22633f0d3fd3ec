"""The longest turn of the server's reactor while it is busy: nothing on its thread may wait.

Run as ``python -m benchmarks.turns``. 1,000 messages are stored (each with a commit and fsync behind
it) while 50 registrations run SPAKE2 in the worker processes. The yardstick is the same server with
the messages alone, and with nothing to do at all.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react

from benchmarks.processes import Server
from benchmarks.users import User

SENDERS = 10
MESSAGES = 100
REGISTRATIONS = 50


class WatchedServer(Server):
    """A server whose turns are measured from inside."""

    @property
    def report(self) -> Path:
        """Where it writes the longest turn."""
        return self.directory / "turns"

    def command(self) -> list[str]:
        """Started through `benchmarks.watched_server`."""
        return [sys.executable, "-m", "benchmarks.watched_server", str(self.report)]

    async def longest_turn(self, reactor: Any) -> float:
        """Milliseconds of the longest turn since the last question."""
        self.report.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        while not self.report.exists() or not self.report.read_text():
            await deferLater(reactor, 0.01)
        return float(self.report.read_text())


async def _store(one: User, other: User) -> None:
    for _ in range(MESSAGES):
        await one.send(other, os.urandom(400))


async def _register(users: list[User], codes: Path) -> None:
    for user in users:
        await user.register(codes)


async def run(reactor: Any) -> None:
    """Print the figures."""
    print("the longest turn of the reactor in the server\n")
    with WatchedServer("--presence", "nobody") as server:
        link = server.start_server()
        users = [User(reactor, link, number) for number in range(100, 100 + 2 * SENDERS + REGISTRATIONS)]
        talking, newcomers = users[: 2 * SENDERS], users[2 * SENDERS :]
        await _register(talking, server.codes)
        for user in talking[::2]:
            await user.log_in()
        await server.longest_turn(reactor)
        await deferLater(reactor, 2.0)
        await _say(server, reactor, "2 s with nothing to do")

        def storing() -> list[Deferred[None]]:
            pairs = zip(talking[::2], talking[1::2], strict=True)
            return [Deferred.fromCoroutine(_store(one, other)) for one, other in pairs]

        await gatherResults(storing())
        await _say(server, reactor, f"{SENDERS * MESSAGES} messages stored")
        registering = Deferred.fromCoroutine(_register(newcomers, server.codes))
        await gatherResults([*storing(), registering])
        await _say(server, reactor, f"the same, and {REGISTRATIONS} registrations")


async def _say(server: WatchedServer, reactor: Any, what: str) -> None:
    print(f"{what:42}{await server.longest_turn(reactor):8.2f} ms")


def main() -> None:
    """Run on a reactor of its own."""
    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
