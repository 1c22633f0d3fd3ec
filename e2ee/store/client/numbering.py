"""How own texts are numbered, so that a restored profile never uses a number twice.

A sequence number, less one, is a numbering (upper bits) and a place within it (lower bits).
A new device has numbering 0, so its texts have the numbers 1, 2, 3 …. A profile restored from a backup
does not know what was sent after the backup was made: it begins a numbering that is named after the
time of the restoration, above every number that it ever used. Knows numbers and one mark of the vault.
See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from e2ee.store.client.marks import forget_mark, load_count, raise_count
from e2ee.store.connection import Connection

COUNT_BITS = 20
"""A million texts to one contact, then the next numbering goes on without a gap; 33 bits are left for
seconds since 1970."""

_MARK = "numbering"


def numbering_of(sequence: int) -> int:
    """Which numbering this number belongs to; 0, before all numbers, belongs to none."""
    return (sequence - 1) >> COUNT_BITS


def first_of(numbering: int) -> int:
    """The first number of a numbering."""
    return (numbering << COUNT_BITS) + 1


def begins_numbering(before: int, sequence: int) -> bool:
    """Whether this is the first number of a later numbering than that of `before`."""
    numbering = numbering_of(sequence)
    return numbering > numbering_of(before) and sequence == first_of(numbering)


def follows(before: int, sequence: int) -> bool:
    """Whether nothing is missing between `before` and `sequence`, as far as anybody can know."""
    return sequence == before + 1 or begins_numbering(before, sequence)


def missing_between(before: int, sequence: int) -> int:
    """How many texts are missing between the two; what a lost device sent last cannot be counted."""
    return min(sequence - before - 1, sequence - first_of(numbering_of(sequence)))


def first_sequence(tx: Connection) -> int:
    """The lowest number for a text that is queued now."""
    return first_of(load_count(tx, _MARK))


def begin_numbering(tx: Connection, now: int) -> None:
    """Number everything anew, above all numbers used before. `now` is ms since 1970."""
    used = tx.execute("SELECT max(next_sequence) FROM contact").fetchone()[0] or 0
    raise_count(tx, _MARK, max(now // 1000, load_count(tx, _MARK), numbering_of(used)))


def forget_numbering(tx: Connection) -> None:
    """A new own device begins with 1."""
    forget_mark(tx, _MARK)
