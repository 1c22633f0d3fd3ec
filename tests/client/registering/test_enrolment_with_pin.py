"""Registration of a number with a PIN: what is given away, to whom, and what each end means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from e2ee.client.registering.enrolment import Registration
from e2ee.client.registering.pin_sources import GivenPin
from e2ee.crypto.registration_pin import stretch_pin
from e2ee.errors import Code, Failure
from e2ee.store.client.identity import load_identity, load_registration
from e2ee.wire import messages as m
from e2ee.wire.codec import encode
from tests.client.registering.test_enrolment import ALICE, RIGHT, WRONG, Codes, EnrolmentCase
from tests.client.server_double import Line

PIN = "correct horse"
SALT = b"salt of the PIN."
STRETCHED = stretch_pin(PIN, ALICE, SALT)


def say_confirmed(
    answer: Callable[[int, bytes, bytes], m.Message],
    kind: m.OutcomeKind,
    salt: bytes | None,
    line: Line,
    prove: m.Prove,
) -> None:
    """Answer a proof with any outcome, confirmed as it should be."""
    outcome = encode(m.RegistrationOutcome(kind, salt))
    assert line.confirmations is not None
    line.say(answer(prove.n, outcome, line.confirmations.server(prove.body, outcome)))


class Asked:
    """A person who takes a while to type the PIN."""

    def __init__(self, case: EnrolmentCase, pin: str, seconds: float = 0.0) -> None:
        self.case = case
        self.value = pin
        self.seconds = seconds
        self.heard: list[type[m.Message]] = []
        self.times = 0

    async def pin(self) -> str:
        self.times += 1
        self.heard = [type(message) for message in self.case.server.heard]
        if self.seconds:
            await deferLater(self.case.clock, self.seconds)
        return self.value


class PinCase(EnrolmentCase):
    """A server on which Alice has a PIN. Wrong ones are not stretched for real: that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.server.pins[ALICE] = (SALT, STRETCHED)

    def begin_with(self, pin: str, **options: Any) -> Deferred[Registration]:
        return self.begin(Codes(self.clock, RIGHT), pins=GivenPin(pin), **options)

    def refused_with(self, pin: str, **options: Any) -> Failure:
        failure: Failure = self.failureResultOf(self.begin_with(pin, **options), Failure).value
        return failure

    def assert_nothing_is_registered(self) -> None:
        self.assertIsNone(self.read(load_identity))
        self.assertIsNone(self.read(load_registration))
        self.assertEqual(self.server.accounts, {})
        self.assertEqual(self.server.lines, [])


class RightPinTests(PinCase):
    """Code and PIN together."""

    def test_the_right_pin_registers(self) -> None:
        registration = self.successResultOf(self.begin_with(PIN))
        self.assertEqual(registration.device, self.server.accounts[ALICE].device)
        self.assertEqual(self.own().statement, self.server.accounts[ALICE])
        self.assertIsNone(self.read(load_registration))

    def test_it_is_one_further_step_of_the_same_connection(self) -> None:
        self.successResultOf(self.begin_with(PIN))
        kinds = [type(message) for message in self.server.heard]
        self.assertEqual(kinds, [m.Hello, m.RequestCode, m.Hello, m.Start, m.Prove, m.ProvePin])
        self.assertEqual(self.server.lines, [])

    def test_the_pin_is_in_no_message(self) -> None:
        self.successResultOf(self.begin_with(PIN))
        self.assertNotIn(PIN, repr(self.server.heard))
        self.assertNotIn(PIN.encode(), b"".join(map(encode, self.server.heard)))

    def test_where_there_is_no_pin_a_given_one_is_not_used(self) -> None:
        self.server.pins.clear()
        with mock.patch("e2ee.client.registering.passcode_run.stretch_pin", side_effect=AssertionError):
            self.successResultOf(self.begin_with(PIN))
        self.assertEqual(self.server.count(m.ProvePin), 0)


