"""Servers under load as processes of their own, and what they cost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from examples.stage import PATIENCE_SECONDS, Stage

UNLIMITED: Mapping[str, int] = {
    "stranger_waiting": 0,
    "strangers_waiting": 0,
    "connections_before_login": 0,
    "codes_per_source": 0,
    "codes_total": 0,
    "codes_per_prefix": 0,
    # Counted as on any server, but never reached.
    "messages_burst": 10_000_000,
    "messages_per_second": 1_000_000,
}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads, to the nanosecond (Linux)."""
    # clock_getcpuclockid(3) of another process; Python has it for threads only.
    return time.clock_gettime((~pid << 3) | 2)


def resident_kib(pid: int) -> float:
    """Memory of a process, KiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


class SyncCounter:
    """Counts fsync and fdatasync of a process with strace, which slows it down; use it by itself."""

    def __init__(self, pid: int, directory: Path) -> None:
        self._path = directory / "syncs"
        self.count: int | None = None
        self._tracer: subprocess.Popen[bytes] | None = None
        if shutil.which("strace") is not None:
            self._tracer = subprocess.Popen(
                ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(self._path), "-p", str(pid)],
                stderr=subprocess.DEVNULL,
            )
            time.sleep(1.0)

    def stop(self) -> int | None:
        """How many there were; None without strace."""
        if self._tracer is None:
            return None
        self._tracer.send_signal(signal.SIGINT)
        self._tracer.wait()
        lines = self._path.read_text().splitlines()
        return sum("sync(" in line for line in lines)


class Server(Stage):
    """A real e2ee server; nothing that one load process sends reaches a limit of `limits`."""

    def __init__(self, *options: str, limits: Mapping[str, int] = UNLIMITED) -> None:
        super().__init__()
        config = self.directory / "server.toml"
        config.write_text("[limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items()))
        self.server_options: Sequence[str] = (*options, "--config", str(config))

    @property
    def pid(self) -> int:
        """The process to measure."""
        if self._server is None:
            raise RuntimeError("the server is not running")
        return self._server.pid

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        link = (self.state / "connect-link").read_text()
        return int(link.removeprefix("e2ee://").split("/")[0].rsplit(":", 1)[1])

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.directory / "server.log").read_text()

    def stop_server(self, killed: bool = False) -> None:
        """End it in good order, or not; `start_server` goes on with the same state."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
            self._server.wait(PATIENCE_SECONDS)
            self._server = None
            (self.state / "connect-link").unlink(missing_ok=True)


class BareServer:
    """A yardstick: a module that prints its port, with the certificate of another server."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments], stdout=subprocess.PIPE, text=True
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
