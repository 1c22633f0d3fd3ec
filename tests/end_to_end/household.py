"""A server and profiles as real processes, with the results that a shell would see.

Knows the command line only. Built on the demonstration's stage, so that what is shown to people is
what is tested.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.stage import PATIENCE_SECONDS, Stage, wait_until
from tests.ui.described import check_printed

ALICE = "+15550100101"
BOB = "+15550100102"
CAROL = "+15550100103"


@dataclass(frozen=True)
class Result:
    """What a shell sees of a finished command."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines, each as `e2ee rpc --schema` describes it."""
        found = [json.loads(line) for line in self.out.splitlines()]
        for one in found:
            self.check(one)
        return found

    def check(self, printed: dict[str, Any]) -> None:
        """Raises AssertionError unless it is described."""
        check_printed(printed)

    @property
    def error(self) -> dict[str, Any]:
        """The error object on the last line of standard error."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        self.check(found)
        return found


class Household(Stage):
    """A stage whose server can be killed and started again in place, with commands that may fail."""

    def __init__(self, *server_options: str) -> None:
        super().__init__()
        self.server_options = server_options
        self.port = 0

    def start_server(self) -> str:
        """Start, on the same port as before if there was a start before."""
        link = super().start_server()
        self.port = int(link.split("/")[2].rsplit(":", 1)[1])
        return link

    def stop_server(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the server and wait for its end; its exit status. The connect link is removed."""
        if self._server is None:
            return 0
        self._server.send_signal(how)
        status = self._server.wait(PATIENCE_SECONDS)
        self._server = None
        (self.state / "connect-link").unlink(missing_ok=True)
        return status

    def signal_server(self, which: signal.Signals) -> None:
        """Send the running server a signal that does not end it."""
        if self._server is not None:
            self._server.send_signal(which)

    def listen(self) -> str:
        """The endpoint of the server: the same port at every start."""
        return f"tcp:{self.port}:interface=127.0.0.1"

    def do(self, profile: str, *arguments: str, given: str | bytes = b"", **environment: str) -> Result:
        """Run one client command to its end."""
        done = subprocess.run(
            self.command_line(profile, *arguments),
            env={**self.environment, **environment},
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True, timeout=2 * self.patience, check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def do_in_time(
        self, profile: str, *arguments: str, came_so_far: Callable[[Result], bool]
    ) -> Result:
        """Run a command that ends when its time is up; with more time where the machine was too slow."""
        result = self.do(profile, *arguments, "--timeout", "1")
        for seconds in ("5", "20", "60"):
            if came_so_far(result):
                break
            result = self.do(profile, *arguments, "--timeout", seconds)
        return result

    def client_files(self, profile: str) -> list[Path]:
        """Every file of a profile."""
        root = Path(self.environment["E2EE_DATA_DIR"]) / profile
        return [Path(folder) / name for folder, _, names in os.walk(root) for name in names]

    def wait_for_empty_mailboxes(self) -> None:
        """Until nothing waits on the server."""
        wait_until("empty mailboxes", lambda: not self.waiting())
