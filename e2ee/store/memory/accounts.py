"""Who exists, in memory. Knows accounts and what goes with them; see `e2ee.store.server.accounts`."""

from __future__ import annotations

import hmac
from dataclasses import replace

from e2ee.ids import Address, DeviceAddress, DeviceId, PasscodeSessionId
from e2ee.store.memory.state import Device, Keys, MemoryStore
from e2ee.store.server.ports import (
    Account,
    NewAccount,
    NoticeKind,
    PinAsked,
    Registered,
    RegistrationSpent,
    StoredPin,
)


class MemoryAccounts:
    """`ports.Accounts` in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def find(self, address: Address) -> Account | None:
        """See `ports.Accounts.find`."""
        device = self._store.devices.get(address)
        return None if device is None else device.account

    async def register(
        self, session: PasscodeSessionId, account: NewAccount, now: float
    ) -> Registered | PinAsked | RegistrationSpent:
        """See `ports.Accounts.register`."""
        store = self._store
        before = store.devices.get(account.address)
        if before is not None and _is_outdated(account, before.account):
            return RegistrationSpent.OLDER_STATEMENT
        opened = store.sessions.get(session)
        if opened is None or opened.address != account.address or opened.expires_at <= now:
            return RegistrationSpent.SPENT
        del store.sessions[session]
        if before is not None and before.pin is not None:
            return PinAsked(before.pin.salt, opened.invite)
        if not store.use_invite(opened.invite):
            return RegistrationSpent.INVITE_SPENT
        return self._replace(account, None, now)

    async def register_with_pin(
        self, account: NewAccount, pin_hash: bytes, invite: bytes | None, now: float
    ) -> Registered | RegistrationSpent:
        """See `ports.Accounts.register_with_pin`."""
        before = self._store.devices.get(account.address)
        if before is not None and _is_outdated(account, before.account):
            return RegistrationSpent.OLDER_STATEMENT
        pin = None if before is None else before.pin
        if pin is not None and not hmac.compare_digest(pin.hash, pin_hash):
            return RegistrationSpent.WRONG_PIN
        if not self._store.use_invite(invite):
            return RegistrationSpent.INVITE_SPENT
        return self._replace(account, pin, now)

    async def set_pin(self, where: DeviceAddress, pin: StoredPin | None) -> bool:
        """See `ports.Accounts.set_pin`."""
        device = self._store.device(where)
        if device is not None:
            device.pin = pin
        return device is not None

    def _replace(self, account: NewAccount, pin: StoredPin | None, now: float) -> Registered:
        displaced = self._store.remove(account.address, NoticeKind.TAKEN_OVER)
        self._store.devices[account.address] = _new_device(account, pin, now)
        return Registered(displaced)

    async def record_login(self, where: DeviceAddress, at: int, now: float) -> None:
        """See `ports.Accounts.record_login`."""
        device = self._store.device(where)
        if device is not None:
            device.used_at = now
            device.account = replace(device.account, last_login_at=at)

    async def set_presence(self, where: DeviceAddress, token_hash: bytes, hidden: bool) -> bool:
        """See `ports.Accounts.set_presence`."""
        device = self._store.device(where)
        if device is not None:
            device.account = replace(device.account, token_hash=token_hash, hidden=hidden)
        return device is not None

    async def set_identity(self, where: DeviceAddress, identity: bytes | None) -> bool:
        """See `ports.Accounts.set_identity`."""
        device = self._store.device(where)
        if device is not None:
            device.identity = identity
            device.account = replace(device.account, has_identity=identity is not None)
        return device is not None

    async def identity(self, address: Address) -> bytes | None:
        """See `ports.Accounts.identity`."""
        device = self._store.devices.get(address)
        return None if device is None else device.identity

    async def delete(
        self, address: Address, now: float, device: DeviceId | None = None
    ) -> DeviceId | None:
        """See `ports.Accounts.delete`."""
        found = self._store.devices.get(address)
        if found is not None and device not in (None, found.account.device):
            return None
        return self._store.remove(address, NoticeKind.DELETED)

    async def log_out(self, address: Address) -> DeviceId | None:
        """See `ports.Accounts.log_out`."""
        device = self._store.devices.get(address)
        if device is None:
            return None
        device.account = replace(device.account, logged_out=True)
        return device.account.device

    async def expire_unused(self, now: float, unused_seconds: float) -> int:
        """See `ports.Accounts.expire_unused`."""
        before = now - unused_seconds
        devices = self._store.devices.values()
        unused = [device for device in devices if device.keys.lasting and device.used_at <= before]
        for device in unused:
            device.keys.lasting.clear()
            device.keys.stock.clear()
        return len(unused)

    async def count(self) -> int:
        """See `ports.Accounts.count`."""
        return len(self._store.devices)


def _is_outdated(account: NewAccount, before: Account) -> bool:
    if account.account_key != before.account_key:
        return False
    if account.generation == before.generation:
        return account.statement_hash != before.statement_hash
    return account.generation < before.generation


def _new_device(new: NewAccount, pin: StoredPin | None, now: float) -> Device:
    account = Account(
        address=new.address,
        device=new.device,
        account_key=new.account_key,
        device_signing_key=new.device_signing_key,
        generation=new.generation,
        statement=new.statement,
        statement_hash=new.statement_hash,
        token_hash=None,
        hidden=False,
        last_login_at=None,
    )
    keys = Keys({"signed": new.signed_prekey, "last_resort": new.last_resort_prekey})
    return Device(account, now, keys, pin)
