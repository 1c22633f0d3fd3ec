"""Public prekeys, in SQL: each one-time key handed out once. Knows ids and bytes, not what they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from e2ee.ids import DeviceAddress
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.devices import device_row
from e2ee.store.server.ports import BundleKeys, PreKeyUpload, Stock, StoredPreKey, UploadRefused

_SIGNED, _LAST_RESORT, _ONE_TIME, _KEM_ONE_TIME = "signed", "last_resort", "one_time", "kem_one_time"


class SqlPreKeys:
    """`ports.PreKeys` on a database, with the most that one device may have in stock of each kind."""

    def __init__(self, database: Database, one_time_stock: int, kem_one_time_stock: int) -> None:
        self._database = database
        self._bounds = Stock(one_time_stock, kem_one_time_stock)

    async def publish(self, where: DeviceAddress, upload: PreKeyUpload) -> Stock | UploadRefused:
        """See `ports.PreKeys.publish`."""

        def store(connection: Connection) -> Stock:
            device_id = device_row(connection, where)
            if device_id is None:
                raise _Refused(UploadRefused.NO_DEVICE)
            return _publish(connection, device_id, upload, self._bounds)

        try:
            return await self._database.write(store)
        except _Refused as refused:
            return refused.reason

    async def take(self, where: DeviceAddress, one_time: bool) -> BundleKeys | None:
        """See `ports.PreKeys.take`."""
        return await self._database.write(lambda connection: _take(connection, where, one_time))

    async def stock(self, where: DeviceAddress) -> Stock:
        """See `ports.PreKeys.stock`."""

        def count(connection: Connection) -> Stock:
            device_id = device_row(connection, where)
            return Stock(0, 0) if device_id is None else _stock(connection, device_id)

        return await self._database.read(count)


class _Refused(Exception):
    """Rolls an upload back: it is stored whole or not at all."""

    def __init__(self, reason: UploadRefused) -> None:
        super().__init__(reason.value)
        self.reason = reason


def _publish(connection: Connection, device_id: int, upload: PreKeyUpload, bounds: Stock) -> Stock:
    if upload.replace_stock:
        _drop_stock(connection, device_id)
    for kind, prekey in _lasting(upload):
        _remember(connection, device_id, kind, prekey)
        connection.execute(
            "INSERT OR REPLACE INTO lasting_prekey VALUES (?, ?, ?)", (device_id, kind, prekey.encoded)
        )
    for kind, prekey in _one_time(upload):
        # One that was published before waits already, or was handed out: once is enough.
        if _remember(connection, device_id, kind, prekey):
            connection.execute(
                "INSERT INTO one_time_prekey (device_id, kind, key_id, encoded) VALUES (?, ?, ?, ?)",
                (device_id, kind, prekey.key_id, prekey.encoded),
            )
    stock = _stock(connection, device_id)
    if stock.one_time > bounds.one_time or stock.kem_one_time > bounds.kem_one_time:
        raise _Refused(UploadRefused.STOCK_FULL)
    return stock


def _lasting(upload: PreKeyUpload) -> Iterator[tuple[str, StoredPreKey]]:
    if upload.signed_prekey is not None:
        yield _SIGNED, upload.signed_prekey
    if upload.last_resort_prekey is not None:
        yield _LAST_RESORT, upload.last_resort_prekey


def _one_time(upload: PreKeyUpload) -> Iterator[tuple[str, StoredPreKey]]:
    for prekey in upload.one_time:
        yield _ONE_TIME, prekey
    for prekey in upload.kem_one_time:
        yield _KEM_ONE_TIME, prekey


def _drop_stock(connection: Connection, device_id: int) -> None:
    """Forget what was not handed out, so that the same upload can bring it back."""
    connection.execute(
        "DELETE FROM published_prekey WHERE device_id = :device AND (kind, key_id) IN"
        " (SELECT kind, key_id FROM one_time_prekey WHERE device_id = :device)",
        {"device": device_id},
    )
    connection.execute("DELETE FROM one_time_prekey WHERE device_id = ?", (device_id,))


def _remember(connection: Connection, device_id: int, kind: str, prekey: StoredPreKey) -> bool:
    """Whether this id is new; raises if it has named another key."""
    digest = hashlib.sha256(prekey.encoded).digest()
    known = connection.execute(
        "SELECT digest FROM published_prekey WHERE device_id = ? AND kind = ? AND key_id = ?",
        (device_id, kind, prekey.key_id),
    ).fetchone()
    if known is None:
        connection.execute(
            "INSERT INTO published_prekey VALUES (?, ?, ?, ?)", (device_id, kind, prekey.key_id, digest)
        )
        return True
    if known[0] != digest:
        raise _Refused(UploadRefused.CONFLICT)
    return False


def _take(connection: Connection, where: DeviceAddress, one_time: bool) -> BundleKeys | None:
    device_id = device_row(connection, where)
    if device_id is None:
        return None
    lasting = dict(
        connection.execute("SELECT kind, encoded FROM lasting_prekey WHERE device_id = ?", (device_id,))
    )
    if _SIGNED not in lasting or _LAST_RESORT not in lasting:
        return None
    key = _take_oldest(connection, device_id, _ONE_TIME) if one_time else None
    kem_key = _take_oldest(connection, device_id, _KEM_ONE_TIME) if one_time else None
    return BundleKeys(
        signed_prekey=lasting[_SIGNED],
        kem_prekey=lasting[_LAST_RESORT] if kem_key is None else kem_key.encoded,
        kem_is_one_time=kem_key is not None,
        one_time=key,
        stock=_stock(connection, device_id),
    )


def _take_oldest(connection: Connection, device_id: int, kind: str) -> StoredPreKey | None:
    row = connection.execute(
        "DELETE FROM one_time_prekey WHERE number = (SELECT number FROM one_time_prekey"
        " WHERE device_id = ? AND kind = ? ORDER BY number LIMIT 1) RETURNING key_id, encoded",
        (device_id, kind),
    ).fetchone()
    return StoredPreKey(*row) if row else None


def _stock(connection: Connection, device_id: int) -> Stock:
    counts = dict(
        connection.execute(
            "SELECT kind, count(*) FROM one_time_prekey WHERE device_id = ? GROUP BY kind", (device_id,)
        )
    )
    return Stock(counts.get(_ONE_TIME, 0), counts.get(_KEM_ONE_TIME, 0))
