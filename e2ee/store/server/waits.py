"""How long a number waits for its next code. Pure: what has happened in, seconds out."""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.store.server.ports import PasscodeLimits


def session_wait(limits: PasscodeLimits, expiries: Sequence[float], now: float) -> float:
    """Seconds until there is room for one more live session; `expiries` are those of the live ones."""
    if not limits.live_sessions or len(expiries) < limits.live_sessions:
        return 0.0
    return sorted(expiries)[len(expiries) - limits.live_sessions] - now


def code_wait(limits: PasscodeLimits, codes: int, last_at: float, now: float) -> float:
    """Seconds until the next code, after `codes` of them, the last one at `last_at`."""
    if not limits.codes.burst or not limits.waits_seconds:
        return 0.0
    codes = codes_counted(limits, codes, last_at, now)
    if not codes:
        return 0.0
    wait = limits.waits_seconds[min(codes, len(limits.waits_seconds)) - 1]
    return max(0.0, last_at + wait - now)


def codes_counted(limits: PasscodeLimits, codes: int, last_at: float, now: float) -> int:
    """How many codes still make the wait longer: none after the time that forgets them."""
    return 0 if now - last_at >= limits.waits_forget_seconds else codes
