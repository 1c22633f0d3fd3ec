"""Registration by passcode: a code is asked for on one connection and proven on another.

Knows the order of the steps in `docs/protocol.md`, registration; not frames or databases. The code
never crosses a connection: `start` and `prove` are SPAKE2, bound to the connection that carries
them. What one attempt knows dies with its connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, pin_step
from e2ee.errors import InvalidAddress, ProofRefused
from e2ee.ids import Address, DeviceId, PasscodeSessionId
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.counters import Counters
from e2ee.server.passcodes import Entropy, Guess, PasscodeOffice
from e2ee.server.policy import Policy, RegistrationMode
from e2ee.server.refusal import Refusal
from e2ee.server.registration_body import Announced, verified_account
from e2ee.server.registration_pins import RegistrationPins
from e2ee.server.workers import Prover
from e2ee.store.server.ports import (
    Accounts,
    Gate,
    Limits,
    NewAccount,
    NotInvited,
    Passcodes,
    PinAsked,
    Registered,
    RegistrationSpent,
)
from e2ee.wire.codec import encode
from e2ee.wire.messages import (
    CodeRequested,
    OutcomeKind,
    PinRequired,
    Prove,
    Proved,
    ProvePin,
    RefusalCode,
    RegistrationOutcome,
    RequestCode,
    Start,
    Started,
)


class Registration:
    """The server's desk for registrations, one for all connections."""

    def __init__(
        self,
        passcodes: Passcodes,
        accounts: Accounts,
        limits: Limits,
        delivery: CodeDelivery,
        workers: Prover,
        policy: Policy,
        wall: Callable[[], float],
        now: Callable[[], float],
        entropy: Entropy,
        code_key: bytes,
        counters: Counters,
    ) -> None:
        """`wall` gives seconds since 1970, `now` service time in seconds.

        `code_key` comes from `passcode_store.derive_code_key`.
        """
        self.accounts = accounts
        self.pins = RegistrationPins(accounts, limits, now)
        self.workers = workers
        self.now = now
        self.office = PasscodeOffice(
            passcodes, limits, delivery, policy.passcode_limits(), wall, now, entropy, code_key, counters
        )
        self.policy = policy
        # Loads the tables of numbers now rather than on the reactor with the first request.
        Address.parse("+15550100100")

    def apply(self, policy: Policy) -> None:
        """Go on under another policy; sessions keep what they have."""
        self.policy = policy
        self.office.apply(policy.passcode_limits())

    async def request_code(self, source: str, message: RequestCode) -> CodeRequested:
        """Send a passcode to a number. `source` is what limits count: see `source.source_of`.

        Raises Refusal: REGISTRATION_CLOSED, INVITE_REFUSED, INVALID_NUMBER, RATE_LIMITED, UNAVAILABLE.
        """
        address = self.admitted(message.number)
        await self.office.charge(source)
        gate = self._gate(address)
        issued = await self.office.issue(address, gate, message.invite)
        if isinstance(issued, NotInvited):
            raise _not_invited(gate, message.invite)
        return CodeRequested(
            message.n, bytes(issued.session), self.office.rules.life_seconds, issued.retry_after
        )

    def attempt(self, exporter: bytes, source: str) -> Attempt:
        """What one connection may try; `exporter` is the 32 bytes of its TLS exporter."""
        return Attempt(self, exporter, source)

    def admitted(self, number: str) -> Address:
        """The number in its one form, if anybody may register now; raises Refusal."""
        if self.policy.registration is RegistrationMode.CLOSED:
            raise Refusal(RefusalCode.REGISTRATION_CLOSED, "this server takes no registrations")
        try:
            return Address.parse(number)
        except InvalidAddress as error:
            raise Refusal(RefusalCode.INVALID_NUMBER, str(error)) from None

    def _gate(self, address: Address) -> Gate:
        """What this number needs now, whether it has an account or not."""
        prefixes = self.policy.allowed_prefixes
        if prefixes and not address.startswith(prefixes):
            return Gate.NAMED
        return Gate.INVITED if self.policy.registration is RegistrationMode.INVITE else Gate.OPEN


@dataclass(frozen=True, slots=True)
class PinDue:
    """A proven registration that waits for the PIN of the account that it would replace.

    `body` was proven, `outcome` was answered, both as they went over the wire.
    """

    account: NewAccount
    invite: bytes | None = field(repr=False)
    body: bytes = field(repr=False)
    outcome: bytes = field(repr=False)
    confirmations: Confirmations


