"""After what time texts disappear, and which have to go now.

Functions over one transaction of the vault. Knows rows and times; not who may set a timer
(`e2ee.client.history.disappearing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from e2ee.ids import Address
from e2ee.store.connection import Connection


class TimerRecord(NamedTuple):
    """How a conversation stands; version 0 for one that never had a timer. Times are ms since 1970."""

    seconds: int = 0
    version: int = 0
    set_at: int = 0
    own: bool = False


def load_timer(tx: Connection, address: Address) -> TimerRecord:
    """That of the conversation with this number."""
    row = tx.execute(
        "SELECT seconds, version, set_at, own FROM timer WHERE address = ?", (address,)
    ).fetchone()
    return TimerRecord() if row is None else TimerRecord(row[0], row[1], row[2], bool(row[3]))


def save_timer(tx: Connection, address: Address, timer: TimerRecord) -> None:
    """From now on texts with this number disappear like this."""
    tx.execute("INSERT OR REPLACE INTO timer VALUES (?, ?, ?, ?, ?)", (address, *timer[:3], int(timer.own)))


def start_timers(tx: Connection, rows: Iterable[int], now: int) -> None:
    """The time of these texts runs from now on, if they have one and it does not run yet."""
    tx.executemany(f"{_START} AND row = :row", [{"now": now, "row": row} for row in rows])


def sent_without_start(tx: Connection) -> bool:
    """Whether an own text has gone, or failed, whose time does not run yet."""
    return tx.execute(f"SELECT 1 FROM message{_SENT} LIMIT 1").fetchone() is not None  # noqa: S608


def start_sent(tx: Connection, now: int) -> None:
    """The time of those runs from now on."""
    tx.execute(f"UPDATE message SET expires_at = ? + 1000 * lifetime{_SENT}", (now,))  # noqa: S608


def expired_texts(tx: Connection, now: int) -> list[int]:
    """The rows of the texts whose time is over."""
    return [row for (row,) in tx.execute(f"SELECT row{_GOING} AND expires_at <= ?", (now,))]


def next_expiry(tx: Connection) -> int | None:
    """When the next of the others is over, or None."""
    row = tx.execute(f"SELECT expires_at{_GOING} ORDER BY expires_at LIMIT 1").fetchone()
    return None if row is None else int(row[0])


_START = "UPDATE message SET expires_at = :now + 1000 * lifetime WHERE lifetime > 0 AND expires_at IS NULL"
_SENT = " WHERE direction = 'out' AND lifetime > 0 AND expires_at IS NULL AND state <> 'queued'"
_GOING = (
    " FROM message WHERE expires_at IS NOT NULL"
    " AND row NOT IN (SELECT message FROM outbox WHERE message IS NOT NULL)"
    " AND row NOT IN (SELECT message FROM arrival WHERE kind = 'failed' AND message IS NOT NULL)"
)
"""Not what waits to be sent once more, nor what failed before somebody was told."""
