"""Exit codes as a shell sees them: with the server down, another one, no profile, a busy one, and signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, CAROL, Household

PATIENCE = 120.0
UNKNOWN_ID = "00" * 16
AT_ONCE = 7

NEED_A_SERVER = (
    f"send {BOB} -m hello",
    f"send {BOB} -m hello --wait read",
    "receive",
    "receive --wait-first",
    "receive --follow",
    "online",
    "status",
    f"verify {CAROL}",
    "pin set --pin-file PIN",
    "pin remove",
    "identity show",
    "identity remove",
    "chat",
)
"""With `--timeout`."""

NEED_A_VAULT = (
    "contacts",
    f"contacts add {BOB} bob",
    "contacts block bob",
    "history",
    "outbox",
    "trust bob",
    "trust --list-ca",
    "forget --conversation bob",
    "verify bob",
    "rpc",
    "contacts remove bob",
)
"""In this order."""

NEED_NOTHING = ("profiles", f"run --to {BOB} -- true", "completion bash", "rpc --schema")
"""`run` ends as its command does, whatever becomes of the message."""

WRONG = {
    "outbox cancel " + UNKNOWN_ID: 2,
    "forget " + UNKNOWN_ID: 2,
    "trust --remove-ca nobody": 2,
    "identity attach no-such-file no-such-file": 2,
    f"send {ALICE} -m to-myself": 2,
    "send nobody -m hello": 2,
    "verify nobody": 2,
    "register e2ee://localhost:1/ +15550100101": 2,
    "no-such-verb": 2,
}


class ExitCodeTests(SynchronousTestCase):
    """docs/command-line.md, "Exit codes". What needs no process is in `tests.ui.test_outcomes`."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        pin = self.house.directory / "PIN"
        pin.write_text("correct horse\n")
        pin.chmod(0o600)

    def outcomes(self, lines: Sequence[str], *options: str, profile: str = "alice") -> dict[str, int]:
        """The exit code of each, a few at a time."""
        found: dict[str, int] = {}
        waiting = list(lines)
        running: list[tuple[str, subprocess.Popen[bytes]]] = []
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                line = waiting.pop(0)
                running.append((line, self.start(line, *options, profile=profile)))
            line, process = running.pop(0)
            process.communicate(timeout=PATIENCE)
            found[line] = process.returncode
        return found

    def start(self, line: str, *options: str, profile: str = "alice") -> subprocess.Popen[bytes]:
        """One command, with nothing to read."""
        return subprocess.Popen(
            [program("e2ee"), "--profile", profile, *options, *line.split()],
            env=self.house.environment,
            cwd=self.house.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def assert_all(self, found: Mapping[str, int], expected: int) -> None:
        self.assertEqual(found, dict.fromkeys(found, expected))

    def test_without_a_profile(self) -> None:
        lines = ["receive", "chat", "contacts", "pin remove", "rpc", "agent", "backup FILE"]
        self.assert_all(self.outcomes(lines, profile="nobody"), 6)
        self.assert_all(self.outcomes(NEED_NOTHING, profile="nobody"), 0)

    def test_without_a_server_with_another_one_and_with_a_busy_profile(self) -> None:
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)
        self.house.do("alice", "send", BOB, "-m", "so that her key is known")
        self.assertEqual(self.outcomes(tuple(WRONG)), WRONG)
        self.house.stop_server()
        self.without_a_server()
        self.with_another_server()
        self.with_a_busy_profile()

    def without_a_server(self) -> None:
        self.assert_all(self.outcomes(NEED_A_SERVER, "--timeout", "5"), 3)
        for line in NEED_A_VAULT:
            self.assert_all(self.outcomes([line]), 0)
        self.assert_all(self.outcomes(NEED_NOTHING, "--timeout", "0.5"), 0)
        self.interrupted()
        self.closed_pipes()

    def interrupted(self) -> None:
        """Where it waits it ends with 130, and SIGTERM is the usual end of what goes on by itself."""
        lock = Path(self.house.environment["E2EE_DATA_DIR"]) / "alice" / "lock"
        for line, number, expected in (
            (f"send {BOB} -m hello --timeout 60", signal.SIGINT, 130),
            ("receive --wait-first --timeout 60", signal.SIGINT, 130),
            ("receive --follow", signal.SIGINT, 130),
            ("receive --follow", signal.SIGTERM, 0),
            ("agent", signal.SIGINT, 130),
            ("agent", signal.SIGTERM, 0),
        ):
            process = self.start(line)
            held = str(process.pid)

            def holds(held: str = held) -> bool:
                lines = lock.read_text().splitlines()
                return lines[:1] == [held] and len(lines) == 2

            wait_until(f"{line} to hold the vault", holds, PATIENCE)
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, expected, line)

    def closed_pipes(self) -> None:
        """Whoever has read enough is no failure."""
        for line in ("history", "outbox", "profiles", "rpc --schema", "--help"):
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run(
                [program("e2ee"), "--profile", "alice", *line.split()],
                env=self.house.environment, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
            os.close(writing)
            self.assertEqual((done.returncode, done.stderr), (0, b""), line)

    def with_another_server(self) -> None:
        """At the same place, with keys that nobody has said would come."""
        shutil.rmtree(self.house.state)
        self.house.start_server()
        # Trusting it needs a decision: waiting does not help, so nothing waits for --timeout.
        self.assert_all(self.outcomes([*NEED_A_SERVER, "agent"]), 4)
        self.assert_all(self.outcomes(NEED_A_VAULT[:1]), 0)

    def with_a_busy_profile(self) -> None:
        """Its holder was stopped. The server is gone, so that nothing else ends it."""
        self.house.stop_server()
        lock = Path(self.house.environment["E2EE_DATA_DIR"]) / "bob" / "lock"
        holder = self.start("receive --follow", profile="bob")
        wait_until("a holder", lambda: len(lock.read_text().splitlines()) == 2, PATIENCE)
        holder.send_signal(signal.SIGSTOP)
        try:
            lines = ["receive --follow", "chat", "status", "contacts", "rpc", "agent"]
            self.assert_all(self.outcomes(lines, "--timeout", "0.3", profile="bob"), 8)
            self.assert_all(self.outcomes(["profiles"], profile="bob"), 0)
        finally:
            holder.kill()
            holder.communicate()