class Attempt:
    """One connection's attempt to register: one start, one prove, and a PIN where there is one."""

    def __init__(self, registration: Registration, exporter: bytes, source: str) -> None:
        self._registration = registration
        self._exporter = exporter
        self._source = source
        self._begun = False
        self._announced: Announced | None = None
        self._guess: Guess | None = None
        self._confirmations: Confirmations | None = None
        self._pin_due: PinDue | None = None

    async def start(self, message: Start) -> Started:
        """Take one guess, then answer SPAKE2. What is wrong from there on costs that guess.

        Raises Refusal: REGISTRATION_CLOSED, INVALID_NUMBER, RATE_LIMITED, BUSY (no guess taken if
        the queue is full), UNKNOWN_SESSION, CODE_EXHAUSTED, PROOF_REFUSED.
        """
        if self._begun:
            raise _out_of_turn()
        self._begun = True
        address = self._registration.admitted(message.number)
        announced = Announced(
            PasscodeSessionId(message.session), address, message.account_key, self._exporter
        )
        b, self._confirmations = await self._respond(announced, message.a)
        self._announced = announced
        return Started(message.n, b)

    async def prove(self, message: Prove) -> tuple[Proved | PinRequired, Address, DeviceId | None]:
        """Check the client's confirmation and what it registers, then make or replace the account.

        Returns the answer, the number, and the device whose account was taken over, if any; where
        the account has a PIN it is as it was, and `prove_pin` is due. Raises Refusal: PROOF_REFUSED
        for whatever is wrong, UNKNOWN_SESSION if the code was used or expired in the meantime,
        INVITE_REFUSED if the invite was. Only a success uses the code up, or a spent invite.
        """
        announced, confirmations = self._announced, self._confirmations
        self._announced = self._confirmations = None
        if announced is None or confirmations is None:
            raise _out_of_turn()
        try:
            confirmations.check_client(message.body, message.confirmation)
            account = verified_account(message.body, announced)
        except ProofRefused:
            raise _proof_refused() from None
        registered = await self._registration.accounts.register(
            announced.session, account, self._registration.now()
        )
        await self._give_back()
        if isinstance(registered, PinAsked):
            outcome = encode(RegistrationOutcome(OutcomeKind.PIN_REQUIRED, registered.salt))
            self._pin_due = PinDue(account, registered.invite, message.body, outcome, confirmations)
            asked = PinRequired(message.n, outcome, confirmations.server(message.body, outcome))
            return asked, announced.address, None
        displaced = _displaced(registered)
        return _proved(message.n, message.body, confirmations), announced.address, displaced

    async def prove_pin(self, message: ProvePin) -> tuple[Proved, Address, DeviceId | None]:
        """Check the client's confirmation, then take a try and replace the account, if the PIN is right.

        Returns as `prove`. Raises Refusal: PROOF_REFUSED, RATE_LIMITED, WRONG_PIN, INVITE_REFUSED.
        There is one try on a connection.
        """
        due, self._pin_due = self._pin_due, None
        if due is None:
            raise _out_of_turn()
        step = pin_step(due.body, due.outcome, message.stretched)
        try:
            due.confirmations.check_client(step, message.confirmation)
        except ProofRefused:
            raise _proof_refused() from None
        registered = await self._registration.pins.register(due.account, message.stretched, due.invite)
        displaced = _displaced(registered)
        return _proved(message.n, step, due.confirmations), due.account.address, displaced

    async def _respond(self, announced: Announced, a: bytes) -> tuple[bytes, Confirmations]:
        """The source pays first, then a place in the queue is taken, then the guess."""
        office = self._registration.office
        await office.charge(self._source)
        identities = ProofIdentities(
            announced.session, announced.address, announced.account_key, announced.exporter
        )
        with self._registration.workers.place() as respond:
            guess = self._guess = await office.guess(announced.session, announced.address)
            try:
                return await respond(guess.code, identities, a)
            except ProofRefused:
                raise _proof_refused() from None

    async def _give_back(self) -> None:
        """The code was proven, whatever has become of the account."""
        guess, self._guess = self._guess, None
        if guess is not None:
            await self._registration.office.was_right(guess)


def _proved(number: int, body: bytes, confirmations: Confirmations) -> Proved:
    outcome = encode(RegistrationOutcome(OutcomeKind.REGISTERED))
    return Proved(number, outcome, confirmations.server(body, outcome))


def _displaced(registered: Registered | RegistrationSpent) -> DeviceId | None:
    """The device that was replaced, if any; raises Refusal if nothing was registered."""
    if isinstance(registered, Registered):
        return registered.displaced
    if registered is RegistrationSpent.SPENT:
        raise Refusal(RefusalCode.UNKNOWN_SESSION, "this code was used or has expired in the meantime")
    if registered is RegistrationSpent.INVITE_SPENT:
        raise Refusal(RefusalCode.INVITE_REFUSED, "this invite has been used in the meantime")
    raise _proof_refused()


def _not_invited(gate: Gate, invite: bytes) -> Refusal:
    """One sentence for all that can be wrong with an invite."""
    if gate is Gate.NAMED:
        return Refusal(RefusalCode.REGISTRATION_CLOSED, "this server takes no registrations of such numbers")
    if not invite:
        return Refusal(
            RefusalCode.INVITE_REFUSED, "this server is for invited people: its operator makes invites"
        )
    return Refusal(
        RefusalCode.INVITE_REFUSED, "this invite was used, has expired, or is not for this number"
    )


def _proof_refused() -> Refusal:
    return Refusal(RefusalCode.PROOF_REFUSED, "the code is wrong, or the proof of it is")


def _out_of_turn() -> Refusal:
    return Refusal(RefusalCode.ILLEGAL, "a connection has one start and one proof")
