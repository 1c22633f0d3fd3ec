"""With whom something was lost, and when what there is to do about it was done last.

Functions over one transaction of the vault. Knows one row for each contact; what healing is, and how
often it may be, stands in `e2ee.client.recovery.need`. See `docs/cryptography.md`, "Healing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from e2ee.ids import Address
from e2ee.store.connection import Connection

_NUMBER_BYTES = 8


class Wanted(IntEnum):
    """What is to be done as soon as it may be."""

    NOTHING = 0
    MISSING = 1  # tell how far the texts have come, if something is known to be missing then
    EVERYTHING = 2  # ask for whatever may have been sent
    HANDSHAKE = 3  # and in a new session


@dataclass(frozen=True, slots=True)
class HealingRecord:
    """`healed_at` (ms since 1970) is when something was done last, `pause` (ms) how long to wait then."""

    address: Address
    wanted: Wanted = Wanted.NOTHING
    healed_at: int | None = None
    pause: int = 0


def want(tx: Connection, address: Address, wanted: Wanted) -> None:
    """Something is to be done about this contact; what is wanted already is not forgotten by less."""
    tx.execute(
        "INSERT INTO healing (address, wanted) VALUES (:address, :wanted)"
        " ON CONFLICT (address) DO UPDATE SET wanted = max(wanted, :wanted)",
        {"address": address, "wanted": int(wanted)},
    )


def wanted_healings(tx: Connection) -> list[HealingRecord]:
    """All about whom something is to be done."""
    rows = tx.execute(
        "SELECT address, wanted, healed_at, pause FROM healing WHERE wanted > 0 ORDER BY address"
    )
    return [HealingRecord(Address(address), Wanted(wanted), *rest) for address, wanted, *rest in rows]


def settle(tx: Connection, address: Address) -> None:
    """Nothing is to be done about this contact any more."""
    tx.execute("UPDATE healing SET wanted = 0 WHERE address = ?", (address,))


def note_healed(tx: Connection, address: Address, now: int, pause: int) -> None:
    """It is being done now; not again before `pause` ms have gone by."""
    tx.execute(
        "UPDATE healing SET wanted = 0, healed_at = ?, pause = ?, session = NULL WHERE address = ?",
        (now, pause, address),
    )


def note_session(tx: Connection, address: Address, session_id: bytes) -> None:
    """This session was begun to heal."""
    tx.execute("UPDATE healing SET session = ? WHERE address = ?", (session_id, address))


def note_answered(tx: Connection, address: Address, session_id: bytes) -> None:
    """Something was opened in this session. If it was begun to heal, what was unreadable is settled."""
    tx.execute(
        "UPDATE healing SET wanted = 0, session = NULL WHERE address = ? AND session = ?",
        (address, session_id),
    )


def forget_healings(tx: Connection) -> None:
    """Begin anew with everybody."""
    tx.execute("DELETE FROM healing")


def add_gone(tx: Connection, address: Address, ranges: Iterable[tuple[int, int]]) -> None:
    """Own numbers (first, last) of which this contact is to be told that nothing will come under them."""
    encoded = b"".join(end.to_bytes(_NUMBER_BYTES, "big") for one in ranges for end in one)
    tx.execute(
        "INSERT INTO healing (address, gone) VALUES (:address, :gone)"
        " ON CONFLICT (address) DO UPDATE SET gone = :gone",
        {"address": address, "gone": encoded},
    )


def take_gone(tx: Connection, address: Address) -> Sequence[tuple[int, int]]:
    """Those numbers, which are told now."""
    row = tx.execute("SELECT gone FROM healing WHERE address = ?", (address,)).fetchone()
    if row is None or not row[0]:
        return ()
    tx.execute("UPDATE healing SET gone = x'' WHERE address = ?", (address,))
    ends = [
        int.from_bytes(row[0][at : at + _NUMBER_BYTES], "big") for at in range(0, len(row[0]), _NUMBER_BYTES)
    ]
    return list(zip(ends[::2], ends[1::2], strict=True))
