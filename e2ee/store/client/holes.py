"""What is missing in the numbering of a sender's device.

Functions over one transaction of the vault. A text that was forgotten counts as received.
"""

from __future__ import annotations

from e2ee.ids import Address, DeviceId
from e2ee.store.client.messages import Stream
from e2ee.store.connection import Connection

_ABOVE = (
    "SELECT sequence FROM message WHERE direction = 'in' AND address = :address AND device = :device"
    " AND sequence > :received UNION SELECT sequence FROM forgotten"
    " WHERE address = :address AND device = :device AND sequence > :received"
    " UNION SELECT sequence FROM passed"
    " WHERE address = :address AND device = :device AND sequence > :received"
)

_PAIRS = f"SELECT sequence, lag(sequence, 1, :received) OVER (ORDER BY sequence) AS before FROM ({_ABOVE})"  # noqa: S608
_HOLES = f"SELECT before + 1, sequence - 1 FROM ({_PAIRS}) WHERE sequence > before + 1 LIMIT :limit"  # noqa: S608


def holes(tx: Connection, stream: Stream, limit: int) -> list[tuple[int, int]]:
    """The first `limit` ranges (first, last) between what was received without a hole and the newest text."""
    rows = tx.execute(_HOLES, _parameters(stream) | {"limit": limit})
    return [(first, last) for first, last in rows]


def highest_received(tx: Connection, stream: Stream) -> int:
    """The highest number that a text came with."""
    row = tx.execute(f"SELECT max(sequence) FROM ({_ABOVE})", _parameters(stream)).fetchone()  # noqa: S608
    return max(stream.received_up_to, int(row[0] or 0))


def lacks(tx: Connection, stream: Stream) -> bool:
    """Whether something is missing of what was sent, as far as anybody has said."""
    return stream.received_up_to < stream.sent_up_to or bool(holes(tx, stream, 1))


def streams_of(tx: Connection, address: Address) -> list[Stream]:
    """The numberings of all devices that this number has had."""
    rows = tx.execute(
        "SELECT device, received_up_to, released_up_to, sent_up_to FROM stream WHERE address = ?", (address,)
    )
    return [Stream(address, DeviceId(device), *counts) for device, *counts in rows]


def _parameters(stream: Stream) -> dict[str, object]:
    return {"address": stream.address, "device": stream.device, "received": stream.received_up_to}
