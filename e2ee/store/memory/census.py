"""The operator's look at all accounts, in memory; see `e2ee.store.server.census`."""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.store.memory.state import Device, MemoryStore
from e2ee.store.server.ports import CHUNK_BYTES, AccountFacts, Survey


class MemoryCensus:
    """`ports.Census` in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def accounts(self, after: str, count: int) -> Sequence[AccountFacts]:
        """See `ports.Census.accounts`."""
        behind = [address for address in sorted(self._store.devices) if address > after]
        return [_facts(self._store.devices[address]) for address in behind[:count]]

    async def not_seen_since(self, at: int) -> int:
        """See `ports.Census.not_seen_since`."""
        logins = [device.account.last_login_at for device in self._store.devices.values()]
        return sum((login or 0) < at for login in logins)

    async def survey(self) -> Survey:
        """See `ports.Census.survey`."""
        devices = list(self._store.devices.values())
        depths = [len(device.mail) for device in devices]
        times = [at for device in devices for _, at in device.mail.values()]
        return Survey(
            accounts=len(devices),
            waiting=sum(depths),
            waiting_bytes=sum(_waiting_bytes(device) for device in devices),
            deepest=max(depths, default=0),
            oldest_at=min(times, default=None),
            one_time_prekeys=sum(_stock(device, "one_time") for device in devices),
            kem_one_time_prekeys=sum(_stock(device, "kem_one_time") for device in devices),
            without_one_time=sum(not _stock(device, "one_time") for device in devices),
            without_kem_one_time=sum(not _stock(device, "kem_one_time") for device in devices),
            files=len(self._store.files),
            files_bytes=CHUNK_BYTES * sum(file.chunks for file, _ in self._store.files.values()),
        )


def _facts(device: Device) -> AccountFacts:
    account = device.account
    return AccountFacts(
        address=account.address,
        device=account.device,
        last_login_at=account.last_login_at,
        logged_out=account.logged_out,
        has_pin=device.pin is not None,
        waiting=len(device.mail),
        waiting_bytes=_waiting_bytes(device),
        one_time_prekeys=_stock(device, "one_time"),
    )


def _waiting_bytes(device: Device) -> int:
    return sum(len(item.envelope) for item, _ in device.mail.values())


def _stock(device: Device, kind: str) -> int:
    return len(device.keys.stock.get(kind, ()))
