"""Passcodes: the same answer for everyone, limits that send nothing, and codes that stay secret."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreUnavailable
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server.policy import Policy, RegistrationMode
from e2ee.server.refusal import Refusal
from e2ee.server.senders.interface import CodeNotSent
from e2ee.store.server.ports import PasscodeRequest
from e2ee.wire.codec import encode
from e2ee.wire.messages import CodeRequested, RefusalCode, RequestCode
from tests.server.registration_house import ALICE, BOB, SOURCE, START_WALL, House
from tests.server.test_senders import logged


class PasscodeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def request(self, number: str = ALICE, source: str = SOURCE) -> CodeRequested:
        return self.successResultOf(self.asked(number, source))

    def asked(self, number: str = ALICE, source: str = SOURCE) -> Deferred[CodeRequested]:
        return Deferred.fromCoroutine(
            self.house.registration.request_code(source, RequestCode(7, number))
        )

    def refused(self, number: str = ALICE, source: str = SOURCE) -> Refusal:
        failure = self.failureResultOf(self.asked(number, source), Refusal)
        assert isinstance(failure.value, Refusal)
        return failure.value


class AnswerTests(PasscodeTestCase):
    def test_a_code_of_six_digits_has_gone_out_when_the_request_is_answered(self) -> None:
        answer = self.request()
        ((address, code, expires_at),) = self.house.sender.sent
        self.assertEqual(address, ALICE)
        self.assertRegex(code, r"\A[0-9]{6}\Z")
        self.assertEqual(expires_at, int((START_WALL + 600) * 1000))
        self.assertEqual((answer.n, answer.expires_in, answer.retry_after), (7, 600, None))
        self.assertEqual(len(answer.session), 16)

    def test_a_number_with_an_account_gets_the_same_bytes_and_the_same_work(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.house.register(ALICE)))
        known, unknown = self.request(ALICE, "192.0.2.2"), None
        # The wait for another code is Alice's whether she has an account or not, so let it pass.
        if known.retry_after:
            self.house.service_time += known.retry_after
            known = self.request(ALICE, "192.0.2.2")
        unknown = self.request(BOB, "192.0.2.3")
        blank = bytes(16)
        self.assertEqual(
            encode(known).replace(known.session, blank), encode(unknown).replace(unknown.session, blank)
        )

    def test_all_spellings_of_a_number_are_one_number(self) -> None:
        self.request("+442079460000")
        self.assertIsNotNone(self.request("+4402079460000").retry_after)
        self.assertEqual([address for address, _, _ in self.house.sender.sent], ["+442079460000"])

    def test_what_is_not_a_possible_number_is_refused_with_the_reason(self) -> None:
        refused = self.refused("+1555")
        self.assertEqual(refused.code, RefusalCode.INVALID_NUMBER)
        self.assertIn("too short", refused.sentence)
        self.assertEqual(self.refused("+999123456789").code, RefusalCode.INVALID_NUMBER)

    def test_a_closed_registration_is_the_same_for_all(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.house.register(ALICE)))
        self.house.registration.apply(Policy(registration=RegistrationMode.CLOSED))
        sent = len(self.house.sender.sent)
        answers = {
            (refused.code, refused.sentence, refused.retry_after)
            for refused in (self.refused(ALICE), self.refused(BOB), self.refused("+1555"))
        }
        self.assertEqual({code for code, _, _ in answers}, {RefusalCode.REGISTRATION_CLOSED})
        self.assertEqual(len(answers), 1)
        self.assertEqual(len(self.house.sender.sent), sent)

    def test_codes_use_the_whole_range_and_keep_their_zeros(self) -> None:
        codes = set()
        for index in range(200):
            self.request(f"+1555010{index:04d}", f"192.0.2.{index}")
            codes.add(self.house.sender.code)
        self.assertGreater(len(codes), 190)
        self.assertTrue(any(code.startswith("0") for code in codes))
        self.assertEqual({len(code) for code in codes}, {6})


class SenderTests(PasscodeTestCase):
    def test_a_reason_that_lies_in_the_number_changes_nothing_in_the_answer(self) -> None:
        good = self.request(ALICE)
        self.house = House()
        self.house.sender.failure = CodeNotSent("no route", about_number=True)
        texts = logged(self)
        bad = self.request(ALICE)
        self.assertEqual((bad.expires_in, bad.retry_after), (good.expires_in, good.retry_after))
        self.assertIn("a passcode was not sent: no route", texts[0])

    def test_any_other_reason_is_told_as_one_sentence_and_when_to_ask_again(self) -> None:
        answers = set()
        for failure in (CodeNotSent("the gateway is down"), RuntimeError("cannot send")):
            self.house = House()
            self.house.sender.failure = failure
            refused = self.refused(ALICE)
            answers.add((refused.code, refused.sentence, refused.retry_after))
        (answer,) = answers
        self.assertEqual(answer[0], RefusalCode.UNAVAILABLE)
        self.assertIn("could not send the passcode", answer[1])
        self.assertEqual(answer[2], 60.0)
        self.house.sender.failure = None
        self.house.service_time += 60.0
        self.assertIsNone(self.request(ALICE).retry_after)

    def test_a_number_with_an_account_is_told_the_same(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.house.register(ALICE)))
        self.house.service_time += 60.0
        self.house.sender.failure = CodeNotSent("the gateway is down")
        known, unknown = self.refused(ALICE), self.refused(BOB)
        self.assertEqual(
            (known.code, known.sentence, known.retry_after),
            (unknown.code, unknown.sentence, unknown.retry_after),
        )


class LimitTests(PasscodeTestCase):
    def test_inside_a_wait_nothing_is_sent_and_the_session_has_no_code(self) -> None:
        first = self.request()
        code = self.house.sender.code
        self.house.service_time += 59
        second = self.request()
        self.assertEqual(second.retry_after, 1)
        self.assertEqual(second.expires_in, first.expires_in)
        self.assertEqual(len(self.house.sender.sent), 1)
        without = self.house.client(PasscodeSessionId(second.session), code)
        refused = self.failureResultOf(Deferred.fromCoroutine(without.start()), Refusal)
        self.assertEqual(refused.value.code, RefusalCode.UNKNOWN_SESSION)
        living = self.house.client(PasscodeSessionId(first.session), code)
        self.successResultOf(Deferred.fromCoroutine(living.register()))

    def test_after_the_wait_a_second_session_lives_beside_the_first(self) -> None:
        first = self.house.client(PasscodeSessionId(self.request().session), self.house.sender.code)
        self.house.service_time += 60
        self.assertIsNone(self.request().retry_after)
        self.successResultOf(Deferred.fromCoroutine(first.register()))

    def test_a_fourth_living_session_of_a_number_has_no_code(self) -> None:
        for wait in (60, 120, 0):
            self.assertIsNone(self.request().retry_after)
            self.house.service_time += wait
        self.house.service_time += 300
        self.assertIsNotNone(self.request().retry_after)
        self.assertEqual(len(self.house.sender.sent), 3)

    def test_a_source_asks_for_20_codes_and_guesses_an_hour(self) -> None:
        for index in range(20):
            self.request(f"+1555010{index:04d}")
        refused = self.refused("+15550100199")
        self.assertEqual(refused.code, RefusalCode.RATE_LIMITED)
        self.assertEqual(refused.retry_after, 180)
        self.request("+15550100199", "192.0.2.2")
        self.house.service_time += 180
        self.request("+15550100198")

    def test_a_refused_source_is_refused_before_a_session_is_looked_at(self) -> None:
        for index in range(20):
            self.request(f"+1555010{index:04d}")
        client = self.house.client(PasscodeSessionId(bytes(16)), "000000")
        failure = self.failureResultOf(Deferred.fromCoroutine(client.start()), Refusal)
        self.assertEqual(failure.value.code, RefusalCode.RATE_LIMITED)

    def test_the_servers_own_limits_are_refused_as_such_and_logged(self) -> None:
        for limits in ({"codes_total": 2}, {"codes_per_prefix": 2}):
            self.house = House(Policy().with_limits(limits))
            self.request("+15550100101")
            self.request("+15550100102")
            texts = logged(self)
            refused = self.refused("+15550100103")
            self.assertEqual(refused.code, RefusalCode.RATE_LIMITED)
            self.assertEqual((refused.retry_after, refused.limit), (1800, next(iter(limits))))
            self.assertIn(next(iter(limits)), texts[0])
            self.assertNotIn("+1555", texts[0])

    def test_other_limits_hold_from_the_next_request_on(self) -> None:
        self.request(ALICE)
        self.house.registration.apply(Policy().with_limits({"codes_total": 1}))
        self.assertEqual(self.refused(BOB).code, RefusalCode.RATE_LIMITED)
        self.house.registration.apply(Policy(registration=RegistrationMode.CLOSED))
        self.assertEqual(self.refused(BOB).code, RefusalCode.REGISTRATION_CLOSED)
        self.house.registration.apply(Policy())
        self.request(BOB)

    def test_a_limit_of_the_server_is_logged_once_a_minute_with_a_count(self) -> None:
        self.house = House(Policy().with_limits({"codes_total": 1, "codes_per_source": 0}))
        self.request(ALICE)
        texts = logged(self)
        for _ in range(50):
            self.refused(BOB)
        self.assertEqual(len(texts), 1)
        self.house.service_time += 60.0
        self.refused(BOB)
        self.assertEqual(len(texts), 2)
        self.assertIn("50 requests", texts[1])
        self.assertEqual(self.house.registration.office.limits_reached.reached["codes_total"], 51)

    def test_a_country_prefix_is_its_calling_code(self) -> None:
        self.house = House(Policy().with_limits({"codes_per_prefix": 1}))
        self.request("+15550100101")
        self.assertEqual(self.refused("+12125550102").code, RefusalCode.RATE_LIMITED)
        self.request("+442079460000")
        self.assertEqual(Address("+442079460000").country_code, "44")
        self.assertEqual(Address("+999123456789").country_code, "")

    def test_0_switches_a_limit_off(self) -> None:
        names = ("codes_burst", "codes_per_source", "codes_total", "codes_per_prefix")
        self.house = House(Policy().with_limits(dict.fromkeys(names, 0)))
        for index in range(30):
            self.assertIsNone(self.request(f"+1555010{index:04d}").retry_after)

    def test_new_limits_count_from_the_next_request(self) -> None:
        self.house.registration.apply(Policy().with_limits({"codes_per_source": 1}))
        self.request(ALICE)
        self.assertEqual(self.refused(BOB).code, RefusalCode.RATE_LIMITED)


class StorageTests(PasscodeTestCase):
    def test_the_code_reaches_the_store_only_encrypted(self) -> None:
        stored: list[PasscodeRequest] = []
        passcodes = self.house.registration.office._passcodes
        ask = passcodes.request

        async def spy(request: PasscodeRequest, now: float) -> object:
            stored.append(request)
            return await ask(request, now)

        self.patch(passcodes, "request", spy)
        self.request()
        self.assertNotIn(self.house.sender.code.encode(), stored[0].sealed_code)
        self.assertEqual(stored[0].prefix, "1")
        self.assertNotIn(repr(stored[0].sealed_code), repr(stored[0]))

    def test_a_full_disk_passes_through_and_nothing_is_sent(self) -> None:
        async def full(request: PasscodeRequest, now: float) -> object:
            raise StoreUnavailable

        self.patch(self.house.registration.office._passcodes, "request", full)
        self.failureResultOf(self.asked(), StoreUnavailable)
        self.assertEqual(self.house.sender.sent, [])

    def test_a_code_sealed_under_another_secret_is_an_unknown_session(self) -> None:
        session = PasscodeSessionId(self.request().session)
        self.house.registration.office._code_key = b"t" * 32
        texts = logged(self)
        client = self.house.client(session, self.house.sender.code)
        failure = self.failureResultOf(Deferred.fromCoroutine(client.start()), Refusal)
        self.assertEqual(failure.value.code, RefusalCode.UNKNOWN_SESSION)
        self.assertIn("server.secret", texts[0])
