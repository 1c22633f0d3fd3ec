"""Registration, from asking for a passcode to a profile that the server knows.

Knows the order of the steps and how a registration goes on that was cut off; not where codes come
from, how the vault was opened, nor what one proof consists of. See `docs/protocol.md`, section 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from e2ee.client.deadline import Deadline
from e2ee.client.link import log_in
from e2ee.client.linking.channel import Channel, Connect
from e2ee.client.linking.dialling import Dialler
from e2ee.client.refusals import Refusal
from e2ee.client.registering.code_sources import CodeSource
from e2ee.client.registering.passcode_run import FORGOTTEN, CodeOver, PasscodeRun
from e2ee.client.registering.pending_state import PendingState
from e2ee.client.registering.pin_sources import GivenPin, PinSource
from e2ee.client.threads import InThread
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.passcode_proof import is_code
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId, PasscodeSessionId
from e2ee.store.client.identity import PasscodeSession
from e2ee.wire import messages as m

GUESSES = 5
"""Of one session, as the server counts them; it has the last word."""

_WAITING = frozenset({Code.RATE_LIMITED, Code.BUSY, Code.UNAVAILABLE})
"""Refusals with which the server has not begun a run: after the wait the same code may be run."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A profile that the server knows. `fingerprint`: SHA-256 of the account key, in hex."""

    address: Address
    device: DeviceId
    fingerprint: str

    @classmethod
    def of(cls, own: OwnDevice) -> Registration:
        """What is shown of this identity."""
        account_key = own.statement.account_key.raw
        return cls(own.address, own.device, hashlib.sha256(account_key).hexdigest())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an enrolment works with. `notice` tells the user what happens, a sentence at a time;
    `wall` gives seconds since 1970."""

    clock: IReactorTime
    in_thread: InThread
    entropy: Callable[[int], bytes]
    connect: Connect
    notice: Callable[[str], None]
    wall: Callable[[], float]

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.wall() * 1000)


class Enrolment:
    """One registration. `codes` gives the code, `pins` the registration PIN of an account that may be
    there, `deadline` bounds all that no person does."""

    def __init__(
        self,
        state: PendingState,
        codes: CodeSource,
        around: Surroundings,
        deadline: Deadline,
        *,
        pins: PinSource | None = None,
        invite: bytes = b"",
        again: bool = False,
        suite: KemSuite = KemSuite.ML_KEM_1024,
    ) -> None:
        self._state = state
        self._codes = codes
        self._pins = pins or GivenPin("")
        self._pin: str | None = None
        self._around = around
        self._deadline = deadline
        self._invite = invite
        self._again = again
        self._suite = suite
        self._dialler = Dialler(around.clock, around.connect, deadline, around.entropy)

    async def register(self) -> Registration:
        """Register the number; returns once the identity is in the vault.

        Raises Failure: ALREADY_REGISTERED, WRONG_CODE, CODE_EXHAUSTED, REGISTRATION_CLOSED,
        WRONG_PIN, PIN_REQUIRED, RATE_LIMITED and other limits with `retry_after`, TIMEOUT (no code
        came), UNREACHABLE, and those of trust.
        """
        if self._state.proved and (resumed := await self._resume()) is not None:
            return resumed
        if self._state.registered is not None and not self._again:
            raise Failure(
                Code.ALREADY_REGISTERED,
                f"this profile is registered as {self._state.registered.address};"
                " --again makes new keys and keeps its history",
            )
        session = self._state.session(self._around.now(), GUESSES)
        if session is None:
            session = await self._request_code()
        else:
            self._around.notice("going on with the code that was asked for before")
        return await self._prove(session)

    # --- a registration that was cut off ------------------------------------------------------

    async def _resume(self) -> Registration | None:
        """Log in with the pending keys: whether the server has them tells it all."""
        own = self._state.own
        if own is None:
            return None
        try:
            await self._dialler.converse(self._state.server, lambda channel: log_in(channel, own))
        except Refusal as refusal:
            if refusal.refusal is not m.RefusalCode.LOGIN_REFUSED:
                raise
            await self._state.refused()
            return None
        return await self._adopt(own)

    async def _adopt(self, own: OwnDevice) -> Registration:
        await self._state.adopt(self._around.now())
        return Registration.of(own)

    # --- connection 1: a code -----------------------------------------------------------------

    async def _request_code(self) -> PasscodeSession:
        while True:
            try:
                return await self._dialler.converse(self._state.server, self._ask_for_code)
            except Failure as failure:
                if failure.code not in _WAITING:
                    raise
                self._say_wait(failure)
                await self._dialler.wait_out(failure)

    async def _ask_for_code(self, channel: Channel) -> PasscodeSession:
        request = m.RequestCode(0, str(self._state.address), self._invite)
        answer = await channel.ask(request, m.CodeRequested)
        if answer.retry_after is not None:
            raise Failure(
                Code.RATE_LIMITED, "the server sends no further code yet", retry_after=answer.retry_after
            )
        until = self._around.now() + int(answer.expires_in * 1000)
        session = PasscodeSession(PasscodeSessionId(answer.session), until)
        await self._state.begin(session)
        self._around.notice(f"a code was asked for; the server sends it to {self._state.address}")
        return session

    def _say_wait(self, failure: Failure) -> None:
        if failure.retry_after is not None and self._deadline.allows(failure.retry_after):
            self._around.notice(f"{failure.sentence}; waiting {failure.retry_after:.0f} s")

    # --- the code -----------------------------------------------------------------------------

    async def _read_code(self) -> str:
        """A code that may be run. One that may not is refused, or asked for again from a person."""
        while True:
            code = await self._next_code()
            if not is_code(code):
                problem = "a code is exactly six digits"
            elif await self._state.is_burnt(code, self._around.now()):
                problem = f"this code was run against a server that did not prove itself; {FORGOTTEN}"
            else:
                return code
            if not self._codes.interactive:
                raise Failure(Code.WRONG_CODE, problem)
            self._around.notice(problem)

    async def _next_code(self) -> str:
        if not self._codes.timed:
            with self._deadline.paused():
                return await self._codes.code()
        waiting = Deferred.fromCoroutine(self._codes.code())
        left = self._deadline.left()
        if left is not None:
            waiting.addTimeout(left, self._around.clock)
        try:
            return await waiting
        except TimeoutError:
            raise Failure(Code.TIMEOUT, "no code has come in time") from None

    async def _read_pin(self) -> str:
        """Before connection 2, together with the first code; empty for none."""
        if self._pin is None:
            with self._deadline.paused():
                self._pin = await self._pins.pin()
        return self._pin

    # --- connection 2: the proof --------------------------------------------------------------

    async def _prove(self, session: PasscodeSession) -> Registration:
        while True:
            code = await self._read_code()
            try:
                if await self._state.was_refused(code, self._around.now()):
                    # An honest server would refuse it again; a false one would get a second guess.
                    raise Refusal(m.Refused(None, m.RefusalCode.PROOF_REFUSED, ""))
                return await self._run(session, code)
            except Refusal as refusal:
                session = await self._after_refusal(session, code, refusal)

    async def _after_refusal(
        self, session: PasscodeSession, code: str, refusal: Refusal
    ) -> PasscodeSession:
        """The session to ask for another code of; raises `refusal` where there is none."""
        if refusal.refusal is not m.RefusalCode.PROOF_REFUSED:
            if refusal.refusal in (m.RefusalCode.UNKNOWN_SESSION, m.RefusalCode.CODE_EXHAUSTED):
                await self._state.drop_session()
            raise refusal
        used = replace(session, guesses=session.guesses + 1)
        await self._state.found_wrong(used, code, self._around.now())
        if used.guesses >= GUESSES:
            await self._state.drop_session()
            raise Failure(
                Code.CODE_EXHAUSTED,
                "the code is wrong, and no guess is left at it; `e2ee register` asks for a new one",
            )
        if not self._codes.interactive:
            raise refusal
        self._around.notice(f"{refusal.sentence}; try again")
        return used

    async def _run(self, session: PasscodeSession, code: str) -> Registration:
        """One run; waits and begins again only where the server has not begun."""
        pin = await self._read_pin()
        await self._state.make_keys(self._around.now(), self._around.entropy, self._suite)
        own, keys = self._state.own, self._state.keys
        if own is None or keys is None:
            raise Failure(Code.FAILED, "the new keys are missing")
        run = PasscodeRun(session.session, self._state.address, own, keys, code, pin)

        async def charge() -> None:
            await self._state.charge(session, code, self._around.now())

        async def talk(channel: Channel) -> None:
            await run.perform(channel, self._around.in_thread, self._around.entropy, charge)

        while True:
            try:
                await self._dialler.converse(self._state.server, talk)
            except CodeOver as failure:
                return await self._after_code(code, failure)
            except Refusal as refusal:
                if refusal.code not in _WAITING:
                    raise
                self._say_wait(refusal)
                await self._dialler.wait_out(refusal)
            else:
                return await self._adopt(own)

    async def _after_code(self, code: str, failure: CodeOver) -> Registration:
        """The code is gone; where only the answer was lost, the server may still have the keys."""
        await self._state.burn(code, self._around.now())
        if not failure.answer_lost:
            await self._state.refused()
            raise failure
        try:
            resumed = await self._resume()
        except Failure as unknown:
            raise Failure(
                unknown.code,
                "the server's answer was lost, so it may have registered this device or not"
                f" ({unknown.sentence}); `e2ee register` finds out and goes on",
            ) from unknown
        if resumed is None:
            raise failure
        return resumed
