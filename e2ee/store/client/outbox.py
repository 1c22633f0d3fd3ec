"""What waits to be accepted by the server, in the order of queueing.

Functions over one transaction of the vault. Knows envelopes as bytes; not how they are made or sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from e2ee.ids import Address
from e2ee.store.client.messages import MessageRecord, message_by_row
from e2ee.store.connection import Connection


class OutboxKind(StrEnum):
    """What waits. All but texts are made when they are sealed, and nobody reads them as messages."""

    TEXT = "text"
    TOKEN = "token"  # noqa: S105 - the own contact token
    RESUME = "resume"  # how far the numbered texts have come, and what is known to be missing
    INQUIRY = "inquiry"  # the same, and everything after that
    HEALING = "healing"  # the same, in a new session
    TIMER = "timer"  # after what time texts disappear
    TYPING = "typing"  # the user is writing; never sent later than now
    RECEIPT = "receipt"  # which texts are kept or read, in `body`


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """Something that waits. `message` is the row of a text.

    Without `envelope` it is not sealed yet; `state_counter` is that of the transaction in which it was.
    Times are ms since 1970.
    """

    position: int
    address: Address
    kind: OutboxKind
    message: int | None
    queued_at: int
    envelope: bytes | None = field(repr=False)
    statement_hash: bytes | None
    sealed_at: int | None
    state_counter: int | None = None
    error_code: str | None = None
    error_sentence: str | None = None
    error_until: int | None = None
    body: bytes | None = field(default=None, repr=False)


_COLUMNS = (
    "position, address, kind, message, queued_at, envelope, statement_hash, sealed_at, state_counter,"
    " error_code, error_sentence, error_until, body"
)


def _record(row: tuple[object, ...]) -> OutboxRecord:
    position, address, kind, *rest = row
    return OutboxRecord(position, Address(str(address)), OutboxKind(kind), *rest)  # type: ignore[arg-type]


def add_to_outbox(tx: Connection, address: Address, message: int, now: int) -> int:
    """Put a text behind everything that waits; its position."""
    return _add(tx, address, OutboxKind.TEXT, message, now)


def add_control(tx: Connection, address: Address, kind: OutboxKind, now: int) -> None:
    """Put what nobody is shown behind everything that waits, unless such a one waits unsealed."""
    if not control_waits(tx, address, kind):
        _add(tx, address, kind, None, now)


def add_receipt(tx: Connection, address: Address, body: bytes, now: int) -> None:
    """Put a receipt that tells this behind everything that waits."""
    _add(tx, address, OutboxKind.RECEIPT, None, now, body)


def _add(
    tx: Connection,
    address: Address,
    kind: OutboxKind,
    message: int | None,
    now: int,
    body: bytes | None = None,
) -> int:
    row = tx.execute(
        "INSERT INTO outbox (address, kind, message, queued_at, body) VALUES (?, ?, ?, ?, ?)"
        " RETURNING position",
        (address, kind, message, now, body),
    ).fetchone()
    return int(row[0])


def control_waits(tx: Connection, address: Address, *kinds: OutboxKind) -> bool:
    """Whether one of these kinds waits unsealed to this number."""
    rows = tx.execute("SELECT kind FROM outbox WHERE address = ? AND envelope IS NULL", (address,))
    return any(kind in kinds for (kind,) in rows)


def put_first(tx: Connection, address: Address, rows: Sequence[int], now: int) -> None:
    """Let these texts wait before everything else to this number, and have all of it sealed anew.

    All get new positions: an answer to an envelope that is on its way belongs to none of them. But for what
    begins a session to heal: whoever has it sealed has it sealed in that one, and two who heal at the same
    time would otherwise answer each other's handshakes with handshakes, without end.
    """
    waiting = tx.execute(
        "DELETE FROM outbox WHERE address = ? AND (kind <> ? OR envelope IS NULL)"
        " RETURNING position, kind, message, queued_at, body",
        (address, OutboxKind.HEALING.value),
    ).fetchall()
    for row in rows:
        add_to_outbox(tx, address, row, now)
    for _, kind, message, queued_at, body in sorted(waiting):
        _add(tx, address, OutboxKind(kind), message, queued_at, body)


def waiting_addresses(tx: Connection) -> list[Address]:
    """To whom something waits, the longest first."""
    rows = tx.execute("SELECT address FROM outbox GROUP BY address ORDER BY min(position)")
    return [Address(address) for (address,) in rows]


def waiting_for(tx: Connection, address: Address, after: int, limit: int) -> list[OutboxRecord]:
    """The next `limit` entries to this number behind position `after`."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE address = ? AND position > ? ORDER BY position LIMIT ?",  # noqa: S608
        (address, after, limit),
    )
    return [_record(row) for row in rows]


def unsealed_for(tx: Connection, address: Address) -> list[OutboxRecord]:
    """What is not sealed yet to this number, in order."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE address = ? AND envelope IS NULL ORDER BY position",  # noqa: S608
        (address,),
    )
    return [_record(row) for row in rows]


def waiting_message(tx: Connection, message: int) -> OutboxRecord | None:
    """The entry of this text, or None."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM outbox WHERE message = ?", (message,)).fetchone()  # noqa: S608
    return None if row is None else _record(row)


