"""Brings a database to the newest schema, in one transaction or not at all.

Knows numbered files in `schema/NAME/0001.sql …` and SQLite's user_version; knows no table.
"""

from __future__ import annotations

from importlib import resources

from e2ee.errors import StoreError
from e2ee.store.connection import Connection


def schema_files(schema: str) -> list[str]:
    """The scripts of a schema, first to newest; the n-th brings a database to version n."""
    folder = resources.files("e2ee.store").joinpath("schema", schema)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    if names != [f"{number:04}.sql" for number in range(1, len(names) + 1)]:
        raise StoreError(f"the schema files of the {schema} database are not complete")
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]


def upgrade(connection: Connection, scripts: list[str]) -> None:
    """Run the scripts this database has not seen. Raises StoreError if it is newer than they are."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(scripts):
        raise StoreError(
            f"this database was made by a newer version of e2ee: its schema is {version},"
            f" this version knows {len(scripts)}"
        )
    if version == len(scripts):
        return
    todo = "\n".join(scripts[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{todo}\nPRAGMA user_version = {len(scripts)};\nCOMMIT;"
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
