"""What the records of a backup say: a manifest, then the rows of the vault, table after table.

Knows the order of records and their encoding (MessagePack), not how the file is sealed
(`backup_file`), nor what becomes of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from e2ee.errors import StoreError
from e2ee.store.client.portable import (
    PORTABLE,
    Value,
    portable_columns,
    portable_rows,
    put_rows,
    schema_version,
)
from e2ee.store.connection import Connection

_ROWS_AT_A_TIME = 500


class TableHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The columns of a table, in the order in which its rows have them."""

    name: str
    columns: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first record: when it was made (ms since 1970), by which version, from which schema.

    `config` is the profile's `config.toml`, None without one.
    """

    made_at: int
    version: str
    schema: int
    tables: tuple[TableHead, ...]
    config: str | None


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A further record: a row of the `table`-th table of the manifest."""

    table: int
    values: tuple[Any, ...]  # Value; msgspec cannot tell text and bytes apart in a union


_manifests = msgspec.msgpack.Decoder(Manifest)
_rows = msgspec.msgpack.Decoder(Row)


def vault_records(tx: Connection, made_at: int, version: str, config: str | None) -> Iterator[bytes]:
    """All records of this vault, as it is in this transaction."""
    encoder = msgspec.msgpack.Encoder()
    heads = tuple(TableHead(table.name, portable_columns(tx, table)) for table in PORTABLE)
    yield encoder.encode(Manifest(made_at, version, schema_version(tx), heads, config))
    for number, table in enumerate(PORTABLE):
        for values in portable_rows(tx, table):
            yield encoder.encode(Row(number, tuple(values)))


def read_manifest(records: Iterator[bytes]) -> Manifest:
    """The first of these records. Raises StoreError where it is none."""
    try:
        return _manifests.decode(next(records))
    except (StopIteration, msgspec.DecodeError, ValueError):
        raise StoreError("no manifest") from None


def loader(manifest: Manifest, records: Iterable[bytes]) -> Callable[[Connection], None]:
    """What puts all further records into a new vault. It raises StoreError for rows that do not fit."""

    def load(tx: Connection) -> None:
        rows = iter(_decoded(records))
        first = next(rows, None)
        while first is not None:
            table, batch = first.table, [first.values]
            first = None
            for row in rows:
                if row.table != table or len(batch) >= _ROWS_AT_A_TIME:
                    first = row
                    break
                batch.append(row.values)
            _put(tx, manifest, table, batch)

    return load


def _put(tx: Connection, manifest: Manifest, table: int, batch: list[tuple[Value, ...]]) -> None:
    if not 0 <= table < len(manifest.tables):
        raise StoreError("a row of no table")
    head = manifest.tables[table]
    if any(len(values) != len(head.columns) for values in batch):
        raise StoreError("a row of another width than its table")
    put_rows(tx, head.name, head.columns, batch)


def _decoded(records: Iterable[bytes]) -> Iterator[Row]:
    for record in records:
        try:
            row = _rows.decode(record)
        except (msgspec.DecodeError, ValueError):
            raise StoreError("a record that is no row") from None
        if not all(isinstance(value, Value) and not isinstance(value, bool) for value in row.values):
            raise StoreError("a value that no column has")
        yield row
