"""One run of the passcode proof over one connection: the client proves first, then the server must.

Knows the order of SPAKE2, both confirmations and what each failure means for the code; not where the
code comes from, nor whether there will be another run. See `docs/protocol.md`, section 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from e2ee.client.channel import Channel
from e2ee.client.new_identity import registration_body
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.threads import InThread
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator
from e2ee.errors import Code, Failure, ProofRefused
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.client.identity import PendingKeys
from e2ee.wire import messages as m
from e2ee.wire.codec import decode_part
from e2ee.wire.violations import ProtocolViolation

FORGOTTEN = "the code is forgotten and will not be used again; `e2ee register` asks for a new one"


class Unproven(Failure):
    """The server's confirmation is wrong or missing: this code must never be run again.

    `answer_lost`: the proof had left, so the server may have registered these keys all the same.
    """

    def __init__(self, what: str, *, code: Code = Code.WRONG_CODE, answer_lost: bool = False) -> None:
        super().__init__(code, f"{what}; {FORGOTTEN}")
        self.answer_lost = answer_lost


@dataclass(frozen=True, slots=True)
class PasscodeRun:
    """What one run is about. The session, the number and these keys are bound into the proof."""

    session: PasscodeSessionId
    address: Address
    own: OwnDevice
    keys: PendingKeys
    code: str = field(repr=False)

    async def perform(
        self,
        channel: Channel,
        in_thread: InThread,
        entropy: Callable[[int], bytes],
        before_proof: Callable[[], Awaitable[None]],
    ) -> None:
        """Run; returns when the server has proven that it knows the code and registered the keys.

        `before_proof` puts on disk what must be there before the proof leaves. Raises Refusal where
        the server did not begin, or (PROOF_REFUSED) found the code wrong; Unproven for everything
        else that goes wrong once the server has begun.
        """
        try:
            confirmations = await self._exchange(channel, in_thread, entropy)
            await before_proof()
            await self._confirm(channel, confirmations)
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

    async def _confirm(self, channel: Channel, confirmations: Confirmations) -> None:
        body = registration_body(self.own, self.keys, channel.tls.exporter, self.session)
        try:
            proved = await channel.ask(m.Prove(0, body, confirmations.client(body)), m.Proved)
            confirmations.check_server(body, proved.outcome, proved.confirmation)
            decode_part(proved.outcome, m.RegistrationOutcome)
        except LinkLost as lost:
            raise Unproven("the server's answer was lost", answer_lost=True) from lost
        except ProofRefused:
            raise Unproven("the server has not proven that it knows the code") from None
        except ProtocolViolation:
            raise Unproven("the server's answer makes no sense", answer_lost=True) from None
        except Refusal as refusal:
            if refusal.refusal is m.RefusalCode.PROOF_REFUSED:
                raise
            raise Unproven(refusal.sentence, code=refusal.code) from refusal