class WrongPinTests(PinCase):
    """The code is spent, the account is as it was."""

    def test_a_wrong_pin(self) -> None:
        failure = self.refused_with("wrong")
        self.assertEqual(failure.code, Code.WRONG_PIN)
        self.assertIn("the registration PIN is wrong", failure.sentence)
        self.assertIn("used up", failure.sentence)
        self.assert_nothing_is_registered()

    def test_no_pin_where_one_is_needed_and_nothing_more_is_sent(self) -> None:
        failure = self.failureResultOf(self.begin(Codes(self.clock, RIGHT)), Failure).value
        self.assertEqual(failure.code, Code.PIN_REQUIRED)
        self.assertIn("--pin-file", failure.sentence)
        self.assertEqual(self.server.count(m.ProvePin), 0)
        self.assert_nothing_is_registered()

    def test_the_next_command_asks_for_a_new_code_and_does_not_log_in(self) -> None:
        self.refused_with("wrong")
        self.server.code = "777777"
        codes = Codes(self.clock, "777777")
        self.successResultOf(self.begin(codes, pins=GivenPin(PIN)))
        self.assertEqual((self.server.count(m.RequestCode), self.server.count(m.LogIn)), (2, 0))

    def test_a_person_is_not_asked_for_another_pin_or_code(self) -> None:
        codes = Codes(self.clock, RIGHT, RIGHT, interactive=True)
        failure = self.failureResultOf(self.begin(codes, pins=GivenPin("wrong")), Failure).value
        self.assertEqual((failure.code, codes.asked), (Code.WRONG_PIN, 1))

    def test_too_many_tries_are_told_with_the_time_and_not_waited_out(self) -> None:
        for seconds in (86_400.0, 1.0):
            self.server.pin_faults, self.server.retry_after = ["rate_limited"], seconds
            self.server.code = f"{int(seconds):06}"
            codes = Codes(self.clock, self.server.code)
            failure = self.failureResultOf(self.begin(codes, pins=GivenPin(PIN)), Failure).value
            self.assertEqual((failure.code, failure.retry_after), (Code.RATE_LIMITED, seconds))
            self.assert_nothing_is_registered()

    def test_any_other_refusal_ends_it(self) -> None:
        for number, (fault, code) in enumerate(
            (("unavailable", Code.UNAVAILABLE), ("proof_refused", Code.WRONG_CODE), ("busy", Code.BUSY))
        ):
            self.server.pin_faults, self.server.code = [fault], f"{number:06}"
            codes = Codes(self.clock, self.server.code, interactive=True)
            failure = self.failureResultOf(self.begin(codes, pins=GivenPin(PIN)), Failure).value
            self.assertEqual((failure.code, codes.asked), (code, 1))
            self.assert_nothing_is_registered()

    def test_a_wrong_pin_of_register_again_keeps_the_old_identity(self) -> None:
        self.successResultOf(self.begin_with(PIN))
        before = self.own()
        self.server.code = "777777"
        codes = Codes(self.clock, "777777")
        failure = self.failureResultOf(self.begin(codes, pins=GivenPin("wrong"), again=True), Failure)
        self.assertEqual(failure.value.code, Code.WRONG_PIN)
        self.assertEqual(self.own(), before)


class QuestionTests(PinCase):
    """Before connection 2, with the first code."""

    def test_it_is_asked_once_and_before_the_second_connection(self) -> None:
        person = Asked(self, PIN)
        codes = Codes(self.clock, WRONG, RIGHT, interactive=True)
        self.successResultOf(self.begin(codes, pins=person))
        self.assertEqual((person.times, person.heard), (1, [m.Hello, m.RequestCode]))

    def test_time_at_the_prompt_does_not_count(self) -> None:
        running = self.begin(
            Codes(self.clock, RIGHT, interactive=True), pins=Asked(self, PIN, 100.0), timeout=5.0
        )
        self.clock.advance(100)
        self.clock.advance(0)
        self.successResultOf(running)


