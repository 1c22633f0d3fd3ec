"""A new vault filled from elsewhere before anybody opens it: all of it or nothing.

Knows schemas and one transaction, not where the rows come from. Blocks: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlcipher3 import dbapi2

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.store.connection import Connection, connect, lacks_room
from e2ee.store.upgrade import schema_files, upgrade


class NewerSchema(StoreError):
    """The rows belong to a schema that this version does not have yet."""


def fill_vault(path: Path, key: bytes, version: int, load: Callable[[Connection], None]) -> None:
    """Make the vault at `path`, with the schema of `version`, and let `load` fill it in one transaction.

    Opening it later brings it to the newest schema, as it does with every vault. Raises NewerSchema,
    StoreUnavailable without room, StoreError for rows that do not fit, and whatever `load` raises; the
    file is then there, and empty or not, and must be removed.
    """
    scripts = schema_files("client")
    if version > len(scripts):
        raise NewerSchema(f"schema {version}, and this version knows {len(scripts)}")
    if version < 1:
        raise StoreError("there is no such schema")
    connection = connect(path, key)
    try:
        upgrade(connection, scripts[:version])
        connection.execute("BEGIN IMMEDIATE")
        load(connection)
        connection.execute("COMMIT")
    except dbapi2.Error as error:
        if lacks_room(error):
            raise StoreUnavailable("there is no room for the vault on the disk") from None
        raise StoreError(f"rows that do not fit into a vault: {error}") from None
    finally:
        connection.close()
