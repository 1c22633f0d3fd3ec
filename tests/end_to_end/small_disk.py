"""A disk that is full whenever a test wants it to be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest import SkipTest


class SmallDisk:
    """A file system of a few MiB at `path`; only root may make one."""

    def __init__(self, path: Path, mebibytes: int) -> None:
        self._ballast = path / "ballast"
        self._path = path
        path.mkdir(mode=0o700)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(path)],
            capture_output=True, check=False,
        )
        if made.returncode != 0:
            raise SkipTest("a small file system cannot be mounted here: " + made.stderr.decode().strip())

    def fill(self) -> None:
        """Take all the room that is left, to the last byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**16, 2**10, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give it back."""
        self._ballast.unlink()

    def unmount(self) -> None:
        """The end of it."""
        subprocess.run(["umount", str(self._path)], check=True)
