"""Small facts of the vault that have a name: counters, flags, the own contact token.

Functions over one transaction. Knows names and values, not what they mean.
"""

from __future__ import annotations

from e2ee.store.connection import Connection


def load_mark(tx: Connection, name: str) -> bytes | None:
    """The bytes kept under this name, or None."""
    row = tx.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def save_mark(tx: Connection, name: str, value: bytes) -> None:
    """Keep these bytes under this name, in place of others."""
    tx.execute("INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)", (name, value))


def forget_mark(tx: Connection, name: str) -> None:
    """Keep nothing under this name."""
    tx.execute("DELETE FROM mark WHERE name = ?", (name,))


def next_count(tx: Connection, name: str, step: int = 1) -> int:
    """The first of `step` numbers from the counter of this name, which begins with 1."""
    row = tx.execute(
        "INSERT INTO mark (name, value) VALUES (:name, 1 + :step)"
        " ON CONFLICT (name) DO UPDATE SET value = value + :step RETURNING value",
        {"name": name, "step": step},
    ).fetchone()
    return int(row[0]) - step


def load_count(tx: Connection, name: str) -> int:
    """The next number of the counter of this name; 0 where there is none."""
    row = tx.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def raise_count(tx: Connection, name: str, above: int) -> None:
    """Let the counter of this name go on above this number."""
    tx.execute(
        "INSERT INTO mark (name, value) VALUES (:name, 1 + :above)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, 1 + :above)",
        {"name": name, "above": above},
    )
