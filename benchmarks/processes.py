"""Servers under load as processes of their own, and what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from examples.stage import Stage


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory of a process, MiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Server(Stage):
    """A real e2ee server without limits on what one account may send."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        config = self.directory / "server.toml"
        config.write_text(
            "[limits]\n"
            + "".join(
                f"{name} = 0\n"
                for name in (
                    "messages_burst", "stranger_waiting", "strangers_waiting", "connections_before_login",
                    "codes_per_source", "codes_total", "codes_per_prefix",
                )
            )
        )
        self.server_options: Sequence[str] = (*options, "--config", str(config))

    @property
    def pid(self) -> int:
        """The process to measure."""
        if self._server is None:
            raise RuntimeError("the server is not running")
        return self._server.pid


class BareServer:
    """The bare relay, with the certificate of another server."""

    def __init__(self, certificate: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_relay", str(certificate)],
            stdout=subprocess.PIPE, text=True,
        )
        if self._process.stdout is None:
            raise RuntimeError("no output")
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
