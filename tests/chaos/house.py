"""A server behind a proxy, with profiles that reach it only through that proxy.

Knows how the programs are started, with which faults, and where they keep what they have; not what is
proven with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tests
from examples.stage import program
from tests.chaos.key_use import recorded
from tests.chaos.ledger import Accepted
from tests.chaos.proxy import Draw, Proxy
from tests.chaos.weather import CLEAR
from tests.end_to_end.household import Household

ROOT = Path(tests.__file__).parent.parent
UNLIMITED = """
[limits]
messages_burst = 0
messages_per_second = 0
mailbox_messages = 0
mailbox_bytes = 0
strangers_waiting = 0
stranger_waiting = 0
codes_burst = 0
codes_per_source = 0
"""
"""What limits there are on how much one may send is proven elsewhere, and here they would hide losses."""


@dataclass(frozen=True)
class Faults:
    """The planted faults of a run (`tests.chaos.faults`), by whom they sit in: a profile, or "server"."""

    of: Mapping[str, str] = field(default_factory=dict)

    def command(self, who: str, name: str, *options: str) -> list[str]:
        """How `name` is started for `who`: the installed command where there is nothing to plant."""
        planted = ["--fault", self.of[who]] if who in self.of else []
        if not planted and not options:
            return [program(name)]
        return [sys.executable, "-m", "tests.chaos.launch", *planted, *options, name]


class ChaosHouse(Household):
    """One run's. Leaving the context ends everything, and removes it."""

    patience = 240.0  # on a machine that does much else

    def __init__(self, draw: Draw = lambda number: CLEAR, faults: Faults | None = None) -> None:
        super().__init__("--presence", "everyone")
        self.faults = faults or Faults()
        path = os.environ.get("PYTHONPATH")
        self.environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([path] if path else [])])
        self.envelopes = self.directory / "envelopes"
        limits = self.directory / "limits.toml"
        limits.write_text(UNLIMITED)
        self.server_options = (*self.server_options, "--config", str(limits))
        self.cuts = 0
        """How often the clients' machine has lost power, where it can."""
        self.proxy = Proxy(0)
        self.link = ""
        self._draw = draw

    def __exit__(self, *_: object) -> None:
        self.proxy.stop()
        super().__exit__()

    def command(self) -> list[str]:
        """The server notes every envelope that it is given."""
        started = self.faults.command("server", "twistd", "--note", str(self.envelopes))
        return [*started, "-n", "--pidfile=", "e2ee-server"]

    def client(self, profile: str, *arguments: str) -> list[str]:
        """The command line of a client."""
        return [*self.faults.command(profile, "e2ee"), "--profile", profile, *arguments]

    def settle_in(self, **people: str) -> None:
        """Start the server and register everybody, through a proxy that is still calm."""
        link = self.start_server()
        self.proxy.target = self.port
        self.link = link.replace(f":{self.port}/", f":{self.proxy.port}/")
        self.register_all(**people)

    def register_all(self, **people: str) -> None:
        """More people: profiles and their numbers."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: self.register(one, self.link, people[one]), people))

    def let_loose(self, draw: Draw | None = None) -> None:
        """From now on each new connection has its fate; those that stand are reset."""
        self.proxy.draw = draw or self._draw
        self.proxy.cut()

    def spawn(self, profile: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a client with pipes; what it says on standard error goes to a file of the profile's."""
        with (self.directory / f"{profile}.log").open("ab") as log:
            return subprocess.Popen(
                self.client(profile, *arguments), env=self.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )

    def objects(self, profile: str, *arguments: str) -> list[dict[str, Any]]:
        """What a command with `--json` prints. Raises CalledProcessError unless it ends with 0."""
        done = subprocess.run(
            self.client(profile, *arguments, "--json"), env=self.environment, check=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=self.patience,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def accepted(self, profile: str, to: str) -> list[Accepted]:
        """What this profile's own records say that was sent to somebody, in order, oldest first."""
        entries = [one for one in self.objects(profile, "history", to) if one.get("direction") == "out"]
        return [Accepted(one["text"], one["id"]) for one in entries if one["state"] != "failed"]

    def given_envelopes(self) -> Sequence[bytes]:
        """Every envelope that the server was given."""
        return recorded(self.envelopes)

    def log_of(self, profile: str) -> str:
        """What a client has said on standard error."""
        path = self.directory / f"{profile}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


