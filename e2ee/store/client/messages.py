"""The texts of all conversations, and how far each sender's numbering has come.

Functions over one transaction of the vault. Knows rows, numbers and the order of display; not what is
shown when (`e2ee.client.receiving.sequence`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.ids import Address, DeviceId, EnvelopeId, MessageId
from e2ee.store.client.marks import next_count
from e2ee.store.connection import Connection

_PLACE = "message_place"

HELD = "held"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A text. `direction` is "in" or "out"; `state` is a SentState for "out", else held or released."""

    direction: str
    address: Address  # of the other side
    device: DeviceId | None  # of the sender, for "in"
    message_id: MessageId
    sequence: int
    sent_at: int  # ms since 1970
    received_at: int | None
    text: str = field(repr=False)
    verified: bool
    late: bool
    state: str
    reason: str | None = None
    row: int = 0
    verified_by: str | None = None
    account_key: bytes | None = None  # that has sent it, or for which it was sealed last
    receipt: str | None = None  # a ReceiptState, for "out"
    lifetime: int = 0  # seconds after which it disappears; 0: never
    expires_at: int | None = None  # ms since 1970, once that time runs


@dataclass(frozen=True, slots=True)
class Stream:
    """A sender's device: everything up to `received_up_to` is here, `released_up_to` was passed on.

    `sent_up_to` is what it says to have sent.
    """

    address: Address
    device: DeviceId
    received_up_to: int = 0
    released_up_to: int = 0
    sent_up_to: int = 0


_COLUMNS = (
    "direction, address, device, message_id, sequence, sent_at, received_at, text, verified, late, state,"
    " reason, row, verified_by, account_key, receipt, lifetime, expires_at"
)


def _record(row: tuple[object, ...]) -> MessageRecord:
    direction, address, device, message_id, sequence, sent, received, text, verified, late, *rest = row
    return MessageRecord(
        str(direction),
        Address(str(address)),
        None if device is None else DeviceId(device),  # type: ignore[arg-type]
        MessageId(message_id),  # type: ignore[arg-type]
        sequence,  # type: ignore[arg-type]
        sent,  # type: ignore[arg-type]
        received,  # type: ignore[arg-type]
        str(text),
        bool(verified),
        bool(late),
        *rest,  # type: ignore[arg-type]
    )


def add_message(tx: Connection, record: MessageRecord) -> int:
    """Keep a text; its row. What is not held gets the next place in the order of display."""
    place = None if record.state == HELD else next_count(tx, _PLACE)
    row = tx.execute(
        "INSERT INTO message (direction, address, device, message_id, sequence, sent_at, received_at, text,"
        " verified, late, state, place, verified_by, account_key, lifetime)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row",
        (
            record.direction,
            record.address,
            record.device,
            record.message_id,
            record.sequence,
            record.sent_at,
            record.received_at,
            record.text,
            int(record.verified),
            int(record.late),
            record.state,
            place,
            record.verified_by,
            record.account_key,
            record.lifetime,
        ),
    ).fetchone()
    return int(row[0])


def message_by_row(tx: Connection, row: int) -> MessageRecord:
    """The text in this row, which must exist."""
    found = find_message(tx, row)
    if found is None:
        raise LookupError(f"there is no message in row {row}")
    return found


def find_message(tx: Connection, row: int) -> MessageRecord | None:
    """The text in this row, or None."""
    found = tx.execute(f"SELECT {_COLUMNS} FROM message WHERE row = ?", (row,)).fetchone()  # noqa: S608
    return None if found is None else _record(found)


