"""Passcodes: made, sealed, counted and sent; later a guess at one is taken and the code opened.

Knows sessions, gates, the source of a request and the way out; not the wire, and not what a guess is
compared with (`registration`). Who has an account makes no difference to anything here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from e2ee.crypto.passcode_store import hash_invite, open_code, seal_code
from e2ee.errors import OpenFailed, StoreError
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.counters import Counters, Limit
from e2ee.server.limit_log import LimitLog
from e2ee.server.policy import CODE_RETRY_SECONDS
from e2ee.server.refusal import Refusal
from e2ee.server.senders.interface import CodeNotSent
from e2ee.store.server.ports import (
    Gate,
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    Limits,
    NotInvited,
    PasscodeAllotted,
    PasscodeLimit,
    PasscodeLimits,
    PasscodeRequest,
    Passcodes,
)
from e2ee.wire.messages import RefusalCode

Entropy = Callable[[int], bytes]

SOURCE_LIMIT = "codes_per_source"
SERVER_LIMITS = frozenset({PasscodeLimit.TOTAL, PasscodeLimit.PREFIX, PasscodeLimit.BREAKER})
"""Limits that say nothing about the number asked for: refused as such, and told to the operator."""

_CODES = 10**6
_CODE_ENTROPY_BYTES = 16
"""So many more bits than a code has that no code is likelier than another."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A session. With `retry_after` (seconds) nothing was sent, and it has no code."""

    session: PasscodeSessionId
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that was taken, and the code to compare it with. `counted`: among the server's guesses."""

    code: str = field(repr=False)
    counted: bool


class PasscodeOffice:
    """Issues codes and takes guesses, within the limits."""

    _log = Logger()

    def __init__(
        self,
        passcodes: Passcodes,
        limits: Limits,
        delivery: CodeDelivery,
        rules: PasscodeLimits,
        wall: Callable[[], float],
        now: Callable[[], float],
        entropy: Entropy,
        code_key: bytes,
        counters: Counters,
    ) -> None:
        """`now` is service time; `wall` gives seconds since 1970, for people; `code_key` seals codes."""
        self._passcodes = passcodes
        self._limits = limits
        self.delivery = delivery
        self.limits_reached = LimitLog(now)
        self.rules = rules
        self._wall = wall
        self._now = now
        self._entropy = entropy
        self._code_key = code_key
        self._counters = counters

    def apply(self, rules: PasscodeLimits) -> None:
        """Go on under other limits."""
        self.rules = rules
        self._passcodes.apply(rules)

    async def charge(self, source: str) -> None:
        """Charge the source, before anything else; raises Refusal (RATE_LIMITED)."""
        wait = await self._limits.take(SOURCE_LIMIT, source, self.rules.source, self._now())
        if wait > 0:
            raise _rate_limited(
                "too many passcodes and guesses from your address", wait, Limit.CODES_PER_SOURCE
            )

    async def issue(
        self, address: Address, gate: Gate = Gate.OPEN, invite: bytes = b""
    ) -> Issued | NotInvited:
        """A session for this number, its code on its way if gate and limits allow; raises Refusal.

        `invite` is what was shown. When this returns, the requester may be answered.
        """
        session = PasscodeSessionId(self._entropy(PasscodeSessionId.SIZE))
        code = self._new_code()
        sealed = seal_code(self._code_key, session, address, code, self._entropy)
        shown = hash_invite(invite) if invite else b""
        request = PasscodeRequest(session, address, address.country_code, sealed, gate, shown)
        allotted = await self._passcodes.request(request, self._now())
        if isinstance(allotted, NotInvited):
            return allotted
        if allotted.retry_after > 0:
            return self._withheld(session, allotted)
        await self._send(address, code)
        return Issued(session)

    async def guess(self, session: PasscodeSessionId, address: Address) -> Guess:
        """Take a guess; raises Refusal if there is none."""
        result = await self._passcodes.guess(session, address, self._now())
        if isinstance(result, GuessAllowed):
            return Guess(self._open(session, address, result.sealed_code), result.counted)
        if result.reason is GuessRefusal.BREAKER:
            self.limits_reached.note(PasscodeLimit.BREAKER)
        raise _guess_refused(result)

    async def was_right(self, guess: Guess) -> None:
        """The breaker counts wrong guesses: this was none.

        It comes within the few seconds that a connection has for a proof, sooner than one comes back
        by itself. If it cannot be stored, the breaker is a little stricter than it need be.
        """
        if guess.counted:
            try:
                await self._limits.give_back(PasscodeLimit.BREAKER, "", self.rules.breaker)
            except StoreError:
                self._log.warn("a right guess could not be given back")

    def _new_code(self) -> str:
        return f"{int.from_bytes(self._entropy(_CODE_ENTROPY_BYTES), 'big') % _CODES:06d}"

    def _withheld(self, session: PasscodeSessionId, allotted: PasscodeAllotted) -> Issued:
        limit = Limit(allotted.limit)
        self._counters.codes_withheld += 1
        if allotted.limit not in SERVER_LIMITS:
            self._counters.hit(limit)
            return Issued(session, float(math.ceil(allotted.retry_after)))
        self.limits_reached.note(allotted.limit)
        raise _rate_limited("this server sends no more passcodes for now", allotted.retry_after, limit)

    async def _send(self, address: Address, code: str) -> None:
        """Why it went wrong is the operator's to know; that it did, where the number is not the reason."""
        expires_at = int((self._wall() + self.rules.life_seconds) * 1000)
        try:
            await self.delivery.deliver(address, code, expires_at)
        except CodeNotSent:
            raise Refusal(
                RefusalCode.UNAVAILABLE,
                "the server could not send the passcode; its operator finds the reason in the log",
                CODE_RETRY_SECONDS,
            ) from None

    def _open(self, session: PasscodeSessionId, address: Address, sealed: bytes) -> str:
        try:
            return open_code(self._code_key, session, address, sealed)
        except OpenFailed:
            self._log.error("a stored passcode does not open: was server.secret changed?")
            raise _unknown_session() from None


def _guess_refused(refused: GuessRefused) -> Refusal:
    if refused.reason is GuessRefusal.EXHAUSTED:
        return Refusal(
            RefusalCode.CODE_EXHAUSTED,
            "no guess is left for this code: ask for a new one",
            None,
            Limit.SESSION_GUESSES,
        )
    if refused.reason is GuessRefusal.LIMITED:
        return _rate_limited("too many guesses for this number", refused.retry_after, Limit.GUESSES)
    if refused.reason is GuessRefusal.BREAKER:
        return _rate_limited(
            "too many wrong guesses on this server", refused.retry_after, Limit.WRONG_GUESSES
        )
    return _unknown_session()


def _unknown_session() -> Refusal:
    return Refusal(
        RefusalCode.UNKNOWN_SESSION, "this code was used, has expired or was never sent: ask for a new one"
    )


def _rate_limited(sentence: str, wait: float, limit: Limit) -> Refusal:
    return Refusal(RefusalCode.RATE_LIMITED, sentence, float(math.ceil(wait)), limit)
