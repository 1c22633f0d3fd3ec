"""A QR code as lines of text, to be scanned from a terminal. Pure.

Knows modules and half blocks, not what is in the code. No colour and no control sequence: light is
drawn in the terminal's foreground, so the code has its right colours on a dark background. On a light
one they are inverted, which many cameras read and some do not.
"""

from __future__ import annotations

QUIET_ZONE = 4
"""Light modules on each side, as ISO/IEC 18004 asks for."""
_BLOCKS = {(False, False): "\u2588", (False, True): "\u2580", (True, False): "\u2584", (True, True): " "}
"""Whether the upper and the lower module are dark → a character of one cell."""


def qr_records(content: str) -> list[str]:
    """The lines, each of two rows of modules. Error correction level M, the smallest version that fits."""
    import segno  # a cost that only this option has

    code = segno.make(content, error="m", boost_error=False, micro=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