def message_of(tx: Connection, position: int) -> MessageRecord | None:
    """The text of this entry; None if it is not here any more, or no text."""
    row = tx.execute("SELECT message FROM outbox WHERE position = ?", (position,)).fetchone()
    return None if row is None or row[0] is None else message_by_row(tx, row[0])


def waiting_texts(tx: Connection) -> list[tuple[Address, int]]:
    """To whom and in which rows all texts that wait are, in order; then those that wait for their file."""
    rows = tx.execute(
        "SELECT address, message, position FROM outbox WHERE message NOT NULL"
        " UNION ALL SELECT message.address, row, NULL FROM file JOIN message ON row = message"
        " WHERE file.state = 'uploading' ORDER BY position NULLS LAST, message"
    )
    return [(Address(address), row) for address, row, _ in rows]


def count_waiting(tx: Connection) -> int:
    """How many texts wait."""
    query = (
        "SELECT (SELECT count(*) FROM outbox WHERE message NOT NULL)"
        " + (SELECT count(*) FROM file WHERE state = 'uploading')"
    )
    return int(tx.execute(query).fetchone()[0])


def save_envelope(
    tx: Connection, position: int, envelope: bytes, statement_hash: bytes, sealed_at: int, counter: int
) -> None:
    """Keep the finished envelope: from now on exactly these bytes are sent, with this state counter."""
    tx.execute(
        "UPDATE outbox SET envelope = ?, statement_hash = ?, sealed_at = ?, state_counter = ?"
        " WHERE position = ?",
        (envelope, statement_hash, sealed_at, counter, position),
    )


def unseal(tx: Connection, address: Address, sealed_before: int | None = None) -> int:
    """Have envelopes to this number made anew: all, or those sealed before a time (ms); their number."""
    return tx.execute(
        "UPDATE outbox SET envelope = NULL, statement_hash = NULL, sealed_at = NULL"
        " WHERE address = :address AND envelope IS NOT NULL AND (:before IS NULL OR sealed_at < :before)",
        {"address": address, "before": sealed_before},
    ).rowcount


def unseal_all(tx: Connection) -> None:
    """Have all envelopes made anew: they belong to sessions of before."""
    tx.execute("UPDATE outbox SET envelope = NULL, statement_hash = NULL, sealed_at = NULL")


def save_error(tx: Connection, position: int, code: str, sentence: str, until: int | None) -> None:
    """Why this entry waits, and until when it is not tried again."""
    tx.execute(
        "UPDATE outbox SET error_code = ?, error_sentence = ?, error_until = ? WHERE position = ?",
        (code, sentence, until, position),
    )


def reason_of_waiting(tx: Connection, entry: OutboxRecord) -> tuple[str, str, int | None] | None:
    """Code, sentence and end (ms) of what this entry, or the first before it that does, waits for."""
    row = tx.execute(
        "SELECT error_code, error_sentence, error_until FROM outbox"
        " WHERE address = ? AND position <= ? AND error_code IS NOT NULL ORDER BY position LIMIT 1",
        (entry.address, entry.position),
    ).fetchone()
    return None if row is None else (str(row[0]), str(row[1]), row[2])


def forget_errors(tx: Connection, address: Address) -> None:
    """Nothing to this number waits for a reason any more."""
    tx.execute(
        "UPDATE outbox SET error_code = NULL, error_sentence = NULL, error_until = NULL"
        " WHERE address = ? AND error_code IS NOT NULL",
        (address,),
    )


def remove_resumes(tx: Connection, address: Address | None = None) -> bool:
    """What was lost is not asked for any more, of this number or of anybody; whether it waited unsealed."""
    return (
        tx.execute(
            "DELETE FROM outbox WHERE kind IN ('resume', 'inquiry', 'healing') AND envelope IS NULL"
            " AND (:address IS NULL OR address = :address)",
            {"address": address},
        ).rowcount
        > 0
    )


def remove_receipts(tx: Connection, address: Address | None = None) -> None:
    """The receipts that wait to this number, or to anybody, are not sent."""
    tx.execute(
        "DELETE FROM outbox WHERE kind = 'receipt' AND (:address IS NULL OR address = :address)",
        {"address": address},
    )


def remove_controls(tx: Connection, address: Address) -> None:
    """Nothing but texts waits to this number any more."""
    tx.execute("DELETE FROM outbox WHERE address = ? AND message IS NULL", (address,))


def typing_waits(tx: Connection) -> bool:
    """Whether a typing notice was not sent when it should have been."""
    return tx.execute("SELECT 1 FROM outbox WHERE kind = 'typing' LIMIT 1").fetchone() is not None


def remove_typing(tx: Connection, address: Address | None = None) -> None:
    """That the user is writing is not told any more, to this number or to anybody."""
    tx.execute(
        "DELETE FROM outbox WHERE kind = 'typing' AND (:address IS NULL OR address = :address)",
        {"address": address},
    )


def remove_from_outbox(tx: Connection, position: int) -> bool:
    """It was accepted, failed, or is not wanted any more; whether it was still there."""
    return tx.execute("DELETE FROM outbox WHERE position = ?", (position,)).rowcount == 1
