"""The texts of the past: found by their words, their contact and their time, and forgotten for good.

Functions over one transaction of the vault. Knows the index of words, which triggers of the schema keep;
not how anything looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from e2ee.ids import Address, MessageId
from e2ee.store.client.messages import MessageRecord, find_message
from e2ee.store.client.search import Search
from e2ee.store.client.typed_lines import forget_typed
from e2ee.store.connection import Connection

MANY = 500
"""To take so many texts out of the index one by one takes longer than to make it anew."""


@dataclass(frozen=True, slots=True)
class Past:
    """A part of the history. Times are ms since 1970, by our clock where a text came in; `limit` counts
    from the newest on."""

    address: Address | None = None
    direction: str | None = None  # "in" or "out"
    since: int | None = None
    until: int | None = None
    search: Search = field(default_factory=Search)
    limit: int | None = None


_PART = (
    "m.place IS NOT NULL"
    " AND (:address IS NULL OR m.address = :address)"
    " AND (:direction IS NULL OR m.direction = :direction)"
    " AND (:since IS NULL OR coalesce(m.received_at, m.sent_at) >= :since)"
    " AND (:until IS NULL OR coalesce(m.received_at, m.sent_at) < :until)"
    " AND (:part IS NULL OR instr(m.text, :part))"
)


def find(tx: Connection, past: Past) -> list[int]:
    """The rows of this part, oldest first."""
    exact = bool(past.search.exact)
    found = tx.execute(
        f"SELECT m.row, {'m.text' if exact else 'NULL'} FROM {_source(past.search)}"  # noqa: S608
        f" {_PART} ORDER BY m.place DESC LIMIT :limit",
        {
            "address": past.address,
            "direction": past.direction,
            "since": past.since,
            "until": past.until,
            "match": past.search.match,
            "part": past.search.caseless,
            "limit": -1 if exact or past.limit is None else past.limit,
        },
    )
    rows: Iterator[int] = (row for row, text in found if not exact or past.search.holds(text))
    return list(islice(rows, past.limit))[::-1]


def _source(search: Search) -> str:
    if search.match is None:
        return "message m WHERE"
    return "message_word JOIN message m ON m.row = message_word.rowid WHERE message_word MATCH :match AND"


def load(tx: Connection, rows: Sequence[int]) -> list[MessageRecord]:
    """The texts in these rows, but for those that were forgotten meanwhile."""
    found = (find_message(tx, row) for row in rows)
    return [record for record in found if record is not None]


# --- forgetting -------------------------------------------------------------------------------


def rows_of_message(tx: Connection, message_id: MessageId) -> list[int]:
    """Where the texts with this id are, own and received ones."""
    rows = tx.execute(
        "SELECT row FROM message WHERE message_id = :id AND direction = 'out' AND place IS NOT NULL"
        " UNION ALL"
        " SELECT row FROM message WHERE message_id = :id AND direction = 'in' AND place IS NOT NULL",
        {"id": message_id},
    )
    return [row for (row,) in rows]


def without_waiting(tx: Connection, rows: Sequence[int]) -> list[int]:
    """Those of them that do not wait to be accepted by the server."""
    found = tx.execute(
        "SELECT message FROM outbox WHERE message IS NOT NULL"
        " UNION ALL SELECT message FROM file WHERE state = 'uploading'"
    )
    waiting = {row for (row,) in found}
    return [row for row in rows if row not in waiting]


def forget(tx: Connection, rows: Sequence[int], now: int) -> None:
    """Delete these texts, which must not wait to be accepted, from all tables and from the index; also the
    lines that were typed for them.

    What came in leaves the number under which it came, so that it is not shown again should its sender
    send it again. `now` is ms since 1970.
    """
    each = [(row,) for row in rows]
    tx.executemany(
        "INSERT OR REPLACE INTO forgotten (address, device, message_id, sequence, at)"
        " SELECT address, device, message_id, sequence, ? FROM message WHERE row = ? AND direction = 'in'",
        [(now, row) for row in rows],
    )
    forget_typed(tx, rows)
    tx.executemany("DELETE FROM arrival WHERE message = ?", each)
    many = len(rows) > MANY
    if many:
        _index(tx, "('secure-delete', 0)")
    tx.executemany("DELETE FROM message WHERE row = ?", each)
    if many:
        tx.execute("INSERT INTO message_word (message_word) VALUES ('rebuild')")
        _index(tx, "('secure-delete', 1)")


def _index(tx: Connection, setting: str) -> None:
    tx.execute(f"INSERT INTO message_word (message_word, rank) VALUES {setting}")  # noqa: S608


def forget_forgotten(tx: Connection, before: int) -> None:
    """Nobody sends again what was forgotten before this time (ms)."""
    tx.execute("DELETE FROM forgotten WHERE at < ?", (before,))


def addresses_since(tx: Connection, at: int) -> set[Address]:
    """With whom texts went either way since then, ms since 1970."""
    rows = tx.execute(
        "SELECT DISTINCT address FROM message WHERE coalesce(received_at, sent_at) >= ?", (at,)
    )
    return {Address(address) for (address,) in rows}
