"""Who has which keys: look-ups, bundles, and what devices publish.

Knows the limits of the directory and verifies what is uploaded; not what a client does with a
bundle. Limits never refuse a bundle: beyond them it comes without one-time keys.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from e2ee.errors import CryptoError
from e2ee.ids import Address, DeviceAddress
from e2ee.server.counters import Counters, Limit
from e2ee.server.known_accounts import KnownAccounts, shows_token
from e2ee.server.lookups import LookUps
from e2ee.server.policy import KEM_ONE_TIME_LOW_WATER, ONE_TIME_LOW_WATER, Policy
from e2ee.server.refusal import Refusal, logged_out
from e2ee.server.uploads import verified_upload
from e2ee.store.server.ports import Account, Limits, PreKeys, Stock, UploadRefused
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode

T = TypeVar("T")


class InThread(Protocol):
    """Runs a function off the reactor's thread."""

    def __call__(self, step: Callable[[], T], /) -> Awaitable[T]:
        """What `step` returns, or raises."""


class Directory:
    """One for the server. `stock_low` is told of each device whose one-time keys run low."""

    def __init__(
        self,
        accounts: KnownAccounts,
        prekeys: PreKeys,
        limits: Limits,
        lookups: LookUps,
        policy: Policy,
        now: Callable[[], float],
        in_thread: InThread,
        stock_low: Callable[[DeviceAddress, Stock], None],
        counters: Counters,
    ) -> None:
        self._accounts = accounts
        self._prekeys = prekeys
        self._limits = limits
        self._lookups = lookups
        self.policy = policy
        self._now = now
        self._in_thread = in_thread
        self._stock_low = stock_low
        self._counters = counters

    async def look_up(self, asker: Address, message: m.LookUp) -> m.LookedUp:
        """The account statement of a number. Raises Refusal: RATE_LIMITED, UNKNOWN_RECIPIENT."""
        account = await self._account(asker, Address(message.number))
        return m.LookedUp(message.n, account.statement, await self._accounts.identity_of(account))

    async def fetch_bundle(self, asker: Address, message: m.FetchBundle) -> m.Bundle:
        """What a first message needs. Raises Refusal: RATE_LIMITED, UNKNOWN_RECIPIENT."""
        account = await self._account(asker, Address(message.number))
        keys = await self._prekeys.take(account.where, await self._one_time(account, message.token))
        if keys is None:
            raise _unknown()
        if is_low(keys.stock):
            self._stock_low(account.where, keys.stock)
        one_time = keys.one_time
        return m.Bundle(
            message.n,
            account.statement,
            keys.signed_prekey,
            keys.kem_prekey,
            None if one_time is None else m.OneTimePreKey(one_time.key_id, one_time.encoded),
            await self._accounts.identity_of(account),
        )

    async def set_identity(self, where: DeviceAddress, message: m.SetIdentity) -> m.Done:
        """Hand this X.509 identity out with the statement, or none. Raises Refusal: LOGGED_OUT.

        It is not looked into: to whom it proves something decides whom he trusts, and the server is
        not among them.
        """
        if not await self._accounts.set_identity(where, message.identity):
            raise logged_out()
        return m.Done(message.n)

    async def publish(self, where: DeviceAddress, message: m.Publish) -> m.Published:
        """Store prekeys, each verified against the device's signing key.

        Raises Refusal: KEY_REFUSED, CONFLICT (an id that exists with other content), QUOTA (more
        than the stock may hold), LOGGED_OUT.
        """
        account = await self._accounts.find(where.address)
        if account is None or account.device != where.device:
            raise logged_out()
        try:
            upload = await self._in_thread(lambda: verified_upload(account, message))
        except CryptoError:
            raise Refusal(
                RefusalCode.KEY_REFUSED, "a key or a signature of this upload does not verify"
            ) from None
        stock = await self._prekeys.publish(where, upload)
        if isinstance(stock, UploadRefused):
            raise _UPLOAD_REFUSALS[stock]()
        return m.Published(message.n, stock.one_time, stock.kem_one_time)

    async def _account(self, asker: Address, number: Address) -> Account:
        if number != asker:
            self._lookups.charge(asker, number)
        account = await self._accounts.find(number)
        if account is None:
            raise _unknown()
        return account

    async def _one_time(self, account: Account, token: bytes | None) -> bool:
        """Whether this bundle takes from the stock: contacts always, others from a bucket."""
        if shows_token(account, token):
            return True
        bucket = self.policy.bundles()
        if await self._limits.take("bundles_per_target", account.address, bucket, self._now()) <= 0:
            return True
        self._counters.hit(Limit.BUNDLES)
        return False


def is_low(stock: Stock) -> bool:
    """Whether the owner should refill."""
    return stock.one_time < ONE_TIME_LOW_WATER or stock.kem_one_time < KEM_ONE_TIME_LOW_WATER


def _unknown() -> Refusal:
    return Refusal(RefusalCode.UNKNOWN_RECIPIENT, "nobody has registered this number here")


_UPLOAD_REFUSALS: dict[UploadRefused, Callable[[], Refusal]] = {
    UploadRefused.CONFLICT: lambda: Refusal(
        RefusalCode.CONFLICT, "a key with this id was published with other content"
    ),
    UploadRefused.STOCK_FULL: lambda: Refusal(
        RefusalCode.QUOTA, "the stock of one-time keys would hold too many", None, Limit.PREKEY_STOCK
    ),
    UploadRefused.NO_DEVICE: logged_out,
}
