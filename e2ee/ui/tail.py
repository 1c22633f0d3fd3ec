"""The end of a command's output as a text that can be sent. Pure.

Knows bytes of any kind, and what terminals make of them; not where they come from.
"""

from __future__ import annotations

import re

from e2ee.ui.sanitiser import clean_line

TAIL_LINES = 20
"""What fits on a screen beside a conversation."""
TAIL_BYTES = 4096
"""Of UTF-8, the mark of what is left out included."""
LEFT_OUT = "…"

KEPT_BYTES = 32 * 1024
"""Of raw output: enough for TAIL_LINES however they are coloured."""

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, movements of the cursor
    "|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)"  # OSC: titles, links
    "|\x1b[PX^_][^\x1b]*\x1b\\\\"  # DCS, SOS, PM, APC
    "|\x1b[ -/]*[0-~]"
)  # fmt: skip
_OVERSTRUCK = re.compile("[^\x08]\x08")


class Tail:
    """Takes in output as it comes, and keeps no more of it than KEPT_BYTES twice."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._cut = False

    def add(self, output: bytes) -> None:
        """More of it."""
        self._kept += output
        if len(self._kept) > 2 * KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]
            self._cut = True

    def text(self) -> str:
        """The last lines as they would stand on a terminal, without colours; empty if there are none."""
        return tail_text(bytes(self._kept), cut=self._cut)


def tail_text(output: bytes, *, cut: bool = False) -> str:
    """The last TAIL_LINES lines within TAIL_BYTES. What stood before them is marked by LEFT_OUT.

    `cut`: there was more before `output`, so its first line may not be whole.
    """
    lines = _ESCAPES.sub("", output.decode("utf-8", "replace")).split("\n")
    if cut:
        del lines[0]
    lines = [_as_shown(line) for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    kept = lines[-TAIL_LINES:]
    text = "\n".join(kept)
    if not cut and len(kept) == len(lines) and len(text.encode("utf-8")) <= TAIL_BYTES:
        return text
    mark = f"{LEFT_OUT}\n"
    room = TAIL_BYTES - len(mark.encode("utf-8"))
    return mark + text.encode("utf-8")[-room:].decode("utf-8", "ignore")


def _as_shown(line: str) -> str:
    """What a terminal shows at the end of a line: a progress bar writes over itself."""
    written = line.rstrip("\r").rpartition("\r")[2]
    return clean_line(_OVERSTRUCK.sub("", written)).rstrip()
