"""One run of the passcode proof over one connection: the client proves first, then the server must.

Knows the order of SPAKE2, the confirmations of both sides, the step with the registration PIN, and
what each failure means for the code; not where code and PIN come from, nor whether there will be
another run. See `docs/protocol.md`, section 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from e2ee.client.linking.channel import Channel
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.registering.new_identity import registration_body
from e2ee.client.threads import InThread
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator, pin_step
from e2ee.crypto.registration_pin import stretch_pin
from e2ee.errors import Code, Failure, ProofRefused
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.client.identity import PendingKeys
from e2ee.wire import messages as m
from e2ee.wire.codec import decode_part
from e2ee.wire.violations import ProtocolViolation

FORGOTTEN = "the code is forgotten and will not be used again; `e2ee register` asks for a new one"
USED_UP = "the code is used up; `e2ee register` asks for a new one"


class CodeOver(Failure):
    """This code must never be run again.

    `answer_lost`: a proof had left, so the server may have registered these keys all the same.
    """

    answer_lost = False


class Unproven(CodeOver):
    """The server's confirmation is wrong or missing."""

    def __init__(self, what: str, *, code: Code = Code.WRONG_CODE, answer_lost: bool = False) -> None:
        super().__init__(code, f"{what}; {FORGOTTEN}")
        self.answer_lost = answer_lost


class PinRefused(CodeOver):
    """The server has proven itself and accepted the code, but not the PIN: nothing is registered."""

    def __init__(self, code: Code, what: str, retry_after: float | None = None) -> None:
        super().__init__(code, f"{what}; {USED_UP}", retry_after)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server did with a step, after its confirmation was checked. `salt` asks for the PIN."""

    encoded: bytes
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class PasscodeRun:
    """What one run is about. The session, the number and these keys are bound into the proof.

    `pin` is the account's registration PIN, empty where none was given.
    """

    session: PasscodeSessionId
    address: Address
    own: OwnDevice
    keys: PendingKeys
    code: str = field(repr=False)
    pin: str = field(default="", repr=False)

    async def perform(
        self,
        channel: Channel,
        in_thread: InThread,
        entropy: Callable[[int], bytes],
        before_proof: Callable[[], Awaitable[None]],
    ) -> None:
        """Run; returns when the server has proven that it knows the code and registered the keys.

        `before_proof` puts on disk what must be there before the proof leaves. Raises Refusal where
        the server did not begin, or (PROOF_REFUSED) found the code wrong; PinRefused where it found
        the code right and the PIN wrong or missing; Unproven for everything else that goes wrong
        once the server has begun.
        """
        try:
            confirmations = await self._exchange(channel, in_thread, entropy)
            await before_proof()
            await self._confirm(channel, in_thread, confirmations)
        finally:
            channel.abort()

    async def _exchange(
        self, channel: Channel, in_thread: InThread, entropy: Callable[[int], bytes]
    ) -> Confirmations:
        account_key = self.own.statement.account_key.raw
        identities = ProofIdentities(self.session, self.address, account_key, channel.tls.exporter)
        # SPAKE2 is pure Python and takes 10 ms.
        state, a = await in_thread(lambda: initiator(self.code, identities, entropy))
        start = m.Start(0, bytes(self.session), str(self.address), account_key, a)
        try:
            started = await channel.ask(start, m.Started)
            return await in_thread(lambda: state.finish(started.b))
        except LinkLost as lost:
            raise Unproven("the connection ended before the server had proven itself") from lost
        except ProofRefused:
            raise Unproven("the server's part of the proof is not valid") from None

    async def _confirm(
        self, channel: Channel, in_thread: InThread, confirmations: Confirmations
    ) -> None:
        body = registration_body(self.own, self.keys, channel.tls.exporter, self.session)
        prove = m.Prove(0, body, confirmations.client(body))
        try:
            outcome = await self._answered(channel, prove, body, confirmations)
        except Refusal as refusal:
            if refusal.refusal is m.RefusalCode.PROOF_REFUSED:
                raise
            raise Unproven(refusal.sentence, code=refusal.code) from refusal
        if outcome.salt is not None:
            stretched = await self._stretched(in_thread, outcome.salt)
            step = pin_step(body, outcome.encoded, stretched)
            await self._confirm_pin(channel, stretched, step, confirmations)

    async def _stretched(self, in_thread: InThread, salt: bytes) -> bytes:
        if not self.pin:
            raise PinRefused(
                Code.PIN_REQUIRED,
                "this number is protected by a registration PIN, and none was given (--pin-file FILE)",
            )
        return await in_thread(lambda: stretch_pin(self.pin, self.address, salt))

    async def _confirm_pin(
        self, channel: Channel, stretched: bytes, step: bytes, confirmations: Confirmations
    ) -> None:
        """The server has proven itself by now: only so it gets what it can try PINs against."""
        prove = m.ProvePin(0, stretched, confirmations.client(step))
        try:
            await self._answered(channel, prove, step, confirmations)
        except Refusal as refusal:
            raise PinRefused(refusal.code, refusal.sentence, refusal.retry_after) from refusal

    async def _answered(
        self, channel: Channel, message: m.Message, body: bytes, confirmations: Confirmations
    ) -> Outcome:
        """The server's outcome of this step. Raises Refusal, or Unproven."""
        try:
            answer = await channel.request(message)
            if not isinstance(answer, m.Proved | m.PinRequired):
                raise ProofRefused
            confirmations.check_server(body, answer.outcome, answer.confirmation)
            return _outcome(answer)
        except LinkLost as lost:
            raise Unproven("the server's answer was lost", answer_lost=True) from lost
        except ProofRefused:
            raise Unproven("the server has not proven that it knows the code") from None
        except ProtocolViolation:
            raise Unproven("the server's answer makes no sense", answer_lost=True) from None


def _outcome(answer: m.Proved | m.PinRequired) -> Outcome:
    """What is inside an answer; raises ProtocolViolation where it is not what the answer is about."""
    outcome = decode_part(answer.outcome, m.RegistrationOutcome)
    asks = isinstance(answer, m.PinRequired)
    if asks != (outcome.kind is m.OutcomeKind.PIN_REQUIRED) or asks != (outcome.salt is not None):
        raise ProtocolViolation(m.RefusalCode.MALFORMED, "an outcome under the wrong name")
    return Outcome(answer.outcome, outcome.salt)
