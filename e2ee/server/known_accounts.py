"""Accounts in memory, so that the fast path never asks the disk.

Knows when an account has changed only if it is told (`forget`); all changes pass through this
server. Unknown numbers are not remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from hmac import compare_digest

from e2ee.ids import Address, DeviceAddress
from e2ee.store.server.ports import Account, Accounts

REMEMBERED_ACCOUNTS = 10_000
"""About 10 MB; those that are in use are kept."""


class KnownAccounts:
    """A bounded memory before `ports.Accounts.find`."""

    def __init__(self, accounts: Accounts, remembered: int = REMEMBERED_ACCOUNTS) -> None:
        self._accounts = accounts
        self._most = remembered
        self._known: dict[str, Account] = {}
        self._older: dict[str, Account] = {}
        """Those that `_known` had when all were last there; who is asked for goes back to it. So those in use
        stay, at the price of one look-up."""
        self._next_to_go: Iterator[str] = iter(())
        self._changes = 0

    def remembered(self, number: str) -> Account | None:
        """The account of this number, if it is in memory."""
        known = self._known.get(number)
        if known is None and (known := self._older.pop(number, None)) is not None:
            self._known[known.address] = known
        return known

    async def find(self, address: Address) -> Account | None:
        """The account of this number."""
        known = self.remembered(address)
        if known is not None:
            return known
        changes = self._changes
        found = await self._accounts.find(address)
        if found is not None and changes == self._changes:
            # Otherwise something was changed while the database was read: this may be the old state.
            self._remember(found)
        return found

    def _remember(self, account: Account) -> None:
        if len(self._known) + len(self._older) >= self._most:
            self._make_room()
        self._known[account.address] = account

    def _make_room(self) -> None:
        """The oldest of those goes that were not asked for since all of these were."""
        if not self._older:
            self._known, self._older = {}, self._known
            self._next_to_go = iter(list(self._older))
        for number in self._next_to_go:
            if self._older.pop(number, None) is not None:
                return

    async def identity_of(self, account: Account) -> bytes | None:
        """The X.509 identity kept with an account. Not remembered: it is long, and seldom asked for."""
        return await self._accounts.identity(account.address) if account.has_identity else None

    async def set_identity(self, where: DeviceAddress, identity: bytes | None) -> bool:
        """Keep another one with the account of this device, or none; False if the device is gone."""
        found = await self._accounts.set_identity(where, identity)
        self.forget(where.address)
        return found

    def forget(self, address: Address) -> None:
        """This account has been changed on disk."""
        self._changes += 1
        self._known.pop(address, None)
        self._older.pop(address, None)


def shows_token(account: Account, token: bytes | None) -> bool:
    """Whether `token` is the contact token of this account."""
    if token is None or account.token_hash is None:
        return False
    return compare_digest(sha256(token).digest(), account.token_hash)
