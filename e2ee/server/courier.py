"""Takes envelopes from senders to the seats of their recipients, and what became of them back.

Knows who may send what to whom and which answer a sender gets (`docs/protocol.md`, "Delivery"); not
how a seat decides. Sends of one connection are admitted one after the other, so that their order
survives every look-up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hmac import compare_digest

from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.errors import InvalidAddress, StoreError
from e2ee.ids import Address, envelope_digest
from e2ee.server.counters import Counters, Limit
from e2ee.server.deliveries import Deliveries
from e2ee.server.eager import run_eagerly
from e2ee.server.known_accounts import KnownAccounts, shows_token
from e2ee.server.lookups import LookUps
from e2ee.server.peer import Peer
from e2ee.server.policy import HELD_RECIPIENTS, Policy
from e2ee.server.presence import Presence
from e2ee.server.refusal import UNAVAILABLE_RETRY_SECONDS, Refusal, unavailable
from e2ee.server.seat_terms import Entry, Outcome, Waiter
from e2ee.server.state_tokens import StateTokens
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.server.ports import Account
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode
from e2ee.wire.violations import ProtocolViolation

FULL_RETRY_SECONDS = 30.0
"""A mailbox or a share empties when its owner comes back, and then within seconds. The same for owners
who are here and who are not, so that nobody reads that from it."""
SEAT_RETRY_SECONDS = 1.0
"""A seat's queue is several commits long: they are over by then."""


Answer = Callable[[m.Message], None]
"""Where the one answer to a `Send` goes: Accepted, StaleDevice, or Refused with its number."""

# By their classes, Python 3.11 calls a function for each: too dear for every message.
_DELIVERED, _TOLD_DELIVERED = Outcome.DELIVERED, m.Outcome.DELIVERED


class _Submit(Waiter, gc=False):
    """Who waits for the answer to a `Send`, and what is needed of it until then: the message itself, of
    which there may be many on their way, is not kept. `began` is service time in seconds."""

    peer: Peer
    n: int
    number: Address
    state_token: bytes
    answer: Answer
    began: float


