"""Which envelopes were dealt with, so that none is shown twice and none crashes the client for ever.

Functions over one transaction of the vault. Knows envelope ids and bytes, not what is in them.
"""

from __future__ import annotations

from e2ee.ids import Address, EnvelopeId
from e2ee.store.connection import Connection

KEPT_SET_ASIDE = 500
"""Envelopes kept that could not be opened: about 48 MB at the most, that strangers can fill."""


def was_opened(tx: Connection, envelope_id: EnvelopeId) -> bool | None:
    """True: opened before; False: set aside before; None: never seen."""
    row = tx.execute("SELECT opened FROM envelope WHERE envelope_id = ?", (envelope_id,)).fetchone()
    return None if row is None else bool(row[0])


def note_opened(tx: Connection, envelope_id: EnvelopeId, address: Address, now: int) -> None:
    """It was opened: a repeat is acknowledged and not shown. `now` is ms since 1970."""
    tx.execute(
        "INSERT OR REPLACE INTO envelope (envelope_id, address, opened, received_at) VALUES (?, ?, 1, ?)",
        (envelope_id, address, now),
    )


def note_set_aside(
    tx: Connection, envelope_id: EnvelopeId, address: Address, now: int, envelope: bytes
) -> None:
    """It could not be opened: it is kept, as long as there are not too many."""
    tx.execute(
        "INSERT OR REPLACE INTO envelope (envelope_id, address, opened, received_at, kept)"
        " VALUES (?, ?, 0, ?, ?)",
        (envelope_id, address, now, envelope),
    )
    tx.execute(
        "UPDATE envelope SET kept = NULL WHERE rowid IN (SELECT rowid FROM envelope"
        " WHERE kept IS NOT NULL ORDER BY received_at DESC, rowid DESC LIMIT -1 OFFSET ?)",
        (KEPT_SET_ASIDE,),
    )


def forget_envelopes(tx: Connection, before: int) -> None:
    """Forget what was dealt with before this time (ms): the server cannot have it any more."""
    tx.execute("DELETE FROM envelope WHERE received_at < ?", (before,))


def count_crash(tx: Connection, envelope_id: bytes) -> None:
    """The process ended while it was opening this one."""
    tx.execute(
        "INSERT INTO attempt (envelope_id, count) VALUES (?, 1)"
        " ON CONFLICT (envelope_id) DO UPDATE SET count = count + 1",
        (envelope_id,),
    )


def crashes(tx: Connection, envelope_id: EnvelopeId) -> int:
    """How often a process has ended while it was opening this one."""
    row = tx.execute("SELECT count FROM attempt WHERE envelope_id = ?", (envelope_id,)).fetchone()
    return 0 if row is None else int(row[0])


def forget_attempts(tx: Connection, envelope_id: EnvelopeId) -> None:
    """It did not crash the client."""
    tx.execute("DELETE FROM attempt WHERE envelope_id = ?", (envelope_id,))
