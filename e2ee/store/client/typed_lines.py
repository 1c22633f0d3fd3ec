"""The lines that were typed in a chat, to be called back and edited: the newest of them, in the vault.

Functions over one transaction. Knows bounds and order, not what a line means.
"""

from __future__ import annotations

from collections.abc import Iterable

from e2ee.store.connection import Connection

TYPED_LINES = 1000
"""As many as shells keep; the oldest goes when one comes."""
TYPED_LINE_CHARACTERS = 4096
"""A longer one is kept as the message that it was, and not a second time here."""


def remember_line(tx: Connection, line: str) -> None:
    """Keep this one as the newest; it takes the place of an equal one, and of the oldest if need be."""
    if len(line) > TYPED_LINE_CHARACTERS:
        return
    tx.execute("DELETE FROM typed_line WHERE line = ?", (line,))
    tx.execute("INSERT INTO typed_line (line) VALUES (?)", (line,))
    tx.execute(
        "DELETE FROM typed_line WHERE position <="
        " (SELECT position FROM typed_line ORDER BY position DESC LIMIT 1 OFFSET ?)",
        (TYPED_LINES,),
    )


def typed_lines(tx: Connection) -> list[str]:
    """All that are kept, oldest first."""
    return [line for (line,) in tx.execute("SELECT line FROM typed_line ORDER BY position")]


def forget_typed(tx: Connection, rows: Iterable[int]) -> None:
    """Keep no line that was sent as one of the texts in these rows of `message`.

    A text with a slash in front was typed with two.
    """
    tx.executemany(
        "DELETE FROM typed_line WHERE line IN (SELECT text FROM message WHERE row = :row"
        " UNION ALL SELECT '/' || text FROM message WHERE row = :row)",
        [{"row": row} for row in rows],
    )
