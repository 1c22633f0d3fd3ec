"""How many one-time prekeys may be made: a bucket for each kind, in the vault, so that no restart fills it.

Functions over one transaction. Whoever fetches them, and the server that tells of it, would otherwise have
the vault filled with private halves, which are kept for as long as a first message may be under way. Until
more may be made, the last-resort keys serve. `stock` is what the directory holds of a kind at the most; times
are ms since 1970. See `docs/limits.md`.
"""

from __future__ import annotations

from e2ee.store.client.marks import forget_mark, load_mark, save_mark
from e2ee.store.client.prekeys import ONE_TIME_KINDS, PreKeyKind
from e2ee.store.connection import Connection

STOCKS_AT_ONCE = 3
"""The first stock, the one that replaces it, and one that is used up on the same day."""
STOCK_MS = 6 * 60 * 60 * 1000
"""In this time one stock more may be made: 400 keys a day, where a server hands 288 to strangers."""

_FULL_MS = STOCKS_AT_ONCE * STOCK_MS


def makeable(tx: Connection, kind: PreKeyKind, stock: int, now: int) -> int:
    """So many of this kind may be made now."""
    return (_FULL_MS - _used(tx, kind, now)) * stock // STOCK_MS


def note_made(tx: Connection, kind: PreKeyKind, stock: int, count: int, now: int) -> None:
    """So many were made, and will be kept."""
    _use(tx, kind, now, -(-count * STOCK_MS // stock))


def note_dropped(tx: Connection, kind: PreKeyKind, stock: int, count: int, now: int) -> None:
    """So many of those are not kept after all."""
    _use(tx, kind, now, -(count * STOCK_MS // stock))


def begin_anew(tx: Connection) -> None:
    """All keys are gone, with the identity that they belonged to: as many may be made as at the beginning."""
    for kind in ONE_TIME_KINDS:
        forget_mark(tx, _name(kind))


def _use(tx: Connection, kind: PreKeyKind, now: int, cost: int) -> None:
    # Not fuller than full, by keys that were made long ago.
    used = max(0, _used(tx, kind, now) + cost)
    save_mark(tx, _name(kind), (now + used).to_bytes(8, "big"))


def _used(tx: Connection, kind: PreKeyKind, now: int) -> int:
    """How long it takes until the bucket is full again, in ms."""
    full_at = load_mark(tx, _name(kind))
    used = 0 if full_at is None else int.from_bytes(full_at, "big") - now
    # Longer than the whole bucket takes: the clock was set back, which puts nothing off.
    return used if 0 <= used <= _FULL_MS else 0


def _name(kind: PreKeyKind) -> str:
    return f"{kind}_allowance"
