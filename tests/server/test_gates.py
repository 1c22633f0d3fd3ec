"""Who may register: open, by invite, closed, by prefix; the same for numbers with and without an account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.crypto.passcode_store import hash_invite
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server.counters import Limit
from e2ee.server.policy import WRONG_GUESSES, Policy, RegistrationMode
from e2ee.server.refusal import Refusal
from e2ee.store.server.ports import Bucket
from e2ee.wire.messages import CodeRequested, RefusalCode, RequestCode
from tests.server.registration_case import UNLIMITED, RegistrationTestCase
from tests.server.registration_house import ALICE, BOB, SOURCE, Client, House, other_code
from tests.server.test_senders import logged

INVITE, HERS = b"i" * 16, b"h" * 16
FOREIGN = "+442079460000"


class GateCase(RegistrationTestCase):
    """`INVITE` is for anybody, `HERS` for Alice."""

    policy = UNLIMITED

    def setUp(self) -> None:
        self.house = House(self.policy)
        self.done(self.house.invites.add(hash_invite(INVITE), None, 10_000.0))
        self.done(self.house.invites.add(hash_invite(HERS), ALICE, 10_000.0))

    def mode(self, mode: str, *prefixes: str, **limits: int) -> None:
        policy = Policy(registration=RegistrationMode(mode), allowed_prefixes=prefixes)
        self.house.registration.apply(policy.with_limits({"codes_per_source": 0, "codes_burst": 0, **limits}))

    def ask(self, number: str = ALICE, invite: bytes = b"") -> Deferred[CodeRequested]:
        request = RequestCode(1, str(number), invite)
        return Deferred.fromCoroutine(self.house.registration.request_code(SOURCE, request))

    def session(self, number: str = ALICE, invite: bytes = b"") -> PasscodeSessionId:
        answer = self.successResultOf(self.ask(number, invite))
        self.assertIsNone(answer.retry_after)
        return PasscodeSessionId(answer.session)

    def refusal(self, number: str = ALICE, invite: bytes = b"") -> Refusal:
        refused = self.failureResultOf(self.ask(number, invite), Refusal).value
        assert isinstance(refused, Refusal)
        return refused

    def register(self, number: Address = ALICE, invite: bytes = b"") -> None:
        client = self.house.client(self.session(number, invite), self.house.sender.code, number)
        self.done(client.register())

    def register_account(self) -> None:
        self.mode("open")
        self.register(ALICE)


class ModeTests(GateCase):
    def test_open_lets_everybody_in_and_minds_no_wrong_invite(self) -> None:
        self.mode("open")
        for invite in (b"", INVITE, b"never made"):
            self.session(ALICE, invite)

    def test_invite_lets_in_whoever_has_one(self) -> None:
        self.mode("invite")
        self.register(BOB, INVITE)
        self.assertIsNotNone(self.stored_key(BOB))

    def test_invite_refuses_everybody_else_before_a_code_is_sent(self) -> None:
        self.mode("invite")
        for number, invite in ((BOB, b""), (BOB, b"never made"), (BOB, HERS), (BOB, hash_invite(INVITE))):
            self.assertEqual(self.refusal(number, invite).code, RefusalCode.INVITE_REFUSED)
        self.assertEqual(self.house.sender.sent, [])

    def test_every_wrong_invite_gets_one_answer(self) -> None:
        self.mode("invite")
        self.register(BOB, INVITE)
        self.house.service_time = 10_000.0
        answers = {
            (refused.code, refused.sentence, refused.retry_after)
            for refused in (
                self.refusal(BOB, b"never made"), self.refusal(BOB, INVITE), self.refusal(BOB, HERS),
                self.refusal(ALICE, HERS),
            )
        }  # fmt: skip
        self.assertEqual(len(answers), 1)

    def test_an_account_makes_no_difference(self) -> None:
        self.register_account()
        self.mode("invite")
        for invite in (b"", b"never made"):
            known, unknown = self.refusal(ALICE, invite), self.refusal(BOB, invite)
            self.assertEqual((known.code, known.sentence), (unknown.code, unknown.sentence))
        # Whoever registers his number anew needs an invite like everybody.
        self.register(ALICE, INVITE)

    def test_closed_takes_no_invite(self) -> None:
        self.mode("closed")
        for invite in (b"", INVITE, HERS):
            self.assertEqual(self.refusal(ALICE, invite).code, RefusalCode.REGISTRATION_CLOSED)

    def test_a_session_that_was_opened_before_may_be_finished(self) -> None:
        self.mode("open")
        client = self.house.client(self.session(BOB), self.house.sender.code, BOB)
        self.mode("invite")
        self.done(client.register())


class PrefixTests(GateCase):
    def test_only_numbers_with_an_allowed_prefix_get_a_code(self) -> None:
        self.mode("open", "+1555", "+49")
        self.session(ALICE)
        self.assertEqual(self.refusal(FOREIGN).code, RefusalCode.REGISTRATION_CLOSED)
        self.assertEqual(self.refusal("+12125550102").code, RefusalCode.REGISTRATION_CLOSED)
        self.assertEqual([address for address, _, _ in self.house.sender.sent], [ALICE])

    def test_all_spellings_of_a_number_have_one_prefix(self) -> None:
        self.mode("open", "+4402")
        self.assertEqual(self.refusal("+4402079460000").code, RefusalCode.REGISTRATION_CLOSED)

    def test_an_account_makes_no_difference(self) -> None:
        self.register_account()
        self.mode("open", "+44")
        known, unknown = self.refusal(ALICE), self.refusal(BOB)
        self.assertEqual((known.code, known.sentence), (unknown.code, unknown.sentence))

    def test_an_invite_for_a_number_stands_above_the_prefixes_and_one_for_anybody_does_not(self) -> None:
        for mode in ("open", "invite"):
            self.mode(mode, "+44")
            self.assertEqual(self.refusal(ALICE, INVITE).code, RefusalCode.REGISTRATION_CLOSED)
            self.session(ALICE, HERS)

    def test_with_invites_both_are_needed(self) -> None:
        self.mode("invite", "+1555")
        self.assertEqual(self.refusal(BOB).code, RefusalCode.INVITE_REFUSED)
        self.session(BOB, INVITE)


class InviteUseTests(GateCase):
    def test_a_registration_that_fails_can_be_begun_again_with_the_same_link(self) -> None:
        self.mode("invite")
        client = self.house.client(self.session(BOB, INVITE), self.house.sender.code, BOB)
        wrong = client.with_code(other_code(client.code))
        self.done(wrong.start())
        self.assertEqual(self.refused(wrong.prove()), RefusalCode.PROOF_REFUSED)
        self.register(BOB, INVITE)

    def test_it_is_used_up_by_the_account_that_it_made(self) -> None:
        self.mode("invite")
        self.register(BOB, INVITE)
        self.assertEqual(self.refusal(BOB, INVITE).code, RefusalCode.INVITE_REFUSED)

    def test_of_two_people_with_one_link_the_first_registers(self) -> None:
        self.mode("invite")
        first = self.house.client(self.session(ALICE, INVITE), self.house.sender.code, ALICE)
        second = self.house.client(self.session(BOB, INVITE), self.house.sender.code, BOB)
        for client in (first, second):
            self.done(client.start())
        self.done(first.prove())
        failure = self.failureResultOf(Deferred.fromCoroutine(second.prove()), Refusal).value
        self.assertEqual(failure.code, RefusalCode.INVITE_REFUSED)
        self.assertIn("used in the meantime", failure.sentence)
        self.assertIsNone(self.stored_key(BOB))

    def test_with_a_registration_pin_only_the_right_one_uses_it_up(self) -> None:
        self.mode("open")
        owner, _ = self.done(self.house.register(ALICE))
        self.done(self.house.protect(owner))
        self.mode("invite")
        for pin, outcome in ((b"w" * 32, RefusalCode.WRONG_PIN), (None, None)):
            client = self.house.client(self.session(ALICE, INVITE), self.house.sender.code)
            self.done(client.register())
            if pin is None:
                self.done(client.prove_pin())
            else:
                self.assertEqual(self.refused(client.prove_pin(pin)), outcome)
        self.assertEqual(self.refusal(ALICE, INVITE).code, RefusalCode.INVITE_REFUSED)

    def test_the_store_gets_a_hash_only(self) -> None:
        self.mode("invite")
        seen: list[object] = []
        passcodes = self.house.registration.office._passcodes
        real = passcodes.request

        async def spy(request: object, now: float) -> object:
            seen.append(request)
            return await real(request, now)  # type: ignore[arg-type]

        self.patch(passcodes, "request", spy)
        self.session(BOB, INVITE)
        self.assertEqual(seen[0].invite, hash_invite(INVITE))  # type: ignore[attr-defined]


class PrivilegeTests(GateCase):
    """`e2ee-admin invite --for NUMBER`: a way in for somebody whose number others keep busy."""

    def test_it_opens_a_session_when_the_numbers_limits_are_spent(self) -> None:
        self.house = House(Policy().with_limits({"codes_per_source": 0}))
        self.done(self.house.invites.add(hash_invite(HERS), ALICE, 1e9))
        for wait in (0, 60, 120):
            self.house.service_time += wait
            session = self.session(ALICE)
            for _ in range(3):
                wrong = self.house.client(session, "000000")
                self.failureResultOf(Deferred.fromCoroutine(self.start_and_prove(wrong)))
        answer = self.successResultOf(self.ask(ALICE))
        self.assertIsNotNone(answer.retry_after)
        client = self.house.client(self.session(ALICE, HERS), self.house.sender.code)
        self.done(client.register())

    async def start_and_prove(self, client: Client) -> None:
        await client.start()
        await client.prove()


class BreakerTests(GateCase):
    """Wrong guesses over all numbers are bounded: the server stops before luck is likely."""

    policy = Policy().with_limits({"codes_per_source": 0, "codes_burst": 0, "guesses_burst": 0})

    def setUp(self) -> None:
        super().setUp()
        self.numbers = iter(Address(f"+1555{index:07d}") for index in range(1_000_000, 10_000_000))

    def open_after(self, guesses: int) -> None:
        """Let the breaker open after so many; the real number is the store's and `policy`'s to know."""
        office = self.house.registration.office
        passcodes: Any = office._passcodes
        office.rules = passcodes._limits = replace(office.rules, breaker=Bucket(guesses, 100.0))

    def wrong_guess(self) -> object:
        number = next(self.numbers)
        client = self.house.client(self.session(number), other_code(self.house.sender.code), number)
        self.done(client.start())
        return self.refused(client.prove())

    def test_expected_takeovers_are_fewer_than_a_hundredth_a_day(self) -> None:
        """In any day there are the burst and what comes back; each is one of the codes not yet tried."""
        guesses = WRONG_GUESSES.burst + 86_400 / WRONG_GUESSES.refill_seconds
        self.assertLessEqual(guesses / (10**6 - 4), 0.01)

    def test_no_configuration_lifts_it(self) -> None:
        names = ("codes_burst", "guesses_burst", "codes_per_source", "codes_total", "codes_per_prefix")
        policy = Policy().with_limits(dict.fromkeys(names, 0))
        self.assertEqual(policy.passcode_limits().breaker, WRONG_GUESSES)

    def test_after_so_many_wrong_guesses_neither_code_nor_guess_is_to_be_had(self) -> None:
        self.open_after(3)
        for _ in range(2):
            self.wrong_guess()
        waiting = self.house.client(self.session(ALICE), self.house.sender.code)
        self.wrong_guess()
        texts = logged(self)
        for refused in (self.refusal(BOB), self.failure_of_start(waiting)):
            self.assertEqual(refused.code, RefusalCode.RATE_LIMITED)
            self.assertEqual((refused.retry_after, refused.limit), (100.0, Limit.WRONG_GUESSES))
        self.assertIn("wrong_guesses", texts[0])
        self.house.service_time += 100.0
        self.done(waiting.register())

    def failure_of_start(self, client: Client) -> Refusal:
        failure = self.failureResultOf(Deferred.fromCoroutine(client.start()), Refusal)
        assert isinstance(failure.value, Refusal)
        return failure.value

    def test_right_guesses_do_not_count(self) -> None:
        self.open_after(3)
        for _ in range(5):
            self.register(next(self.numbers))
        for _ in range(3):
            self.wrong_guess()
        self.assertEqual(self.refusal(BOB).code, RefusalCode.RATE_LIMITED)

    def test_a_guess_without_a_proof_counts(self) -> None:
        self.open_after(3)
        for _ in range(3):
            number = next(self.numbers)
            client = self.house.client(self.session(number), self.house.sender.code, number)
            self.done(client.start())
        self.assertEqual(self.refusal(BOB).code, RefusalCode.RATE_LIMITED)

    def test_an_invite_for_a_number_is_let_through(self) -> None:
        self.open_after(1)
        self.wrong_guess()
        self.assertEqual(self.refusal(ALICE).code, RefusalCode.RATE_LIMITED)
        client = self.house.client(self.session(ALICE, HERS), self.house.sender.code)
        self.done(client.register())
