"""A bar on standard error that shows how far files have come; on a terminal only.

Knows widths and what has been drawn; names in it are other people's and pass the sanitiser.
"""

from __future__ import annotations

import os
import shutil

from e2ee.client.events import FileProgress, FileState
from e2ee.ui.render import size_text
from e2ee.ui.sanitiser import clean_line
from e2ee.ui.status_line import fitted
from e2ee.ui.terminal import has_cursor

BAR_CELLS = 20
_CLEAR = "\r\x1b[K"


class ProgressBar:
    """One for a command. Without `drawn` it draws nothing."""

    def __init__(self, *, drawn: bool, descriptor: int = 2) -> None:
        self._drawn = drawn
        self._descriptor = descriptor
        self._visible = False

    def show(self, progress: FileProgress) -> None:
        """Draw it anew."""
        if self._drawn:
            columns = shutil.get_terminal_size().columns
            self._write(_CLEAR + fitted(bar_line(progress), max(20, columns - 1)))
            self._visible = True

    def clear(self) -> None:
        """Take it away, before something else is printed."""
        if self._visible:
            self._visible = False
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        try:
            os.write(self._descriptor, text.encode())
        except OSError:
            self._drawn = False


def bar_line(progress: FileProgress) -> str:
    """``[#######.............]  35% 35 MiB of 100 MiB  report.pdf``."""
    size, done = progress.file.size, progress.done
    part = 1.0 if not size else min(1.0, done / size)
    full = int(part * BAR_CELLS)
    bar = "#" * full + "." * (BAR_CELLS - full)
    name = clean_line(progress.file.name)
    return f"[{bar}] {int(100 * part):3d}% {size_text(done)} of {size_text(size)}  {name}"


def moving_text(progress: FileProgress) -> str:
    """``sending report.pdf 35%``; empty when all of it has gone through."""
    size, done = progress.file.size, progress.done
    if done >= size:
        return ""
    verb = "sending" if progress.file.state is FileState.UPLOADING else "fetching"
    return f"{verb} {clean_line(progress.file.name)} {100 * done // size}%"


def may_draw(json: bool) -> bool:
    """Whether standard error is a terminal that has a cursor to move."""
    return not json and os.isatty(2) and has_cursor()
