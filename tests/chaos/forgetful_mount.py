"""Mounts a forgetful disk with FUSE and obeys a line of standard input at a time.

    python -m tests.chaos.forgetful_mount MOUNTPOINT

`cut SEED` cuts the power: from the answer on, nothing is written any more; with seed 0 all that was not
synced is lost, else what a lot drawn from the seed takes. When the disk is then unmounted, the power comes
back and it is mounted again. `end` before an unmount ends the program instead. Needs the package `mfusepy`,
libfuse and /dev/fuse. Knows FUSE's calls, not what a disk forgets (`forgetful_disk`).
"""

from __future__ import annotations

import os
import random
import stat
import sys
import threading
from typing import Any, Final

import mfusepy

from tests.chaos.forgetful_disk import File, ForgetfulDisk, Lot, nothing_more

BLOCK_BYTES: Final = 4_096
LUCKY: Final = 0.5
"""The share of changes that reach the platter although nobody asked."""


class Calls(mfusepy.Operations):  # type: ignore[misc]
    """FUSE's calls, one at a time, on one disk. A handle is that of a file, whatever its name becomes."""

    use_ns = True

    def __init__(self, disk: ForgetfulDisk, lock: threading.Lock) -> None:
        self._disk = disk
        self._lock = lock
        self._handles: dict[int, File] = {}
        self._next = 1

    # --- what a file is -----------------------------------------------------------------------

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        with self._lock:
            node = self._handles[fh] if fh in self._handles else self._disk.find(path)
            size = len(node.content) if isinstance(node, File) else 0
            owner = {"st_uid": os.getuid(), "st_gid": os.getgid(), "st_blocks": size // 512 + 1}
            return {"st_mode": node.mode, "st_nlink": 1, "st_size": size, **owner}

    def chmod(self, path: str, mode: int) -> int:
        with self._lock:
            node = self._disk.find(path)
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        return {"f_bsize": BLOCK_BYTES, "f_frsize": BLOCK_BYTES, "f_blocks": 1 << 20, "f_bavail": 1 << 20,
                "f_bfree": 1 << 20}  # fmt: skip

    # --- names --------------------------------------------------------------------------------

    def readdir(self, path: str, fh: int) -> list[str]:
        with self._lock:
            return [".", "..", *self._disk.directory(path).names]

    def mkdir(self, path: str, mode: int) -> int:
        with self._lock:
            self._disk.make_directory(path, mode)
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        with self._lock:
            self._disk.make_file(path, mode)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        with self._lock:
            return self._handle(self._disk.make_file(path, stat.S_IFREG | stat.S_IMODE(mode)))

    def unlink(self, path: str) -> int:
        with self._lock:
            self._disk.remove(path)
        return 0

    def rmdir(self, path: str) -> int:
        return self.unlink(path)

    def rename(self, old: str, new: str) -> int:
        with self._lock:
            self._disk.rename(old, new)
        return 0

    # --- content ------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        with self._lock:
            file = self._disk.file(path)
            if flags & os.O_TRUNC:
                self._disk.truncate(file, 0)
            return self._handle(file)

    def release(self, path: str, fh: int) -> int:
        with self._lock:
            self._handles.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        with self._lock:
            return self._disk.read(self._handles[fh], size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        with self._lock:
            self._disk.write(self._handles[fh], data, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        with self._lock:
            file = self._handles[fh] if fh in self._handles else self._disk.file(path)
            self._disk.truncate(file, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        with self._lock:
            self._disk.sync(self._handles[fh])
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        with self._lock:
            self._disk.sync(self._disk.directory(path))
        return 0

    def _handle(self, file: File) -> int:
        self._next += 1
        self._handles[self._next] = file
        return self._next


class Power:
    """Reads the orders."""

    def __init__(self, disk: ForgetfulDisk, lock: threading.Lock) -> None:
        self._disk = disk
        self._lock = lock
        self.ending = False

    def obey(self) -> None:
        """Every line of standard input, each answered with a line."""
        for line in sys.stdin:
            order, _, seed = line.strip().partition(" ")
            with self._lock:
                if order == "cut":
                    self._disk.cut_power(lot(int(seed)))
                elif order == "end":
                    self.ending = True
            print(f"done: {order}", flush=True)
        self.ending = True


def lot(seed: int) -> Lot:
    """Which changes have luck; none with seed 0."""
    chance = random.Random(seed)

    def drawn() -> bool:
        return chance.random() < LUCKY

    return drawn if seed else nothing_more


def main(mountpoint: str) -> None:
    """Mount, again and again, until told to end."""
    disk, lock = ForgetfulDisk(), threading.Lock()
    power = Power(disk, lock)
    threading.Thread(target=power.obey, daemon=True).start()
    while not power.ending:
        calls = Calls(disk, lock)
        mfusepy.FUSE(
            calls, mountpoint, foreground=True, nothreads=True, fsname="forgetful", hard_remove=True
        )
        with lock:
            disk.restore_power()


if __name__ == "__main__":
    main(sys.argv[1])