class Courier:
    """One for the server."""

    _log = Logger()

    def __init__(
        self,
        deliveries: Deliveries,
        accounts: KnownAccounts,
        presence: Presence,
        tokens: StateTokens,
        limits: MemoryLimits,
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
        self._rate = policy.messages()
        self._now = now
        self._counters = counters
        self._lanes: dict[Peer, deque[tuple[_Submit, m.Send]]] = {}
        """What waits behind the send whose recipient is being looked up."""
        deliveries.reached = self._reached

    def apply(self, policy: Policy) -> None:
        """Go on with other limits."""
        self._rate = policy.messages()
        self.lookups.limit = policy.lookups_per_day

    def submit(self, peer: Peer, message: m.Send, answer: Answer) -> None:
        """Carry an envelope; it is answered after the recipient's acknowledgement or the commit.

        Refused with UNKNOWN_RECIPIENT, RATE_LIMITED, QUOTA, MAILBOX_FULL, BUSY, UNAVAILABLE; and with
        HELD every later send to that recipient until one says `restart`. Raises ProtocolViolation for
        what is no number.
        """
        account = self._accounts.remembered(message.number)
        number = _judged(message.number) if account is None else account.address
        submit = _Submit(False, peer, message.n, number, message.state_token, answer, self._now())
        lane = self._lanes.get(peer)
        if lane is None:
            self._admit(submit, message, account, submit.began)
        else:
            lane.append((submit, message))

    def _admit(self, submit: _Submit, message: m.Send, account: Account | None, now: float) -> None:
        """Everything before the seat: at once, unless the recipient has to be looked up."""
        refusal = self._forbidden(submit, message.restart, now)
        if refusal is not None:
            self._refuse(submit, refusal)
            return
        if account is not None and compare_digest(account.statement_hash, message.statement_hash):
            self._hand_over(submit, message, account, now)
            return
        looking_up = run_eagerly(self._look_up(submit, message))
        if looking_up is not None:
            self._lanes[submit.peer] = deque()
            looking_up.addCallback(lambda _: self._admit_next(submit.peer))
            looking_up.addErrback(self._failed, submit.peer)

    def _admit_next(self, peer: Peer) -> None:
        for submit, message in self._lanes.pop(peer):
            lane = self._lanes.get(peer)
            if lane is not None:
                lane.append((submit, message))
            elif peer.ready:
                self._admit(submit, message, self._accounts.remembered(submit.number), self._now())
            else:
                self._refuse(submit, unavailable())

    def _failed(self, failure: Failure, peer: Peer) -> None:
        """A defect of ours: it costs this connection, and all that waits on it. Its text stays out of the
        log."""
        self._log.error("a send has failed: {kind}", kind=type(failure.value).__name__)
        self._lanes.pop(peer, None)
        peer.abort()

    def _forbidden(self, submit: _Submit, restart: bool, now: float) -> Refusal | None:
        """What is judged without the recipient."""
        number, peer = submit.number, submit.peer
        if restart:
            peer.held.discard(number)
        elif number in peer.held:
            return Refusal(*_REFUSALS[Outcome.HELD])
        own = peer.where.address
        if number == own:
            return Refusal(RefusalCode.UNKNOWN_RECIPIENT, "this is your own number")
        wait = self._limits.take_now("messages", own, self._rate, now)
        if wait > 0:
            sentence = "too many messages in a short time"
            return Refusal(RefusalCode.RATE_LIMITED, sentence, wait, Limit.MESSAGES)
        return None

    async def _look_up(self, submit: _Submit, message: m.Send) -> None:
        """For an account that is not in memory, or has another device than the one that was sent to."""
        try:
            account = await self._accounts.find(submit.number)
            if not submit.peer.ready:
                # Displaced or logged out meanwhile: nothing of it is processed from then on.
                raise unavailable()
            if account is not None and compare_digest(account.statement_hash, message.statement_hash):
                self._hand_over(submit, message, account, self._now())
            else:
                submit.answer(await self._stale(submit))
        except (Refusal, StoreError) as error:
            self._refuse(submit, error)

    def _hand_over(self, submit: _Submit, message: m.Send, account: Account, now: float) -> None:
        """To the seat; `delivered`, and the fast path, only for those who may see the recipient."""
        where, envelope, peer = account.where, message.envelope, submit.peer
        # Who has shown it on this connection has it: an account with another token is another object.
        known = message.token is not None and (account is peer.shown or shows_token(account, message.token))
        if known:
            peer.shown = account
        submit.may_know = self._presence.may_see(account, known)
        key = peer.mark + envelope_digest(envelope)
        entry = Entry(key, where, peer.where, envelope, known, submit.state_token, (submit,))
        self._deliveries.to(where).submit(entry, now)

    def _reached(self, submit: _Submit, outcome: Outcome) -> None:
        """What became of it; called from within the recipient's delivery, which no defect here may reach.

        The sender's state token is where it must be before he is told.
        """
        try:
            if outcome is _DELIVERED:
                self._tokens.note(submit.peer.where, submit.state_token)
                counters = self._counters
                counters.delivered += 1
                counters.submit_seconds.observe(self._now() - submit.began)
                submit.answer(m.Accepted(submit.n, _TOLD_DELIVERED))
            elif outcome is Outcome.STORED:
                self._stored(submit)
            elif outcome in _REFUSALS:
                self._refuse(submit, Refusal(*_REFUSALS[outcome]))
            else:
                later = run_eagerly(self._answer_later(submit, outcome))
                if later is not None:
                    later.addErrback(self._failed, submit.peer)
        except Exception:
            self._failed(Failure(), submit.peer)

    async def _answer_later(self, submit: _Submit, outcome: Outcome) -> None:
        """Outcomes that need the database once more."""
        try:
            if outcome is Outcome.SET_ASIDE:
                # Told as `stored`, and no row of the mailbox has the token with it.
                await self._tokens.write(submit.peer.where, submit.state_token)
                self._stored(submit)
            else:
                # What has taken the device away may have been in the same commit, and is not reported yet.
                self._accounts.forget(submit.number)
                submit.answer(await self._stale(submit))
        except (Refusal, StoreError) as error:
            self._refuse(submit, error)

    def _stored(self, submit: _Submit) -> None:
        self._counters.stored += 1
        self._counters.submit_seconds.observe(self._now() - submit.began)
        submit.answer(m.Accepted(submit.n, m.Outcome.STORED))

    def _refuse(self, submit: _Submit, error: Refusal | StoreError) -> None:
        """A refusal never lets a later message of the same pair pass."""
        refusal = error if isinstance(error, Refusal) else unavailable()
        held = submit.peer.held
        held.add(submit.number)
        if len(held) > HELD_RECIPIENTS:
            submit.peer.abort()
        self._counters.refused(m.Send, refusal.code, refusal.limit)
        submit.answer(refusal.answer(submit.n))

    async def _stale(self, submit: _Submit) -> m.StaleDevice:
        """The envelope is for a device that is not there: say which one is. Counts as a look-up."""
        self.lookups.charge(submit.peer.where.address, submit.number)
        account = await self._accounts.find(submit.number)
        if account is None:
            raise Refusal(RefusalCode.UNKNOWN_RECIPIENT, "nobody has registered this number here")
        identity = await self._accounts.identity_of(account)
        self._counters.stale += 1
        return m.StaleDevice(submit.n, account.statement, identity)


def _judged(number: str) -> Address:
    """Only of numbers that nobody here is known by: see `Recipient`."""
    try:
        return Address(number)
    except InvalidAddress:
        raise ProtocolViolation(RefusalCode.MALFORMED, "this is not a number") from None


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
