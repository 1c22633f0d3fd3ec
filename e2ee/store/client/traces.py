"""What SQLite leaves of a row that was moved, and how it is got rid of.

When rows move between pages (one has grown, many are deleted), a page that is laid out anew keeps what
stood in its unused part, and `secure_delete` never hears of it: such a copy of a row outlives the row.
Functions over one transaction of the vault. Knows which tables hold secrets, not what these are.
See `docs/cryptography.md`, section 6.
"""

from __future__ import annotations

from e2ee.store.client.marks import forget_mark, load_mark, save_mark
from e2ee.store.connection import Connection

_FORGOTTEN = "traces_of_texts"
_PREKEYS = "prekeys_rewritten"


def rewrite_secrets(tx: Connection) -> bool:
    """Lay the tables of secret keys out anew, on pages that hold nothing else.

    For each session a row of some hundred bytes; the prekeys, which are more, only if they have changed.
    True: it is all done.
    """
    _rewrite(tx, "session")
    state = _state_of_prekeys(tx)
    if load_mark(tx, _PREKEYS) != state:
        _rewrite(tx, "prekey")
        save_mark(tx, _PREKEYS, state)
    return True


def _state_of_prekeys(tx: Connection) -> bytes:
    """Another one after every deletion: row ids only grow. Read from an index, not from the rows."""
    row = tx.execute("SELECT count(*), max(rowid), total(rowid) FROM prekey").fetchone()
    return repr(row).encode()


def _rewrite(tx: Connection, table: str) -> None:
    """Delete all rows at once, which empties and overwrites their pages, and append them in their order."""
    rows = tx.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 - constants
    if not rows:
        return
    columns = ", ".join(["rowid", *(row[1] for row in tx.execute(f"PRAGMA table_info({table})"))])
    tx.execute(f"DELETE FROM {table}")  # noqa: S608
    marks = ", ".join("?" * len(rows[0]))
    tx.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608


# --- texts: too many to be laid out anew after every message ------------------------------------


def note_forgotten(tx: Connection) -> None:
    """Texts were deleted: the whole file has to be made anew."""
    save_mark(tx, _FORGOTTEN, b"\1")


def has_forgotten(tx: Connection) -> bool:
    """Whether texts were deleted since the file was made anew."""
    return load_mark(tx, _FORGOTTEN) is not None


def note_rewritten(tx: Connection) -> None:
    """The file was made anew."""
    forget_mark(tx, _FORGOTTEN)
