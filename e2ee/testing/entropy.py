"""Entropy from a seed: the same bytes in every run. Knows nothing of what they are used for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


def seeded_entropy(seed: str) -> Callable[[int], bytes]:
    """Entropy that is the same for the same seed: SHA-256 of seed and a counter."""
    counter = 0

    def take(size: int) -> bytes:
        nonlocal counter
        out = b""
        while len(out) < size:
            out += hashlib.sha256(f"{seed} {counter}".encode()).digest()
            counter += 1
        return out[:size]

    return take
