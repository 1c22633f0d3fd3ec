"""Sessions of registration, in memory. Knows codes only as sealed bytes, and all that limits them.

See `e2ee.store.server.passcodes`.
"""

from __future__ import annotations

from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.memory.invites import shown_invite
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.state import MemoryStore, Session
from e2ee.store.server.invites import Shown, admits, bound_invite
from e2ee.store.server.passcodes import NUMBER_GUESSES, buckets
from e2ee.store.server.ports import (
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    NotInvited,
    PasscodeAllotted,
    PasscodeLimit,
    PasscodeLimits,
    PasscodeRequest,
)
from e2ee.store.server.waits import code_wait, codes_counted, session_wait


class MemoryPasscodes:
    """`ports.Passcodes` in memory."""

    def __init__(self, store: MemoryStore, limits: PasscodeLimits) -> None:
        self._store = store
        self._limits = limits
        self._buckets = MemoryLimits(store)

    def apply(self, limits: PasscodeLimits) -> None:
        """See `ports.Passcodes.apply`."""
        self._limits = limits

    async def request(self, request: PasscodeRequest, now: float) -> PasscodeAllotted | NotInvited:
        """See `ports.Passcodes.request`."""
        shown = shown_invite(self._store, request, now)
        if not admits(request.gate, shown):
            return NotInvited.NOT_INVITED
        if shown is not None and shown.privileged:
            self._store.invites[request.invite].privileges -= 1
        else:
            waits = self._waits(request, now)
            longest = max(waits, key=lambda name: waits[name])
            if waits[longest] > 0:
                return PasscodeAllotted(waits[longest], longest)
            self._charge(request, now)
        self._open(request, shown, now)
        return PasscodeAllotted()

    def _charge(self, request: PasscodeRequest, now: float) -> None:
        for name, key, bucket in buckets(self._limits, request):
            self._buckets.take_now(name, key, bucket, now)
        codes, last_at = self._store.waits.get(request.address, (0, 0.0))
        counted = codes_counted(self._limits, codes, last_at, now)
        self._store.waits[request.address] = (counted + 1, now)

    def _open(self, request: PasscodeRequest, shown: Shown | None, now: float) -> None:
        self._store.sessions[request.session] = Session(
            address=request.address,
            guesses_left=self._limits.guesses,
            expires_at=now + self._limits.life_seconds,
            sealed_code=request.sealed_code,
            invite=bound_invite(request, shown),
            privileged=shown is not None and shown.privileged,
        )

    async def guess(
        self, session: PasscodeSessionId, address: Address, now: float
    ) -> GuessAllowed | GuessRefused:
        """See `ports.Passcodes.guess`."""
        opened = self._store.sessions.get(session)
        if opened is None or opened.address != address or opened.expires_at <= now:
            return GuessRefused(GuessRefusal.UNKNOWN_SESSION)
        if not opened.guesses_left:
            return GuessRefused(GuessRefusal.EXHAUSTED)
        if not opened.privileged:
            refused = self._count_guess(address, now)
            if refused is not None:
                return refused
        opened.guesses_left -= 1
        return GuessAllowed(opened.sealed_code, counted=not opened.privileged)

    def _count_guess(self, address: Address, now: float) -> GuessRefused | None:
        breaker = self._limits.breaker
        wait = self._buckets.missing(PasscodeLimit.BREAKER, "", breaker, now)
        if wait:
            return GuessRefused(GuessRefusal.BREAKER, wait)
        wait = self._buckets.take_now(NUMBER_GUESSES, address, self._limits.number_guesses, now)
        if wait:
            return GuessRefused(GuessRefusal.LIMITED, wait)
        self._buckets.take_now(PasscodeLimit.BREAKER, "", breaker, now)
        return None

    async def expire(self, now: float) -> int:
        """See `ports.Passcodes.expire`."""
        for address, (_, last_at) in list(self._store.waits.items()):
            if last_at <= now - self._limits.waits_forget_seconds:
                del self._store.waits[address]
        for invite, made in list(self._store.invites.items()):
            if made.expires_at <= now - self._limits.life_seconds:
                del self._store.invites[invite]
        past = [session for session, opened in self._store.sessions.items() if opened.expires_at <= now]
        for session in past:
            del self._store.sessions[session]
        return len(past)

    def _waits(self, request: PasscodeRequest, now: float) -> dict[PasscodeLimit, float]:
        live = [
            opened.expires_at
            for opened in self._store.sessions.values()
            if opened.address == request.address and opened.expires_at > now and opened.guesses_left
        ]
        codes, last_at = self._store.waits.get(request.address, (0, 0.0))
        waits = {
            PasscodeLimit.LIVE_SESSIONS: session_wait(self._limits, live, now),
            PasscodeLimit.WAITS: code_wait(self._limits, codes, last_at, now),
        }
        for name, key, bucket in buckets(self._limits, request):
            waits[name] = self._buckets.missing(name, key, bucket, now)
        waits[PasscodeLimit.BREAKER] = self._buckets.missing(
            PasscodeLimit.BREAKER, "", self._limits.breaker, now
        )
        return waits
