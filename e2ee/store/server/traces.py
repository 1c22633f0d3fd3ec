"""What SQLite leaves of rows that are gone, and how the server's database gets rid of it.

When rows move between pages, a page that is laid out anew keeps what stood in its unused part, and
`secure_delete` never hears of it: such a copy of a row outlives the row. So tables whose rows go, or speak
of people who may go, are laid out anew: all their pages are emptied and overwritten, and the rows
appended again. Knows which tables these are, when it is due, and what it may cost; not what a row means.
See `docs/operations/retention.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from e2ee.store.connection import Connection
from e2ee.store.server.facts import load_fact, save_fact

PACE = 1000
"""A table that took a second is left alone for 1,000: a thousandth of the writer's time at the most."""
MOST_ROWS = 100_000
MOST_BYTES = 16 * 1024 * 1024
"""Of waiting envelopes, in one transaction: everybody's writes wait for it, some tenths of a second."""

PASSING = ("share", "notice", "bucket", "passcode", "passcode_wait", "invite", "file")
"""Small tables whose rows live for minutes or days."""
LASTING = ("account", "device")
"""Their rows go when an account is deleted or taken over."""


class Traces:
    """One for an open database. `seconds` measures what a table costs."""

    def __init__(self, seconds: Callable[[], float] = perf_counter) -> None:
        self._seconds = seconds
        self._not_before: dict[str, float] = {}

    def tidy(self, tx: Connection) -> bool:
        """Lay out anew what may hold traces, in one transaction without foreign keys.

        False if a table has to wait for its turn, or until it is smaller.
        """
        # How many devices there ever were, not which is the newest: one may have come and gone.
        devices, ever, removed, size = tx.execute(
            "SELECT count(*), (SELECT seq FROM sqlite_sequence WHERE name = 'device'),"
            " total(last_seq) - total(messages), total(bytes) FROM device"
        ).fetchone()
        people = f"{devices} of {ever}"
        done = [self._tidy(tx, table) for table in PASSING]
        done += [self._tidy(tx, table, people) for table in LASTING]
        if size <= MOST_BYTES:
            done.append(self._tidy(tx, "mail", f"{people}, {removed:.0f}"))
        else:
            done.append(False)
        return all(done)

    def _tidy(self, tx: Connection, table: str, state: str | None = None) -> bool:
        """With a `state`, only if it is another one than the last time: a row has gone since.

        That is kept with the rows, so that what is rolled back counts as not done.
        """
        done = f"tidied {table}"
        if state is not None and load_fact(tx, done) == state.encode():
            return True
        began = self._seconds()
        if began < self._not_before.get(table, began) or _is_large(tx, table):
            return False
        lay_out_anew(tx, table)
        ended = self._seconds()
        self._not_before[table] = ended + PACE * (ended - began)
        if state is not None:
            save_fact(tx, done, state.encode())
        return True


def lay_out_anew(tx: Connection, table: str) -> None:
    """Empty and overwrite all pages of a table and its indexes, and append its rows in their order.

    Foreign keys must be off, so that nobody's rows go with them.
    """
    triggers = tx.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
    ).fetchall()
    for name, _ in triggers:
        tx.execute(f"DROP TRIGGER {name}")
    # In memory: `temp_store`. A table without triggers, emptied at once, is overwritten page by page.
    tx.execute(f"CREATE TEMP TABLE kept AS SELECT * FROM main.{table}")  # noqa: S608 - constants
    tx.execute(f"DELETE FROM main.{table}")  # noqa: S608
    tx.execute(f"INSERT INTO main.{table} SELECT * FROM kept ORDER BY rowid")  # noqa: S608
    tx.execute("DROP TABLE temp.kept")
    for _, sql in triggers:
        tx.execute(sql)


def _is_large(tx: Connection, table: str) -> Any:
    (rows,) = tx.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {MOST_ROWS + 1})"  # noqa: S608
    ).fetchone()
    return rows > MOST_ROWS
