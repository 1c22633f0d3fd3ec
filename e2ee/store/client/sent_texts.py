"""Own texts by their numbers: what a contact has confirmed, what can be sent again, what is still to come.

Functions over one transaction of the vault. Only texts that were sealed for the account key in question
are looked at. See `docs/cryptography.md`, "Healing".
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.ids import Address
from e2ee.store.connection import Connection

_ACCEPTED = "state IN ('stored', 'delivered', 'read')"
_ONCE_ACCEPTED = f"({_ACCEPTED} OR (state = 'queued' AND sent_again > 0))"
_OURS = "direction = 'out' AND address = :address AND account_key = :account_key"


@dataclass(frozen=True, slots=True)
class SentText:
    """A row, and the number under which it is sent."""

    row: int
    sequence: int


def sent_up_to(tx: Connection, address: Address, account_key: bytes) -> int:
    """The highest number of a text to this account key that the server has ever accepted; 0 for none."""
    row = tx.execute(
        f"SELECT max(sequence) FROM message WHERE {_OURS} AND {_ONCE_ACCEPTED}",  # noqa: S608
        {"address": address, "account_key": account_key},
    ).fetchone()
    return int(row[0] or 0)


def is_unconfirmed(
    tx: Connection, address: Address, account_key: bytes, have_up_to: int, since: int, until: int
) -> bool:
    """Whether a text above `have_up_to` was accepted by the server that is neither too old nor too young.

    `since` and `until` are the times of sending, ms since 1970.
    """
    row = tx.execute(
        f"SELECT 1 FROM message WHERE {_OURS} AND sequence > :above AND {_ACCEPTED}"  # noqa: S608
        " AND sent_at BETWEEN :since AND :until LIMIT 1",
        {
            "address": address,
            "account_key": account_key,
            "above": have_up_to,
            "since": since,
            "until": until,
        },
    ).fetchone()
    return row is not None


def sendable_again(
    tx: Connection,
    address: Address,
    account_key: bytes,
    numbers: tuple[int, int],
    *,
    above: int,
    since: int,
    times: int,
) -> list[SentText]:
    """The texts with these numbers (first, last) that may be sent again, in order.

    Accepted by the server once, numbered above `above`, sent since then (ms since 1970), and sent again
    less often than `times`.
    """
    first, last = numbers
    rows = tx.execute(
        f"SELECT row, sequence FROM message WHERE {_OURS} AND {_ACCEPTED}"  # noqa: S608
        " AND sequence BETWEEN :first AND :last AND sent_at >= :since AND sent_again < :times"
        " ORDER BY sequence",
        {
            "address": address,
            "account_key": account_key,
            "first": max(first, above + 1),
            "last": last,
            "since": since,
            "times": times,
        },
    )
    return [SentText(*row) for row in rows]


def note_sent_again(tx: Connection, row: int) -> None:
    """This text waits in the outbox once more."""
    tx.execute(
        "UPDATE message SET state = 'queued', sent_again = sent_again + 1 WHERE row = ?", (row,)
    )


def numbers_to_come(tx: Connection, address: Address) -> list[int]:
    """The numbers of the texts that wait in the outbox, in order."""
    rows = tx.execute(
        "SELECT sequence FROM message JOIN outbox ON outbox.message = message.row"
        " WHERE outbox.address = ? ORDER BY sequence",
        (address,),
    )
    return [sequence for (sequence,) in rows]