def sent_message(tx: Connection, message_id: MessageId) -> MessageRecord | None:
    """The own text with this id, or None."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM message WHERE direction = 'out' AND message_id = ?",  # noqa: S608
        (message_id,),
    ).fetchone()
    return None if row is None else _record(row)


def is_received(tx: Connection, address: Address, message_id: MessageId) -> bool:
    """Whether a text with this id came from this number before."""
    row = tx.execute(
        "SELECT 1 FROM message WHERE direction = 'in' AND address = :address AND message_id = :id"
        " UNION ALL SELECT 1 FROM forgotten WHERE address = :address AND message_id = :id",
        {"address": address, "id": message_id},
    ).fetchone()
    return row is not None


def set_sent_state(tx: Connection, row: int, state: str, reason: str | None = None) -> None:
    """How far an own text has come."""
    tx.execute("UPDATE message SET state = ?, reason = ? WHERE row = ?", (state, reason, row))


def save_receipt(tx: Connection, row: int, receipt: str) -> None:
    """What the contact has said of an own text: that is how far it has come, whatever the server said."""
    tx.execute(
        "UPDATE message SET receipt = :receipt, state = :receipt, reason = NULL WHERE row = :row",
        {"receipt": receipt, "row": row},
    )


def set_sequence(tx: Connection, row: int, sequence: int) -> None:
    """Number a text anew: an own one that nobody has received, or one that is held and has come under a lower
    number, too."""
    tx.execute("UPDATE message SET sequence = ? WHERE row = ?", (sequence, row))


def set_envelope(tx: Connection, row: int, envelope_id: EnvelopeId, account_key: bytes) -> None:
    """The envelope that carries an own text now, and the account key that can open it."""
    tx.execute(
        "UPDATE message SET envelope_id = ?, account_key = ? WHERE row = ?", (envelope_id, account_key, row)
    )


def message_of_envelope(tx: Connection, envelope_id: bytes) -> MessageRecord | None:
    """The own text whose last envelope this was, or None."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM message WHERE envelope_id = ?", (envelope_id,)).fetchone()  # noqa: S608
    return None if row is None else _record(row)


# --- the order of a sender --------------------------------------------------------------------


def load_stream(tx: Connection, address: Address, device: DeviceId) -> Stream:
    """How far this device's texts have come; a new one begins before 1."""
    row = tx.execute(
        "SELECT received_up_to, released_up_to, sent_up_to FROM stream WHERE address = ? AND device = ?",
        (address, device),
    ).fetchone()
    return Stream(address, device) if row is None else Stream(address, device, *row)


def save_stream(tx: Connection, stream: Stream) -> None:
    """Keep how far it has come."""
    tx.execute(
        "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?)",
        (
            stream.address,
            stream.device,
            stream.received_up_to,
            stream.released_up_to,
            stream.sent_up_to,
        ),
    )


def forget_numbers(tx: Connection) -> None:
    """Both sides number their texts from 1: the numbers that there are say nothing of what has come, and of
    what can be sent again."""
    tx.execute("DELETE FROM stream")
    tx.execute("DELETE FROM passed")
    tx.execute("UPDATE message SET sequence = 0")
    tx.execute("UPDATE forgotten SET sequence = 0")


def has_sequence(tx: Connection, stream: Stream, sequence: int) -> bool:
    """Whether the text with this number is here, under whatever number, or was until it was forgotten."""
    row = tx.execute(
        "SELECT 1 FROM message WHERE direction = 'in' AND address = :address AND device = :device"
        " AND sequence = :sequence UNION ALL SELECT 1 FROM forgotten"
        " WHERE address = :address AND device = :device AND sequence = :sequence"
        " UNION ALL SELECT 1 FROM passed"
        " WHERE address = :address AND device = :device AND sequence = :sequence",
        {"address": stream.address, "device": stream.device, "sequence": sequence},
    ).fetchone()
    return row is not None


def held_messages(tx: Connection, stream: Stream) -> list[MessageRecord]:
    """What waits for a gap of this sender, in its order."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM message WHERE direction = 'in' AND address = ? AND device = ?"  # noqa: S608
        " AND state = 'held' ORDER BY sequence, row",
        (stream.address, stream.device),
    )
    return [_record(row) for row in rows]


def held_text(tx: Connection, stream: Stream, message_id: MessageId) -> MessageRecord | None:
    """The text of this sender with this id, if it waits for a gap; else None."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM message WHERE direction = 'in' AND address = ? AND message_id = ?"  # noqa: S608
        " AND device = ? AND state = 'held'",
        (stream.address, message_id, stream.device),
    ).fetchone()
    return None if row is None else _record(row)


def next_held(tx: Connection, stream: Stream) -> MessageRecord | None:
    """The first that waits for a gap of this sender behind what was passed on, or None."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM message WHERE direction = 'in' AND address = ? AND device = ?"  # noqa: S608
        " AND sequence > ? AND state = 'held' ORDER BY sequence, row LIMIT 1",
        (stream.address, stream.device, stream.released_up_to),
    ).fetchone()
    return None if row is None else _record(row)


def held_streams(tx: Connection) -> list[tuple[Address, DeviceId]]:
    """The senders of whom something waits for a gap."""
    rows = tx.execute("SELECT DISTINCT address, device FROM message WHERE state = 'held'")
    return [(Address(address), DeviceId(device)) for address, device in rows]


def release_message(tx: Connection, row: int) -> None:
    """Give a held text its place in the order of display."""
    tx.execute(
        "UPDATE message SET state = 'released', place = ? WHERE row = ?", (next_count(tx, _PLACE), row)
    )
