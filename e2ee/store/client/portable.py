"""What of a vault goes into a backup, and what stays behind: every table, with the reason.

Functions over one transaction. Knows tables and columns by name, not what their values mean. What
belongs to a session or opens one stays behind: a copy of it would use a key twice, or open what its
owner believes gone. See `docs/cryptography.md`, "Backups".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

from e2ee.errors import StoreError
from e2ee.store.connection import Connection

Value = int | str | bytes | None


@dataclass(frozen=True, slots=True)
class PortableTable:
    """A table whose rows are backed up: those for which `where` holds, without the columns `emptied`."""

    name: str
    where: str = "1"
    emptied: frozenset[str] = frozenset()


PORTABLE = (
    PortableTable("identity"),
    PortableTable("server"),
    PortableTable("burnt_passcode"),
    PortableTable("mark", where="name IN ('contact_token', 'message_place', 'prekey_id', 'numbering')"),
    PortableTable("contact"),
    PortableTable("account_statement"),
    PortableTable("authority"),
    PortableTable("revocation_list"),
    PortableTable("contact_identity"),
    PortableTable("timer"),
    PortableTable("message"),
    # With the keys of what is still to be fetched: they open one file each, once.
    PortableTable("file", emptied=frozenset({"error_code", "error_sentence", "error_until"})),
    PortableTable("forgotten"),
    PortableTable("passed"),
    PortableTable("stream"),
    PortableTable("arrival"),
    # Ids only: what was set aside cannot be opened without its session.
    PortableTable("envelope", emptied=frozenset({"kept"})),
    # Texts only, and not sealed: their envelopes belong to sessions that stay behind.
    PortableTable(
        "outbox",
        where="message IS NOT NULL",
        emptied=frozenset(
            {"envelope", "statement_hash", "sealed_at", "state_counter", "body"}
            | {"error_code", "error_sentence", "error_until"}
        ),
    ),
)
"""In an order in which rows can be put back: what is referred to comes first."""

LEFT_BEHIND = MappingProxyType(
    {
        "session": "its keys must exist once",
        "prekey": "private halves that open first messages must exist once; new ones are published",
        "first_message": "remembered for the prekeys that stay behind",
        "receipt": "about texts that the contacts will be told of again, or have been",
        "healing": "about sessions that stay behind; after the restoration everybody is asked",
        "typed_line": "a convenience of this machine; the texts among them are in the history",
        "attempt": "about envelopes that a process on the old machine was opening",
        "registration": "under way on the old machine",
        "message_word": "an index, made anew as the texts are put back",
    }
)

_BY_NAME = MappingProxyType({table.name: table for table in PORTABLE})


def schema_version(tx: Connection) -> int:
    """Which schema this vault has."""
    return int(tx.execute("PRAGMA user_version").fetchone()[0])


def portable_columns(tx: Connection, table: PortableTable) -> tuple[str, ...]:
    """The columns of a table that are backed up, as this vault's schema has them."""
    rows = tx.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
    return tuple(name for (name,) in rows if name not in table.emptied)


def portable_rows(tx: Connection, table: PortableTable) -> Iterator[tuple[Value, ...]]:
    """The rows of a table that are backed up, one after the other from the disk."""
    names = ", ".join(f'"{name}"' for name in portable_columns(tx, table))
    return iter(tx.execute(f'SELECT {names} FROM "{table.name}" WHERE {table.where} ORDER BY 1'))  # noqa: S608


def count_portable(tx: Connection) -> tuple[int, int]:
    """How many contacts of the address book, and how many texts, are in this vault."""
    row = tx.execute(
        "SELECT (SELECT count(*) FROM contact WHERE listed), (SELECT count(*) FROM message)"
    ).fetchone()
    return int(row[0]), int(row[1])


def put_rows(
    tx: Connection, name: str, columns: tuple[str, ...], rows: Iterable[tuple[Value, ...]]
) -> None:
    """Put rows back into a new vault. Raises StoreError for a table or columns that are not backed up."""
    table = _BY_NAME.get(name)
    if table is None or columns != portable_columns(tx, table):
        raise StoreError("rows of another kind than a backup has")
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join("?" * len(columns))
    tx.executemany(f'INSERT INTO "{name}" ({names}) VALUES ({marks})', rows)  # noqa: S608