class FalseServerTests(PinCase):
    """Nothing that PINs could be tried against leaves before the server has proven itself."""

    def assert_pin_stays_here(self, answer: Any) -> None:
        self.server.other[m.Prove] = answer
        failure = self.refused_with(PIN)
        self.assertEqual(failure.code, Code.WRONG_CODE)
        self.assertIn("forgotten", failure.sentence)
        self.assertEqual(self.server.count(m.ProvePin), 0)
        self.assertIsNone(self.read(load_identity))

    def test_a_wrong_confirmation_of_the_outcome(self) -> None:
        outcome = encode(m.RegistrationOutcome(m.OutcomeKind.PIN_REQUIRED, SALT))
        self.assert_pin_stays_here(
            lambda line, prove: line.say(m.PinRequired(prove.n, outcome, b"\x66" * 32))
        )

    def test_another_salt_than_the_confirmed_one(self) -> None:
        def swap(line: Line, prove: m.Prove) -> None:
            confirmed = encode(m.RegistrationOutcome(m.OutcomeKind.PIN_REQUIRED, SALT))
            swapped = encode(m.RegistrationOutcome(m.OutcomeKind.PIN_REQUIRED, b"another salt    "))
            assert line.confirmations is not None
            confirmation = line.confirmations.server(prove.body, confirmed)
            line.say(m.PinRequired(prove.n, swapped, confirmation))

        self.assert_pin_stays_here(swap)

    def test_an_outcome_under_the_wrong_name(self) -> None:
        """Confirmed, but it says something else than its message, or has no salt, or one too many."""
        kinds, asks = m.OutcomeKind, m.PinRequired
        for number, (answer, kind, salt) in enumerate(
            (
                (asks, kinds.REGISTERED, None),
                (asks, kinds.PIN_REQUIRED, None),
                (asks, kinds.REGISTERED, SALT),
                (m.Proved, kinds.PIN_REQUIRED, SALT),
                (m.Proved, kinds.REGISTERED, SALT),
            )
        ):
            with self.subTest(number=number):
                self.server.code = f"{number:06}"
                self.server.other[m.Prove] = partial(say_confirmed, answer, kind, salt)
                codes = Codes(self.clock, self.server.code)
                failure = self.failureResultOf(self.begin(codes, pins=GivenPin(PIN)), Failure).value
                self.assertEqual(failure.code, Code.WRONG_CODE)
                self.assertIsNone(self.read(load_identity))
        self.assertEqual(self.server.count(m.ProvePin), 0)

    def test_an_answer_to_the_pin_that_confirms_another_step(self) -> None:
        self.server.pin_faults = ["lie"]
        self.assertEqual(self.refused_with(PIN).code, Code.WRONG_CODE)
        self.assert_nothing_is_registered()


class LostAnswerTests(PinCase):
    """The PIN has left, and nobody knows what came of it."""

    def test_an_answer_lost_after_the_commit_is_made_up_for_by_logging_in(self) -> None:
        self.server.pin_faults = ["commit and drop"]
        self.successResultOf(self.begin_with(PIN))
        self.assertEqual(self.own().statement, self.server.accounts[ALICE])
        self.assertEqual((self.server.count(m.LogIn), self.server.count(m.Start)), (1, 1))

    def test_a_login_that_is_refused_means_that_the_code_is_gone(self) -> None:
        self.server.pin_faults = ["drop"]
        self.assertEqual(self.refused_with(PIN).code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.LogIn), 1)
        self.assert_nothing_is_registered()

    def test_a_crash_before_the_answer_gives_the_code_no_second_run(self) -> None:
        self.server.other[m.ProvePin] = lambda line, message: None
        self.begin_with(PIN).addErrback(lambda _: None)
        del self.server.other[m.ProvePin]
        self.vault = self.open()  # the process is gone, a new one begins
        self.assertEqual(self.refused_with(PIN).code, Code.WRONG_CODE)
        self.assertEqual((self.server.count(m.LogIn), self.server.count(m.Start)), (1, 1))

    def test_a_crash_after_the_commit_is_made_up_for_by_the_next_command(self) -> None:
        self.server.pin_faults = ["commit and drop"]
        self.server.other[m.LogIn] = lambda line, message: None
        self.begin_with(PIN).addErrback(lambda _: None)
        del self.server.other[m.LogIn]
        self.vault = self.open()
        codes = Codes(self.clock)
        registration = self.successResultOf(self.begin(codes))
        self.assertEqual((registration.device, codes.asked), (self.server.accounts[ALICE].device, 0))
