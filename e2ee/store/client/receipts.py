"""Receipts that are owed to contacts and not in the outbox yet.

Functions over one transaction of the vault. Knows one row for each text; whom receipts are owed stands in
`e2ee.client.sending.receipting`. See `docs/protocol.md`, section 6, "Receipts".
"""

from __future__ import annotations

from enum import StrEnum

from e2ee.ids import Address, MessageId
from e2ee.store.connection import Connection


class ReceiptState(StrEnum):
    """What is told of a text."""

    DELIVERED = "delivered"
    READ = "read"


Owed = list[tuple[MessageId, ReceiptState]]


def owe(tx: Connection, address: Address, message_id: MessageId, state: ReceiptState) -> None:
    """This contact is to be told; that a text was read tells that it was delivered."""
    tx.execute(
        "INSERT INTO receipt (address, message_id, state) VALUES (?, ?, ?)"
        " ON CONFLICT (address, message_id) DO UPDATE SET state = 'read' WHERE excluded.state = 'read'",
        (address, message_id, state),
    )


def owed_addresses(tx: Connection, limit: int) -> list[Address]:
    """The first `limit` to whom receipts are owed and no text waits; who has waited longest comes first."""
    rows = tx.execute(
        "SELECT address FROM receipt WHERE address NOT IN"
        " (SELECT address FROM outbox WHERE message NOT NULL)"
        " GROUP BY address ORDER BY min(position) LIMIT ?",
        (limit,),
    )
    return [Address(address) for (address,) in rows]


def is_owed(tx: Connection) -> bool:
    """Whether anybody is to be told anything."""
    return tx.execute("SELECT 1 FROM receipt LIMIT 1").fetchone() is not None


def take_owed(tx: Connection, address: Address, limit: int) -> Owed:
    """The oldest `limit` of them, which are owed no longer."""
    rows = tx.execute(
        "DELETE FROM receipt WHERE position IN"
        " (SELECT position FROM receipt WHERE address = ? ORDER BY position LIMIT ?)"
        " RETURNING message_id, state",
        (address, limit),
    )
    return [(MessageId(message_id), ReceiptState(state)) for message_id, state in rows]


def forget_owed(tx: Connection, address: Address | None = None) -> None:
    """This contact, or nobody, is told anything."""
    tx.execute("DELETE FROM receipt WHERE :address IS NULL OR address = :address", {"address": address})
