"""Takes envelopes from senders to the seats of their recipients, and acknowledgements back.

Knows who may send what to whom and which answer a sender gets (`docs/protocol.md`, "Delivery"); not
how a seat decides. Sends of one connection are admitted one after the other, so that their order
survives every look-up.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredLock

from e2ee.errors import StoreError
from e2ee.ids import Address, EnvelopeId
from e2ee.server.counters import Counters, Limit
from e2ee.server.deliveries import Deliveries
from e2ee.server.known_accounts import KnownAccounts, shows_token
from e2ee.server.lookups import LookUps
from e2ee.server.peer import Peer
from e2ee.server.policy import Policy
from e2ee.server.presence import Presence
from e2ee.server.refusal import UNAVAILABLE_RETRY_SECONDS, Refusal, unavailable
from e2ee.server.seat_terms import Outcome
from e2ee.server.state_tokens import StateTokens
from e2ee.store.server.ports import Account, Limits, MailItem
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode

FULL_RETRY_SECONDS = 30.0
"""A mailbox or a share empties when its owner comes back, and then within seconds. The same for owners
who are here and who are not, so that nobody reads that from it."""
SEAT_RETRY_SECONDS = 1.0
"""A seat's queue is several commits long: they are over by then."""


class Courier:
    """One for the server."""

    def __init__(
        self,
        deliveries: Deliveries,
        accounts: KnownAccounts,
        presence: Presence,
        tokens: StateTokens,
        limits: Limits,
        lookups: LookUps,
        policy: Policy,
        now: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._deliveries = deliveries
        self._accounts = accounts
        self._presence = presence
        self._tokens = tokens
        self._limits = limits
        self.lookups = lookups
        self.policy = policy
        self._now = now
        self._counters = counters
        self._lanes: WeakKeyDictionary[Peer, DeferredLock] = WeakKeyDictionary()

    async def submit(self, peer: Peer, message: m.Send) -> m.Accepted | m.StaleDevice:
        """Carry an envelope; returns after the recipient's acknowledgement or the commit.

        Raises Refusal: UNKNOWN_RECIPIENT, RATE_LIMITED, QUOTA, MAILBOX_FULL, BUSY, UNAVAILABLE; and
        HELD for every later send to that recipient until one says `restart`.
        """
        address = Address(message.number)
        began = self._now()
        try:
            outcome = await self._admitted(peer, address, message)
            if isinstance(outcome, m.StaleDevice):
                return outcome
            reached = await outcome
            if reached is Outcome.NO_DEVICE:
                return await self._stale(peer, address, message.n)
            if reached in _REFUSALS:
                raise Refusal(*_REFUSALS[reached])
            reached = await self._with_token(peer, reached, message.state_token)
        except Refusal:
            peer.held.add(address)
            raise
        except StoreError:
            peer.held.add(address)
            raise unavailable() from None
        self._count(reached, self._now() - began)
        return m.Accepted(message.n, m.Outcome(reached.value))

    def _count(self, reached: Outcome, seconds: float) -> None:
        counters = self._counters
        counters.submit_seconds.observe(seconds)
        if reached is Outcome.DELIVERED:
            counters.delivered += 1
        else:
            counters.stored += 1

    async def _with_token(self, peer: Peer, reached: Outcome, token: bytes) -> Outcome:
        """What the sender is told, when his state token is where it must be then."""
        if reached is Outcome.DELIVERED:
            self._tokens.note(peer.where, token)
        elif reached is Outcome.SET_ASIDE:
            # Told as `stored`, and no row of the mailbox has the token with it.
            await self._tokens.write(peer.where, token)
            return Outcome.STORED
        return reached

    async def _admitted(
        self, peer: Peer, address: Address, message: m.Send
    ) -> Deferred[Outcome] | m.StaleDevice:
        """Everything before the seat, in the order of arrival."""
        lane = self._lanes.setdefault(peer, DeferredLock())
        await lane.acquire()
        try:
            if message.restart:
                peer.held.discard(address)
            elif address in peer.held:
                raise Refusal(*_REFUSALS[Outcome.HELD])
            return await self._offered(peer, address, message)
        except (Refusal, StoreError):
            # Before the next one is admitted: a refusal never lets a later message pass.
            peer.held.add(address)
            raise
        finally:
            lane.release()

    async def _offered(
        self, peer: Peer, address: Address, message: m.Send
    ) -> Deferred[Outcome] | m.StaleDevice:
        if address == peer.where.address:
            raise Refusal(RefusalCode.UNKNOWN_RECIPIENT, "this is your own number")
        await self._charge(peer)
        account = await self._accounts.find(address)
        if not peer.ready:
            # Displaced or logged out meanwhile: nothing of it is processed from then on.
            raise unavailable()
        if account is None or not hmac.compare_digest(account.statement_hash, message.statement_hash):
            return await self._stale(peer, address, message.n)
        return self._hand_over(peer, account, message)

    def _hand_over(self, peer: Peer, account: Account, message: m.Send) -> Deferred[Outcome]:
        """To the seat; `delivered`, and the fast path, only for those who may see the recipient."""
        item = MailItem(
            account.where,
            peer.where,
            EnvelopeId.of(message.envelope),
            message.envelope,
            known=shows_token(account, message.token),
            state_token=message.state_token,
        )
        may_know = self._presence.may_see(account, message.token)
        return self._deliveries.to(account.where).submit(item, may_know)

    async def _charge(self, peer: Peer) -> None:
        wait = await self._limits.take(
            "messages", peer.where.address, self.policy.messages(), self._now()
        )
        if wait > 0:
            raise Refusal(
                RefusalCode.RATE_LIMITED, "too many messages in a short time", wait, Limit.MESSAGES
            )

    async def _stale(self, peer: Peer, address: Address, number: int) -> m.StaleDevice:
        """The envelope is for a device that is not there: say which one is. Counts as a look-up."""
        self.lookups.charge(peer.where.address, address)
        account = await self._accounts.find(address)
        if account is None:
            raise Refusal(RefusalCode.UNKNOWN_RECIPIENT, "nobody has registered this number here")
        identity = await self._accounts.identity_of(account)
        self._counters.stale += 1
        return m.StaleDevice(number, account.statement, identity)

    def acknowledge(self, peer: Peer, message: m.Acknowledge) -> None:
        """The recipient has kept an envelope; raises WrongAcknowledgement."""
        delivery = self._deliveries.find(peer.where)
        if delivery is not None:
            delivery.acknowledge(peer, message)


_REFUSALS: dict[Outcome, tuple[RefusalCode, str, float | None, Limit | None]] = {
    Outcome.FULL: (
        RefusalCode.MAILBOX_FULL,
        "the recipient's mailbox is full",
        FULL_RETRY_SECONDS,
        Limit.MAILBOX,
    ),
    Outcome.QUOTA: (
        RefusalCode.QUOTA,
        "your share of the recipient's mailbox is used up",
        FULL_RETRY_SECONDS,
        Limit.MAILBOX_SHARE,
    ),
    Outcome.HELD: (RefusalCode.HELD, "an earlier message to this recipient was refused", None, None),
    Outcome.UNAVAILABLE: (
        RefusalCode.UNAVAILABLE,
        "the server cannot store anything now",
        UNAVAILABLE_RETRY_SECONDS,
        None,
    ),
    Outcome.BUSY: (
        RefusalCode.BUSY,
        "too much waits for this recipient",
        SEAT_RETRY_SECONDS,
        Limit.SEAT_QUEUE,
    ),
}
