"""The contract of `ports.Invites`, and of what invites do to sessions and registrations."""

from __future__ import annotations

from dataclasses import replace

from e2ee.ids import Address
from e2ee.store.server.ports import (
    Bucket,
    Gate,
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    InviteFacts,
    NotInvited,
    PasscodeAllotted,
    PasscodeLimits,
    PasscodeRequest,
    PinAsked,
    Registered,
    RegistrationSpent,
    StoredPin,
)
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    FREE,
    PASSCODE_LIMITS,
    ContractCase,
    at,
    new_account,
    session_id,
)

ANY, HERS, NEVER_MADE = b"A" * 32, b"H" * 32, b"N" * 32
PIN = StoredPin(b"s" * 16, b"H" * 32)
STRICT = replace(
    PASSCODE_LIMITS, codes=Bucket(1, 1e6), total=Bucket(1, 1e6), prefix=Bucket(1, 1e6), live_sessions=1,
    number_guesses=Bucket(1, 1e6), breaker=Bucket(1, 1e6),
)  # fmt: skip
"""One code and one guess, whichever bucket is asked."""


class InvitesContract(ContractCase):
    """`ANY` is for whoever has it, `HERS` for Alice, both until 1,000 s."""

    def setUp(self) -> None:
        super().setUp()
        self.asked = 0
        self.use(FREE)
        self.invite(ANY, None)
        self.invite(HERS, ALICE)

    def use(self, limits: PasscodeLimits) -> None:
        self.passcodes = self.stores.passcodes(limits)

    def invite(self, invite: bytes, address: Address | None, expires_at: float = 1000.0) -> None:
        self.done(self.stores.invites.add(invite, address, expires_at))

    def ask(
        self, gate: Gate, invite: bytes = b"", address: Address = ALICE, now: float = 0.0
    ) -> PasscodeAllotted | NotInvited:
        """Ask with a new session, whose number is then `self.asked`."""
        self.asked += 1
        request = PasscodeRequest(session_id(self.asked), address, "1", b"sealed", gate, invite)
        return self.done(self.passcodes.request(request, now))

    def register(self, session: int, address: Address = ALICE, now: float = 0.0) -> object:  # type: ignore[override]
        return self.done(
            self.stores.accounts.register(session_id(session), new_account(address, session, session), now)
        )

    def guess(self, session: int, address: Address = ALICE) -> GuessAllowed | GuessRefused:
        return self.done(self.passcodes.guess(session_id(session), address, 0.0))

    # the gate

    def test_who_is_let_through(self) -> None:
        for gate, admitted in (
            (Gate.OPEN, {b"", ANY, HERS, NEVER_MADE}),
            (Gate.INVITED, {ANY, HERS}),
            (Gate.NAMED, {HERS}),
        ):
            for invite in (b"", ANY, HERS, NEVER_MADE):
                allowed = isinstance(self.ask(gate, invite), PasscodeAllotted)
                self.assertEqual(allowed, invite in admitted, (gate, invite))

    def test_an_invite_for_another_number_is_none(self) -> None:
        self.assertIs(self.ask(Gate.INVITED, HERS, BOB), NotInvited.NOT_INVITED)
        self.assertIs(self.ask(Gate.NAMED, HERS, BOB), NotInvited.NOT_INVITED)
        self.assertIsInstance(self.ask(Gate.INVITED, ANY, BOB), PasscodeAllotted)

    def test_an_expired_invite_is_none(self) -> None:
        for invite in (ANY, HERS):
            self.assertIsInstance(self.ask(Gate.INVITED, invite, now=999.9), PasscodeAllotted)
            self.assertIs(self.ask(Gate.INVITED, invite, now=1000.0), NotInvited.NOT_INVITED)

    def test_whoever_is_not_invited_is_charged_nothing_and_has_no_session(self) -> None:
        self.use(STRICT)
        for _ in range(5):
            self.assertIs(self.ask(Gate.INVITED, NEVER_MADE), NotInvited.NOT_INVITED)
            self.assertEqual(self.guess(self.asked), GuessRefused(GuessRefusal.UNKNOWN_SESSION))
        self.assertEqual(self.ask(Gate.OPEN), PasscodeAllotted())

    # one use

    def test_a_registration_uses_it_up(self) -> None:
        for invite in (ANY, HERS):
            self.ask(Gate.INVITED, invite)
            self.assertIsInstance(self.register(self.asked), Registered)
            self.assertIs(self.ask(Gate.INVITED, invite), NotInvited.NOT_INVITED)

    def test_asking_does_not_use_it_up_so_that_a_failed_registration_can_be_begun_again(self) -> None:
        for _ in range(3):
            self.assertEqual(self.ask(Gate.INVITED, ANY), PasscodeAllotted())
        self.assertIsInstance(self.register(self.asked), Registered)

    def test_of_many_sessions_with_one_invite_one_registers(self) -> None:
        for address in (ALICE, BOB):
            self.ask(Gate.INVITED, ANY, address)
        self.assertIsInstance(self.register(1, ALICE), Registered)
        self.assertIs(self.register(2, BOB), RegistrationSpent.INVITE_SPENT)
        self.assertIsNone(self.done(self.stores.accounts.find(BOB)))
        # The code of the one that came too late is used as well.
        self.assertIs(self.register(2, BOB), RegistrationSpent.SPENT)

    def test_of_two_hundred_at_once_one_registers(self) -> None:
        numbers = [Address(f"+1555010{index:04d}") for index in range(200)]
        for number in numbers:
            self.ask(Gate.INVITED, ANY, number)
        results = self.together(
            *(
                self.stores.accounts.register(session_id(index), new_account(number, index), 0.0)
                for index, number in enumerate(numbers, 1)
            )
        )
        self.assertEqual(sum(isinstance(result, Registered) for result in results), 1)
        self.assertEqual(results.count(RegistrationSpent.INVITE_SPENT), 199)
        self.assertEqual(self.done(self.stores.accounts.count()), 1)

    def test_an_invite_that_was_not_needed_is_not_used_up(self) -> None:
        self.ask(Gate.OPEN, ANY)
        self.assertIsInstance(self.register(1), Registered)
        self.assertIsInstance(self.ask(Gate.INVITED, ANY), PasscodeAllotted)

    def test_one_that_expires_while_the_code_is_typed_still_holds(self) -> None:
        self.ask(Gate.INVITED, ANY, now=999.0)
        self.done(self.passcodes.expire(1500.0))
        self.assertIsInstance(self.register(1, now=1500.0), Registered)

    def test_a_refused_statement_uses_nothing_up(self) -> None:
        self.ask(Gate.OPEN)
        self.ask(Gate.INVITED, ANY)
        accounts = self.stores.accounts
        self.done(accounts.register(session_id(1), new_account(ALICE, 1, 5), 0.0))
        older = new_account(ALICE, 2, 4)
        self.assertIs(
            self.done(accounts.register(session_id(2), older, 0.0)), RegistrationSpent.OLDER_STATEMENT
        )
        newer = new_account(ALICE, 2, 6)
        self.assertIsInstance(self.done(accounts.register(session_id(2), newer, 0.0)), Registered)

    # with a registration PIN

    def asked_for_pin(self, invite: bytes = ANY) -> PinAsked:
        """Alice is registered with a PIN; somebody has proven a code for her number."""
        self.ask(Gate.OPEN)
        self.assertIsInstance(self.register(self.asked), Registered)
        self.done(self.stores.accounts.set_pin(at(ALICE, self.asked), PIN))
        self.ask(Gate.INVITED, invite)
        result = self.register(self.asked)
        assert isinstance(result, PinAsked)
        self.assertEqual(result.invite, invite)
        return result

    def prove(self, asked: PinAsked, pin_hash: bytes) -> object:
        account = new_account(ALICE, 9, 9)
        return self.done(
            self.stores.accounts.register_with_pin(account, pin_hash, asked.invite, 0.0)
        )

    def test_only_a_right_pin_uses_it_up(self) -> None:
        asked = self.asked_for_pin()
        self.assertIs(self.prove(asked, b"I" * 32), RegistrationSpent.WRONG_PIN)
        self.assertIsInstance(self.prove(asked, PIN.hash), Registered)
        self.assertIs(self.ask(Gate.INVITED, ANY), NotInvited.NOT_INVITED)

    def test_a_right_pin_with_an_invite_used_meanwhile_changes_nothing(self) -> None:
        asked = self.asked_for_pin()
        self.ask(Gate.INVITED, ANY, BOB)
        self.register(self.asked, BOB)
        before = self.done(self.stores.accounts.find(ALICE))
        self.assertIs(self.prove(asked, PIN.hash), RegistrationSpent.INVITE_SPENT)
        self.assertEqual(self.done(self.stores.accounts.find(ALICE)), before)

    # outside the buckets

    def test_an_invite_for_a_number_opens_one_session_that_no_limit_refuses(self) -> None:
        self.use(STRICT)
        self.assertEqual(self.ask(Gate.OPEN), PasscodeAllotted())
        self.assertIsInstance(self.guess(1), GuessAllowed)
        for gate in (Gate.OPEN, Gate.INVITED):
            refused = self.ask(gate, ANY)
            assert isinstance(refused, PasscodeAllotted)
            self.assertGreater(refused.retry_after, 0.0)
        self.assertEqual(self.ask(Gate.OPEN, HERS), PasscodeAllotted())
        for _ in range(5):
            self.assertEqual(self.guess(self.asked), GuessAllowed(b"sealed", counted=False))
        self.assertEqual(self.guess(self.asked), GuessRefused(GuessRefusal.EXHAUSTED))
        again = self.ask(Gate.OPEN, HERS)
        assert isinstance(again, PasscodeAllotted)
        self.assertGreater(again.retry_after, 0.0)

    def test_of_two_hundred_sessions_at_once_one_is_outside_the_buckets(self) -> None:
        self.use(replace(STRICT, codes=Bucket(1, 1e6)))
        self.ask(Gate.OPEN)
        requests = [
            PasscodeRequest(session_id(number), ALICE, "1", b"sealed", Gate.OPEN, HERS)
            for number in range(1000, 1200)
        ]
        answers = self.together(*(self.passcodes.request(request, 0.0) for request in requests))
        self.assertEqual(answers.count(PasscodeAllotted()), 1)

    def test_a_session_outside_the_buckets_leaves_them_as_they_are(self) -> None:
        self.use(STRICT)
        self.ask(Gate.OPEN, HERS)
        self.guess(1)
        self.use(replace(STRICT, live_sessions=2))
        self.assertEqual(self.ask(Gate.OPEN), PasscodeAllotted())
        self.assertIsInstance(self.guess(2), GuessAllowed)

    # the operator's view

    def outstanding(self, after: bytes = b"", count: int = 10, now: float = 0.0) -> list[InviteFacts]:
        return list(self.done(self.stores.invites.outstanding(after, count, now)))

    def test_those_that_hold_in_the_order_of_their_ids(self) -> None:
        self.invite(NEVER_MADE, None, 10.0)
        anybodys, hers = InviteFacts(b"A" * 8, None, 1000.0), InviteFacts(b"H" * 8, ALICE, 1000.0)
        self.assertEqual(self.outstanding(now=10.0), [anybodys, hers])
        self.assertEqual(self.outstanding(count=1), [anybodys])
        self.assertEqual(self.outstanding(after=b"A" * 8, now=10.0), [hers])
        self.assertEqual(len(self.outstanding(now=9.9)), 3)
        self.ask(Gate.INVITED, ANY)
        self.assertEqual(len(self.outstanding(now=10.0)), 2)
        self.register(self.asked)
        self.assertEqual(self.outstanding(now=10.0), [hers])

    def test_a_revoked_one_admits_nobody_and_no_registration_that_has_begun(self) -> None:
        self.assertEqual(self.ask(Gate.INVITED, ANY), PasscodeAllotted())
        self.assertTrue(self.done(self.stores.invites.revoke(ANY[:8])))
        self.assertFalse(self.done(self.stores.invites.revoke(ANY[:8])))
        self.assertIs(self.ask(Gate.INVITED, ANY, BOB), NotInvited.NOT_INVITED)
        self.assertIs(self.register(1), RegistrationSpent.INVITE_SPENT)
        self.assertEqual(self.ask(Gate.INVITED, HERS), PasscodeAllotted())

    # forgetting

    def test_it_is_forgotten_when_every_session_of_it_is_over(self) -> None:
        self.ask(Gate.INVITED, ANY, now=999.0)
        self.done(self.passcodes.expire(1600.0))
        self.assertIs(self.register(1, now=1598.0), RegistrationSpent.SPENT)
        # What is forgotten can be made again under the same hash.
        self.invite(ANY, None, 5000.0)
        self.assertIsInstance(self.ask(Gate.INVITED, ANY, now=1600.0), PasscodeAllotted)
