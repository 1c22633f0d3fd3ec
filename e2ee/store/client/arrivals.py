"""What no reader has shown yet, in the order in which it is to be shown.

Functions over one transaction of the vault. Knows rows that are unshown, printing, or gone; not how
anything looks. See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from e2ee.ids import Address
from e2ee.store.connection import Connection


class ArrivalKind(StrEnum):
    """What is to be shown."""

    MESSAGE = "message"
    KEY_CHANGED = "key_changed"
    UNDECRYPTABLE = "undecryptable"
    GAP = "gap"
    FAILED = "failed"
    SENT_AGAIN = "sent_again"
    PROFILE_PUT_BACK = "profile_put_back"
    SERVER_PUT_BACK = "server_put_back"
    RECEIPT = "receipt"
    TIMER = "timer"
    FILE = "file"


KEPT_RECEIPTS = 1000
"""Unshown receipts: a profile that only ever sends must not gather them for ever."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something to be shown. `message` is the row of a text, `missing` the size of a gap, how many texts
    were sent again, or the seconds of a timer. `verified_by` is the authority whose word was enough for a
    changed key.
    """

    kind: ArrivalKind
    address: Address
    at: int  # ms since 1970
    message: int | None = None
    missing: int = 0
    repeated: bool = False  # it may have been shown before
    position: int = 0
    verified_by: str | None = None


_COLUMNS = "kind, address, at, message, missing, repeated, position, verified_by"


def add_arrival(tx: Connection, arrival: Arrival) -> int:
    """Put this behind all others; its position."""
    row = tx.execute(
        "INSERT INTO arrival (kind, address, at, message, missing, repeated, verified_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " RETURNING position",
        (
            arrival.kind,
            arrival.address,
            arrival.at,
            arrival.message,
            arrival.missing,
            int(arrival.repeated),
            arrival.verified_by,
        ),
    ).fetchone()
    return int(row[0])


def unshown_arrivals(tx: Connection, after: int, limit: int) -> list[Arrival]:
    """The next `limit` behind position `after`."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM arrival WHERE position > ? ORDER BY position LIMIT ?",  # noqa: S608
        (after, limit),
    )
    return [_arrival(row) for row in rows]


def arrivals_at(tx: Connection, positions: Sequence[int]) -> list[Arrival]:
    """Those at these positions that are unshown."""
    found = (
        tx.execute(f"SELECT {_COLUMNS} FROM arrival WHERE position = ?", (position,)).fetchone()  # noqa: S608
        for position in positions
    )
    return [_arrival(row) for row in found if row is not None]


def _arrival(row: Sequence[Any]) -> Arrival:
    kind, address, at, message, missing, repeated, *rest = row
    return Arrival(ArrivalKind(kind), Address(address), at, message, missing, bool(repeated), *rest)


def newest_position(tx: Connection) -> int:
    """The highest position that was ever given away; 0 before the first."""
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'arrival'"
    return int(tx.execute(query).fetchone()[0])


def count_unshown(tx: Connection) -> int:
    """How many texts no reader has shown."""
    return int(tx.execute("SELECT count(*) FROM arrival WHERE kind = 'message'").fetchone()[0])


def mark_printing(tx: Connection, positions: Sequence[int]) -> set[int]:
    """A reader is about to print these: after a crash nobody knows whether it did. Those that are there."""
    return {
        position
        for position in positions
        if tx.execute("UPDATE arrival SET printing = 1 WHERE position = ?", (position,)).rowcount
    }


def mark_shown(tx: Connection, positions: Sequence[int]) -> list[int]:
    """A reader has printed and flushed these; the rows of the texts among those that were unshown."""
    found = (
        tx.execute("DELETE FROM arrival WHERE position = ? RETURNING kind, message", (position,)).fetchone()
        for position in positions
    )
    return [row[1] for row in found if row is not None and row[0] == ArrivalKind.MESSAGE]


def mark_repeated(tx: Connection, positions: Sequence[int]) -> None:
    """The reader that was printing these has gone: they may be on somebody's screen."""
    tx.executemany(
        "UPDATE arrival SET repeated = 1, printing = 0 WHERE position = ?", [(p,) for p in positions]
    )


def note_interrupted(tx: Connection) -> None:
    """At the start: what was being printed when the last process ended may be on somebody's screen."""
    tx.execute("UPDATE arrival SET repeated = 1, printing = 0 WHERE printing")


def note_restored(tx: Connection) -> None:
    """All of this comes from a backup: a reader may have shown it after the backup was made."""
    tx.execute("UPDATE arrival SET repeated = 1, printing = 0")


def add_receipt(tx: Connection, address: Address, message: int, at: int) -> int:
    """A contact has said something of the own text in this row, in place of what he has said before; its
    position."""
    return _add_newest(tx, Arrival(ArrivalKind.RECEIPT, address, at, message=message))


def add_file_arrival(tx: Connection, address: Address, message: int, at: int) -> int:
    """The file of the text in this row has come further, or not: in place of what nobody has seen of it; its
    position."""
    return _add_newest(tx, Arrival(ArrivalKind.FILE, address, at, message=message))


def _add_newest(tx: Connection, arrival: Arrival) -> int:
    tx.execute("DELETE FROM arrival WHERE kind = ? AND message = ?", (arrival.kind, arrival.message))
    return add_arrival(tx, arrival)


def forget_old_receipts(tx: Connection) -> None:
    """Keep the newest KEPT_RECEIPTS that nobody has seen; the history has the state of the others."""
    tx.execute(
        "DELETE FROM arrival WHERE kind = 'receipt' AND position <= (SELECT position FROM arrival"
        " WHERE kind = 'receipt' ORDER BY position DESC LIMIT 1 OFFSET ?)",
        (KEPT_RECEIPTS,),
    )


def forget_failed(tx: Connection, message: int) -> None:
    """Somebody was told that the text in this row has failed: no reader has to be."""
    tx.execute("DELETE FROM arrival WHERE kind = 'failed' AND message = ?", (message,))


def forget_arrivals(tx: Connection, address: Address) -> list[int]:
    """Nothing that this number has sent is shown any more; what is told of own texts and of its key is.

    The rows of the texts that nobody has been shown.
    """
    gone = tx.execute(
        "DELETE FROM arrival WHERE address = ?"
        " AND kind IN ('message', 'undecryptable', 'gap', 'timer', 'file') RETURNING kind, message",
        (address,),
    )
    return [message for kind, message in gone if kind == ArrivalKind.MESSAGE]
