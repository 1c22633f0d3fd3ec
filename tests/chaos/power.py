"""Two machines that can lose power: the server's and that of all clients, each on a forgetful disk.

Knows mounts and processes; what a disk forgets stands in `forgetful_disk`, what must survive in the tests.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from tests.chaos.house import ROOT, ChaosHouse, Faults
from tests.chaos.proxy import Draw
from tests.chaos.weather import CLEAR

DEVICE: Final = Path("/dev/fuse")
MOUNT_SECONDS: Final = 30.0


def missing() -> str:
    """Why this machine cannot lose power, or nothing."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} is not there, or not for us"
    if importlib.util.find_spec("mfusepy") is None:
        return "the package mfusepy is not installed: pip install '.[powerloss]'"
    if not (ctypes.util.find_library("fuse3") or ctypes.util.find_library("fuse")):
        return "libfuse is not installed (Debian: libfuse3-3 and fuse3)"
    if _unmounter() is None:
        return "neither umount as root nor fusermount3 is there"
    return ""


def _unmounter() -> list[str] | None:
    if os.geteuid() == 0:
        return ["umount"]
    found = shutil.which("fusermount3") or shutil.which("fusermount")
    return None if found is None else [found, "-u"]


class Disk:
    """A mounted forgetful disk in a process of its own."""

    def __init__(self, mountpoint: Path) -> None:
        self.mountpoint = mountpoint
        mountpoint.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.forgetful_mount", str(mountpoint)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._wait(mounted=True)

    def cut(self, seed: int) -> None:
        """The power fails. On return nothing can be written any more; 0: all that was not synced is lost."""
        self._order(f"cut {seed}")

    def restore(self) -> None:
        """The power is back. No process may have anything open on the disk."""
        self._unmount()
        self._wait(mounted=True)

    def end(self) -> None:
        """Unmount for good, whatever is open."""
        self._order("end")
        self._unmount("-l")
        try:
            self._process.wait(MOUNT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _order(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def _unmount(self, *options: str) -> None:
        command = _unmounter()
        assert command is not None
        deadline = time.monotonic() + MOUNT_SECONDS
        command = [*command, *options, str(self.mountpoint)]
        while subprocess.run(command, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.mountpoint} cannot be unmounted: something is open on it")
            time.sleep(0.05)

    def _wait(self, *, mounted: bool) -> None:
        deadline = time.monotonic() + MOUNT_SECONDS
        while os.path.ismount(self.mountpoint) != mounted:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"nothing is mounted at {self.mountpoint}")
            time.sleep(0.01)


class PoweredHouse(ChaosHouse):
    """A house whose server keeps its state on one forgetful disk, and whose people theirs on another."""

    def __init__(self, draw: Draw = lambda number: CLEAR, faults: Faults | None = None) -> None:
        super().__init__(draw, faults)
        self._place = Path(tempfile.mkdtemp(prefix="e2ee-power-"))
        self.server_disk = Disk(self._place / "server")
        self.client_disk = Disk(self._place / "clients")
        self.state = self.server_disk.mountpoint / "state"
        self.environment["E2EE_DATA_DIR"] = str(self.client_disk.mountpoint / "profiles")
        self._power = threading.Condition()
        self._client_power = True
        self._children: list[subprocess.Popen[bytes]] = []

    def __exit__(self, *_: object) -> None:
        self._kill_children()
        super().__exit__()
        self.server_disk.end()
        self.client_disk.end()
        shutil.rmtree(self._place)

    def spawn(self, profile: str, *arguments: str) -> subprocess.Popen[bytes]:
        """As soon as there is power."""
        with self._power:
            self._power.wait_for(lambda: self._client_power)
            process = super().spawn(profile, *arguments)
            self._children = [one for one in self._children if one.poll() is None]
            self._children.append(process)
            return process

    def cut_server(self, seed: int = 0) -> None:
        """The server's machine loses power, and starts again."""
        self.server_disk.cut(seed)
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None
        self.server_disk.restore()
        (self.state / "connect-link").unlink(missing_ok=True)
        self.start_server()

    def cut_clients(self, seed: int = 0) -> None:
        """The machine of all clients loses power; programs are started again by whoever started them."""
        with self._power:
            self._client_power = False
            self.cuts += 1
            self.client_disk.cut(seed)
            self._kill_children()
            self.client_disk.restore()
            self._client_power = True
            self._power.notify_all()

    def _kill_children(self) -> None:
        for one in self._children:
            one.kill()
        for one in self._children:
            one.wait()
