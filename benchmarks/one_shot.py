"""One `e2ee send` from the start of its process to its end, as cron or a shell script sees it.

Run as ``python -m benchmarks.one_shot``. The yardsticks of the same run are an interpreter that does
nothing, one that only loads the libraries without which nothing can be sent, and `e2ee --help`. All take
turns, so that a machine whose speed drifts slows them alike. CPU time counts all threads: Argon2id runs
beside the loading of the rest, so a send can be shorter than what it costs.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Server
from examples.stage import program

ROUNDS = 15
ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"
LIBRARIES = "import twisted.internet.reactor, cryptography, sqlcipher3"


@dataclass
class Contestant:
    """A command, and what each of its runs took, in seconds."""

    name: str
    command: Sequence[str]
    elapsed: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def run(self, environment: dict[str, str]) -> None:
        """Once, to its end."""
        used, began = processor_seconds(), time.perf_counter()
        subprocess.run(
            self.command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
        )
        self.elapsed.append(time.perf_counter() - began)
        self.processor.append(processor_seconds() - used)


def processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _contestants(passphrase: Path) -> list[Contestant]:
    client = program("e2ee")
    send = ("send", BOB, "-m", "the backup is done")
    return [
        Contestant("python -c pass", [sys.executable, "-c", "pass"]),
        Contestant("python, only the libraries", [sys.executable, "-c", LIBRARIES]),
        Contestant("e2ee --help", [client, "--help"]),
        Contestant("e2ee send, key file", [client, "--profile", "alice", *send]),
        Contestant(
            "e2ee send, passphrase file",
            [client, "--profile", "carol", "--passphrase-file", str(passphrase), *send],
        ),
    ]


def main() -> None:
    """Print the figures."""
    with Server("--presence", "nobody") as server:
        link = server.start_server()
        passphrase = server.directory / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("correct horse battery staple")
        server.register("bob", link, BOB)
        server.register("alice", link, ALICE)
        server.register("carol", link, CAROL, passphrase_file=passphrase)
        contestants = _contestants(passphrase)
        for one in contestants[3:]:
            # The first send makes the stock of prekeys and the session.
            one.run(server.environment)
        for one in contestants:
            one.elapsed.clear()
            one.processor.clear()
        for _ in range(ROUNDS):
            for one in contestants:
                one.run(server.environment)
    print(f"start to exit, milliseconds over {ROUNDS} rounds\n")
    print(f"{'':28}{'least':>8}{'median':>8}{'CPU, least':>12}{'CPU, median':>13}")
    for one in contestants:
        figures = (min(one.elapsed), statistics.median(one.elapsed))
        processor = (min(one.processor), statistics.median(one.processor))
        print(
            f"{one.name:28}" + "".join(f"{1000 * value:8.0f}" for value in figures)
            + f"{1000 * processor[0]:12.0f}{1000 * processor[1]:13.0f}"
        )


if __name__ == "__main__":
    main()
