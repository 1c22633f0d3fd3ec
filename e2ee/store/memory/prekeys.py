"""Public prekeys, in memory. Knows ids and bytes; see `e2ee.store.server.prekeys`."""

from __future__ import annotations

from e2ee.ids import DeviceAddress
from e2ee.store.memory.state import Keys, MemoryStore
from e2ee.store.server.ports import BundleKeys, PreKeyUpload, Stock, StoredPreKey, UploadRefused


class MemoryPreKeys:
    """`ports.PreKeys` in memory."""

    def __init__(self, store: MemoryStore, one_time_stock: int, kem_one_time_stock: int) -> None:
        self._store = store
        self._bounds = Stock(one_time_stock, kem_one_time_stock)

    async def publish(self, where: DeviceAddress, upload: PreKeyUpload) -> Stock | UploadRefused:
        """See `ports.PreKeys.publish`."""
        device = self._store.device(where)
        if device is None:
            return UploadRefused.NO_DEVICE
        keys = device.keys.copy()
        if not _add(keys, upload):
            return UploadRefused.CONFLICT
        stock = _count(keys)
        if stock.one_time > self._bounds.one_time or stock.kem_one_time > self._bounds.kem_one_time:
            return UploadRefused.STOCK_FULL
        device.keys = keys
        return stock

    async def take(self, where: DeviceAddress, one_time: bool) -> BundleKeys | None:
        """See `ports.PreKeys.take`."""
        device = self._store.device(where)
        if device is None or len(device.keys.lasting) < 2:
            return None
        keys = device.keys
        key = _take_oldest(keys, "one_time") if one_time else None
        kem_key = _take_oldest(keys, "kem_one_time") if one_time else None
        return BundleKeys(
            signed_prekey=keys.lasting["signed"],
            kem_prekey=keys.lasting["last_resort"] if kem_key is None else kem_key.encoded,
            kem_is_one_time=kem_key is not None,
            one_time=key,
            stock=_count(keys),
        )

    async def stock(self, where: DeviceAddress) -> Stock:
        """See `ports.PreKeys.stock`."""
        device = self._store.device(where)
        return Stock(0, 0) if device is None else _count(device.keys)


def _add(keys: Keys, upload: PreKeyUpload) -> bool:
    """False if an id has named another key."""
    if upload.replace_stock:
        for kind, prekeys in keys.stock.items():
            for prekey in prekeys:
                del keys.published[kind, prekey.key_id]
        keys.stock.clear()
    lasting = (("signed", upload.signed_prekey), ("last_resort", upload.last_resort_prekey))
    for kind, published in lasting:
        if published is not None:
            if keys.published.setdefault((kind, published.key_id), published.encoded) != published.encoded:
                return False
            keys.lasting[kind] = published.encoded
    return all(
        _add_one_time(keys, kind, prekey)
        for kind, prekeys in (("one_time", upload.one_time), ("kem_one_time", upload.kem_one_time))
        for prekey in prekeys
    )


def _add_one_time(keys: Keys, kind: str, prekey: StoredPreKey) -> bool:
    known = keys.published.get((kind, prekey.key_id))
    if known is None:
        keys.published[kind, prekey.key_id] = prekey.encoded
        keys.stock.setdefault(kind, []).append(prekey)
    return known in (None, prekey.encoded)


def _take_oldest(keys: Keys, kind: str) -> StoredPreKey | None:
    stock = keys.stock.get(kind)
    return stock.pop(0) if stock else None


def _count(keys: Keys) -> Stock:
    return Stock(len(keys.stock.get("one_time", ())), len(keys.stock.get("kem_one_time", ())))
