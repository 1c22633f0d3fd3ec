"""A QR code as lines of half blocks, for the operator's terminal. Pure; no colour, no control sequence.

Light is drawn in the terminal's foreground: the colours are right on a dark background, and inverted
on a light one, which many cameras read all the same.
"""

from __future__ import annotations

QUIET_ZONE = 4
"""Light modules on each side, as ISO/IEC 18004 asks for."""
_BLOCKS = {(False, False): "\u2588", (False, True): "\u2580", (True, False): "\u2584", (True, True): " "}
"""Whether the upper and the lower module are dark, and the character for that."""


def qr_lines(content: str) -> list[str]:
    """Each line is two rows of modules. Error correction M, the smallest version that fits."""
    import segno  # a cost that only this option has

    code = segno.make(content, error="m", boost_error=False, micro=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
