"""Rows that several stores touch in one transaction: devices, their state tokens, notices to senders.

Knows SQL; every function here runs inside somebody's operation, in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from e2ee.ids import DeviceAddress, EnvelopeId
from e2ee.store.connection import Connection
from e2ee.store.row_statement import RowStatement
from e2ee.store.server.ports import NoticeKind

NOTICE_ENVELOPES = 1000
"""Envelope ids in one notice: as many as one message on the wire carries."""

_TOKENS = RowStatement(
    "UPDATE device SET state_token = max(coalesce(state_token, x''), new.column3) FROM (",
    3,
    ") AS new WHERE device.address = new.column1 AND device.device = new.column2",
)


def device_row(connection: Connection, where: DeviceAddress) -> int | None:
    """The row id of this device, if it exists."""
    row = connection.execute(
        "SELECT id FROM device WHERE address = ? AND device = ?", (str(where.address), bytes(where.device))
    ).fetchone()
    return row[0] if row else None


def keep_state_tokens(connection: Connection, tokens: Mapping[DeviceAddress, bytes]) -> None:
    """Keep the highest state token of each of these devices: its counter comes first in it."""
    rows = [(str(where.address), bytes(where.device), token) for where, token in tokens.items()]
    _TOKENS.run(connection, rows)


def leave_notices(
    connection: Connection, lost: Iterable[tuple[str, bytes, bytes]], kind: NoticeKind
) -> None:
    """A notice for each sender's device of (address, device, envelope id), oldest id first.

    A device that does not exist any more gets none: nobody could fetch it.
    """
    of_sender: dict[tuple[str, bytes], list[bytes]] = {}
    for address, device, envelope_id in lost:
        of_sender.setdefault((address, device), []).append(envelope_id)
    for (address, device), ids in of_sender.items():
        for first in range(0, len(ids), NOTICE_ENVELOPES):
            connection.execute(
                "INSERT INTO notice (device_id, kind, envelope_ids)"
                " SELECT id, ?, ? FROM device WHERE address = ? AND device = ?",
                (kind.value, b"".join(ids[first : first + NOTICE_ENVELOPES]), address, device),
            )


def split_ids(joined: bytes) -> Sequence[EnvelopeId]:
    """The ids of one notice."""
    size = EnvelopeId.SIZE
    return tuple(EnvelopeId(joined[start : start + size]) for start in range(0, len(joined), size))
