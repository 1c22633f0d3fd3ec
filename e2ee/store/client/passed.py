"""Numbers of texts that are here already, under another number.

Functions over one transaction of the vault. Such a number comes from a device that was put back to an older
state and sends what waited there again: it leaves no gap. See `e2ee.client.receiving.sequence`.
"""

from __future__ import annotations

from e2ee.store.client.messages import Stream
from e2ee.store.client.numbering import first_of, numbering_of
from e2ee.store.connection import Connection


def note_passed(tx: Connection, stream: Stream, sequence: int) -> None:
    """The text with this number is here."""
    tx.execute(
        "INSERT OR IGNORE INTO passed (address, device, sequence) VALUES (?, ?, ?)",
        (stream.address, stream.device, sequence),
    )


def next_passed(tx: Connection, stream: Stream) -> int | None:
    """The first such number behind what was passed on, or None."""
    row = tx.execute(
        "SELECT min(sequence) FROM passed WHERE address = ? AND device = ? AND sequence > ?",
        (stream.address, stream.device, stream.released_up_to),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def count_passed(tx: Connection, stream: Stream) -> int:
    """How many of this sender are kept."""
    row = tx.execute(
        "SELECT count(*) FROM passed WHERE address = ? AND device = ?", (stream.address, stream.device)
    ).fetchone()
    return int(row[0])


def count_passed_before(tx: Connection, stream: Stream, sequence: int) -> int:
    """How many of those that `missing_between` counts, between what was passed on and this number."""
    after = max(stream.released_up_to, first_of(numbering_of(sequence)) - 1)
    row = tx.execute(
        "SELECT count(*) FROM passed WHERE address = ? AND device = ? AND sequence > ? AND sequence < ?",
        (stream.address, stream.device, after, sequence),
    ).fetchone()
    return int(row[0])


def forget_passed(tx: Connection, stream: Stream) -> None:
    """What all that was passed on and received is above."""
    below = min(stream.released_up_to, stream.received_up_to)
    tx.execute(
        "DELETE FROM passed WHERE address = ? AND device = ? AND sequence <= ?",
        (stream.address, stream.device, below),
    )
