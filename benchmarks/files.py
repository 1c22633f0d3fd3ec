"""A file of 100 MiB from one client to another: how fast, and what memory each of the three has at the most.

Run as ``python -m benchmarks.files``. The yardstick of the same run is the time in which one process reads
the same file, seals its chunks, opens them and writes them, without any network. Memory is the peak of the
resident set, as the kernel counts it; beside it stands that of the same commands with a file of 1 byte.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Server
from e2ee.crypto.file_chunks import chunk_count, derive_file_keys
from e2ee.crypto.limits import FILE_CHUNK_BYTES
from examples.stage import program

MIB = 1024 * 1024
SIZE = 100 * MIB
ALICE, BOB = "+15550100101", "+15550100102"


@dataclass(frozen=True)
class Run:
    """One command to its end: seconds, and the most memory that it had, in KiB."""

    seconds: float
    peak: int


def _run(server: Server, *command: str) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(
        [program("e2ee"), *command, "--timeout", "120"],
        env=server.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command} has failed")
    return Run(time.perf_counter() - began, used.ru_maxrss)


def _server_peak(server: Server) -> int:
    """KiB since `_forget_peak` (Linux)."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def _forget_peak(server: Server) -> None:
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")


def _transfer(server: Server, path: Path) -> tuple[Run, Run, int]:
    _forget_peak(server)
    sent = _run(server, "--profile", "alice", "send", BOB, "--file", str(path))
    received = _run(server, "--profile", "bob", "receive")
    return sent, received, _server_peak(server)


def _alone(path: Path, copy: Path) -> float:
    """Reading, sealing, opening and writing, in one process, seconds."""
    began = time.perf_counter()
    keys = derive_file_keys(bytes(32), bytes(16), SIZE)
    with path.open("rb") as source, copy.open("wb") as target:
        for index in range(chunk_count(SIZE)):
            sealed = keys.seal(index, source.read(FILE_CHUNK_BYTES), os.urandom)
            target.write(keys.open(index, sealed))
        target.flush()
        os.fsync(target.fileno())
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    with Server("--presence", "nobody") as server:
        link = server.start_server()
        server.register("alice", link, ALICE)
        server.register("bob", link, BOB)
        _run(server, "--profile", "bob", "contacts", "add", ALICE, "alice")
        small, large = server.directory / "small", server.directory / "large"
        small.write_bytes(b"1")
        with large.open("wb") as file:
            for _ in range(SIZE // MIB):
                file.write(os.urandom(MIB))
        _transfer(server, small)
        little, much = _transfer(server, small), _transfer(server, large)
        alone = _alone(large, server.directory / "copy")
    print(f"{'':22}{'1 byte':>10}{'100 MiB':>10}{'MiB/s':>8}")
    for name, index in (("send", 0), ("receive", 1)):
        one, all_of_it = little[index], much[index]
        assert isinstance(one, Run)
        assert isinstance(all_of_it, Run)
        rate = SIZE / MIB / all_of_it.seconds
        print(f"{name + ', seconds':22}{one.seconds:10.2f}{all_of_it.seconds:10.2f}{rate:8.1f}")
    print(f"{'without network':22}{'':10}{alone:10.2f}{SIZE / MIB / alone:8.1f}")
    print("\npeak memory, MiB")
    for name, here, there in (
        ("sender", little[0].peak, much[0].peak),
        ("recipient", little[1].peak, much[1].peak),
        ("server", little[2], much[2]),
    ):
        print(f"{name:22}{here / 1024:10.1f}{there / 1024:10.1f}")


if __name__ == "__main__":
    main()
