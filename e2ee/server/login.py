"""Lets a device in: who it is, its place in its mailbox, and what it is told first.

Knows accounts, signatures and the order of a login; not frames. Whatever is wrong with a login gets
one answer after the same work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from e2ee.crypto.keys import DeviceSigningKey
from e2ee.crypto.signing import verify_login
from e2ee.errors import CryptoError, StoreError, StoreUnavailable
from e2ee.ids import Address, DeviceId
from e2ee.server.counters import Counters
from e2ee.server.deliveries import Deliveries
from e2ee.server.delivery import Delivery
from e2ee.server.peer import Peer
from e2ee.server.presence import Presence
from e2ee.server.refusal import Refusal
from e2ee.server.state_tokens import StateTokens
from e2ee.store.server.ports import Account, Accounts, Attached, PreKeys
from e2ee.wire.messages import LoggedIn, LogIn, RefusalCode

_NOBODYS_KEY = bytes([0x58]) + bytes([0x66]) * 31
"""The base point of Ed25519: a well-formed key, verified against where there is no account."""
_NOBODYS_STATEMENT = bytes(32)


@dataclass(frozen=True, slots=True)
class Entered:
    """A login that is done but not answered yet."""

    account: Account
    delivery: Delivery
    attached: Attached
    answer: LoggedIn


class Login:
    """One for the server. `wall` gives seconds since 1970, `now` service time."""

    _log = Logger()

    def __init__(
        self,
        accounts: Accounts,
        prekeys: PreKeys,
        deliveries: Deliveries,
        presence: Presence,
        tokens: StateTokens,
        wall: Callable[[], float],
        now: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._accounts = accounts
        self._prekeys = prekeys
        self._deliveries = deliveries
        self._presence = presence
        self._tokens = tokens
        self._wall = wall
        self._now = now
        self._counters = counters

    async def identify(self, message: LogIn, exporter: bytes) -> Account:
        """The account that has signed this login on this connection; raises Refusal (LOGIN_REFUSED)."""
        address, device = Address(message.number), DeviceId(message.device)
        account = await self._accounts.find(address)
        known = account is not None and account.device == device and not account.logged_out
        key = account.device_signing_key if known and account else _NOBODYS_KEY
        statement_hash = account.statement_hash if known and account else _NOBODYS_STATEMENT
        try:
            verify_login(
                DeviceSigningKey(key), exporter, address, device, statement_hash, message.signature
            )
        except CryptoError:
            raise _refused() from None
        if account is None or not known:
            raise _refused()
        return account

    async def enter(self, peer: Peer, account: Account, number: int) -> Entered:
        """Take the device's place; an older connection is displaced. Raises Refusal."""
        began = self._now()
        try:
            stock = await self._prekeys.stock(account.where)
            await self._write_token(account)
            delivery = self._deliveries.to(account.where)
            attached = await delivery.attach(peer)
        except StoreError:
            self._given_up(peer, account)
            raise
        if attached is None:
            self._given_up(peer, account)
            raise _refused()
        # From here on nothing fails: whoever has arrived leaves again only by its epoch.
        self._presence.arrive(account, attached.epoch)
        try:
            await self._accounts.record_login(account.where, int(self._wall() * 1000), self._now())
        except StoreUnavailable:
            self._log.warn("a login was not recorded: there is no room on the disk")
        answer = LoggedIn(
            number, account.last_login_at, attached.waiting, stock.one_time, stock.kem_one_time,
            attached.state_token,
        )  # fmt: skip
        self._counters.logins += 1
        self._counters.login_seconds.observe(self._now() - began)
        return Entered(account, delivery, attached, answer)

    async def _write_token(self, account: Account) -> None:
        """Before `attach` reads it."""
        try:
            await self._tokens.write(account.where)
        except StoreUnavailable:
            self._log.warn("a state token was not written: there is no room on the disk")

    def begin(self, peer: Peer, entered: Entered) -> None:
        """The answer has been sent: what waits is pushed from now on."""
        entered.delivery.begin(peer, entered.attached)

    def leave(self, peer: Peer, epoch: int | None, displaced: bool) -> None:
        """The connection is gone. A displaced one leaves its presence to the newer."""
        where = peer.where
        delivery = self._deliveries.find(where)
        if delivery is not None:
            delivery.lost(peer)
        self._presence.unwatch(peer)
        self._tokens.left(where)
        if epoch is not None and not displaced:
            self._presence.leave(where.address, where.device, epoch)

    def _given_up(self, peer: Peer, account: Account) -> None:
        """A login that had displaced another is over itself: nobody is there unless a newer one is."""
        delivery = self._deliveries.find(account.where)
        if delivery is None or delivery.peer in (None, peer):
            self._presence.vacate(account.address, account.device)


def _refused() -> Refusal:
    return Refusal(RefusalCode.LOGIN_REFUSED, "this number and device cannot log in with this signature")
