"""The contract of `ports.Passcodes`: sessions, their waits and their guesses."""

from __future__ import annotations

from dataclasses import replace

from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.server.ports import (
    Bucket,
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    PasscodeAllotted,
    PasscodeLimits,
    PasscodeRequest,
)
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    FREE,
    PASSCODE_LIMITS,
    UNLIMITED,
    ContractCase,
    new_account,
    session_id,
)

UNKNOWN = GuessRefused(GuessRefusal.UNKNOWN_SESSION)
EXHAUSTED = GuessRefused(GuessRefusal.EXHAUSTED)


class PasscodesContract(ContractCase):
    """Codes are asked for, guessed at and forgotten."""

    def setUp(self) -> None:
        super().setUp()
        self.asked = 0
        self.use(PASSCODE_LIMITS)

    def use(self, limits: PasscodeLimits) -> None:
        self.passcodes = self.stores.passcodes(limits)

    def ask(self, now: float, address: Address = ALICE, prefix: str = "1") -> PasscodeAllotted:
        """Ask with a new session, whose number is then `self.asked`."""
        self.asked += 1
        session = session_id(self.asked)
        request = PasscodeRequest(session, address, prefix, b"sealed %d" % self.asked)
        allotted = self.done(self.passcodes.request(request, now))
        assert isinstance(allotted, PasscodeAllotted)
        return allotted

    def guess(
        self, session: int, now: float = 0.0, address: Address = ALICE
    ) -> GuessAllowed | GuessRefused:
        return self.done(self.passcodes.guess(session_id(session), address, now))

    def assert_waits(self, answer: PasscodeAllotted, seconds: float, limit: str) -> None:
        self.assertAlmostEqual(answer.retry_after, seconds)
        self.assertEqual(answer.limit, limit)

    # asking

    def test_a_session_gives_its_sealed_code_to_a_guess(self) -> None:
        self.assertEqual(self.ask(0.0), PasscodeAllotted(0.0, ""))
        self.assertEqual(self.guess(1), GuessAllowed(b"sealed 1"))

    def test_the_waits_grow_and_the_last_one_stays(self) -> None:
        self.use(replace(PASSCODE_LIMITS, live_sessions=0, codes=Bucket(100, 1.0)))
        now = 0.0
        for wait in (60.0, 120.0, 300.0, 600.0, 600.0, 600.0):
            self.assertEqual(self.ask(now).retry_after, 0.0)
            self.assert_waits(self.ask(now + wait - 1.0), 1.0, "waits")
            now += wait

    def test_other_limits_hold_from_then_on(self) -> None:
        self.assertEqual(self.ask(0.0).retry_after, 0)
        self.assertEqual(self.ask(0.0).retry_after, 60.0)
        self.passcodes.apply(FREE)
        self.assertEqual(self.ask(0.0).retry_after, 0)

    def test_the_waits_begin_anew_a_day_after_the_last_code(self) -> None:
        self.use(replace(PASSCODE_LIMITS, live_sessions=0, codes=Bucket(100, 1.0)))
        self.ask(0.0)
        self.ask(60.0)
        almost = 60.0 + 86_399.0
        self.ask(almost)
        self.assert_waits(self.ask(almost), 300.0, "waits")
        anew = almost + 86_400.0
        self.ask(anew)
        self.assert_waits(self.ask(anew), 60.0, "waits")

    def test_a_number_has_so_many_live_sessions(self) -> None:
        self.use(replace(FREE, live_sessions=3))
        for now in (0.0, 10.0, 20.0):
            self.assertEqual(self.ask(now).retry_after, 0.0)
        self.assert_waits(self.ask(30.0), 570.0, "live_sessions")
        self.assertEqual(self.ask(600.0).retry_after, 0.0)
        self.assert_waits(self.ask(600.0), 10.0, "live_sessions")
        self.assertEqual(self.ask(600.0, BOB).retry_after, 0.0)

    def test_used_and_exhausted_sessions_are_not_live(self) -> None:
        self.use(replace(FREE, live_sessions=2))
        self.ask(0.0)
        self.ask(0.0)
        for _ in range(5):
            self.guess(1)
        self.assertEqual(self.ask(0.0).retry_after, 0.0)
        self.assertNotEqual(self.ask(0.0).retry_after, 0.0)
        self.done(self.stores.accounts.register(session_id(2), new_account(ALICE), 0.0))
        self.assertEqual(self.ask(0.0).retry_after, 0.0)

    def test_codes_of_one_number_come_from_a_bucket(self) -> None:
        self.use(replace(FREE, codes=Bucket(6, 3600.0)))
        self.assertEqual([self.ask(0.0).retry_after for _ in range(6)], [0.0] * 6)
        self.assert_waits(self.ask(600.0), 3000.0, "codes_burst")
        self.assertEqual(self.ask(600.0, BOB).retry_after, 0.0)
        self.assertEqual(self.ask(3600.0).retry_after, 0.0)

    def test_a_burst_of_no_codes_switches_bucket_and_waits_off(self) -> None:
        self.use(replace(PASSCODE_LIMITS, live_sessions=0, codes=UNLIMITED))
        self.assertEqual({self.ask(0.0).retry_after for _ in range(20)}, {0.0})

    def test_codes_of_the_whole_server_and_of_a_prefix_come_from_buckets(self) -> None:
        self.use(replace(FREE, total=Bucket(2, 60.0), prefix=Bucket(1, 20.0)))
        self.assertEqual(self.ask(0.0, ALICE, "1").retry_after, 0.0)
        self.assert_waits(self.ask(0.0, BOB, "1"), 20.0, "codes_per_prefix")
        self.assertEqual(self.ask(0.0, BOB, "49").retry_after, 0.0)
        self.assert_waits(self.ask(0.0, BOB, "44"), 60.0, "codes_total")

    def test_the_longest_of_all_waits_is_told(self) -> None:
        self.use(replace(PASSCODE_LIMITS, live_sessions=1, codes=Bucket(1, 100.0)))
        self.ask(0.0)
        self.assert_waits(self.ask(0.0), 600.0, "live_sessions")

    def test_a_refused_request_stores_and_charges_nothing(self) -> None:
        self.use(replace(PASSCODE_LIMITS, codes=Bucket(2, 10_000.0), total=Bucket(2, 10_000.0)))
        self.ask(0.0)
        for _ in range(10):
            self.assertNotEqual(self.ask(1.0).retry_after, 0.0)
            self.assertEqual(self.guess(self.asked), UNKNOWN)
        self.assertEqual(self.ask(60.0).retry_after, 0.0)
        self.assertIsInstance(self.guess(1, 60.0), GuessAllowed)

    def test_requests_at_once_count_as_one_after_another(self) -> None:
        requests = [PasscodeRequest(session_id(n), ALICE, "1", b"s") for n in range(1000, 1100)]
        answers = self.together(*(self.passcodes.request(request, 0.0) for request in requests))
        self.assertEqual(answers.count(PasscodeAllotted()), 1)

    # guessing

    def test_a_session_has_five_guesses(self) -> None:
        self.ask(0.0)
        for _ in range(5):
            self.assertEqual(self.guess(1), GuessAllowed(b"sealed 1"))
        self.assertEqual(self.guess(1), EXHAUSTED)

    def test_of_two_hundred_guesses_at_once_exactly_five_are_allowed(self) -> None:
        self.ask(0.0)
        results = self.together(*(self.passcodes.guess(session_id(1), ALICE, 0.0) for _ in range(200)))
        self.assertEqual(sum(isinstance(result, GuessAllowed) for result in results), 5)
        self.assertEqual(results.count(EXHAUSTED), 195)

    def test_unknown_sessions_other_numbers_used_and_expired_ones_are_one(self) -> None:
        self.use(FREE)
        self.ask(0.0)
        self.assertEqual(self.guess(999), UNKNOWN)
        self.assertEqual(self.guess(1, address=BOB), UNKNOWN)
        self.assertEqual(self.guess(1, now=600.0), UNKNOWN)
        self.assertIsInstance(self.guess(1, now=599.9), GuessAllowed)
        self.done(self.stores.accounts.register(session_id(1), new_account(ALICE), 0.0))
        self.assertEqual(self.guess(1), UNKNOWN)

    def test_an_exhausted_session_that_expired_is_unknown(self) -> None:
        self.ask(0.0)
        for _ in range(5):
            self.guess(1)
        self.assertEqual(self.guess(1, now=600.0), UNKNOWN)

    def test_guesses_on_one_number_come_from_a_bucket_over_all_its_sessions(self) -> None:
        self.use(replace(FREE, number_guesses=Bucket(8, 7200.0)))
        self.ask(0.0)
        self.ask(0.0)
        for session in (1, 1, 1, 1, 1, 2, 2, 2):
            self.assertIsInstance(self.guess(session), GuessAllowed)
        limited = self.guess(2, now=100.0)
        self.assertEqual(limited, GuessRefused(GuessRefusal.LIMITED, 7100.0))
        self.ask(0.0, BOB)
        self.assertIsInstance(self.guess(3, address=BOB), GuessAllowed)

    def test_what_is_refused_takes_no_guess_of_session_or_number(self) -> None:
        self.use(replace(FREE, life_seconds=10_000.0, number_guesses=Bucket(6, 7200.0)))
        self.ask(0.0)
        self.ask(0.0)
        for _ in range(5):
            self.guess(1)
        for _ in range(20):
            self.assertEqual(self.guess(1), EXHAUSTED)
            self.assertEqual(self.guess(999), UNKNOWN)
            self.assertEqual(self.guess(2, address=BOB), UNKNOWN)
        self.assertIsInstance(self.guess(2), GuessAllowed)
        for _ in range(20):
            self.assertIsInstance(self.guess(2), GuessRefused)
        self.assertIsInstance(self.guess(2, now=7200.0), GuessAllowed)

    def test_guesses_of_the_whole_server_come_from_a_bucket(self) -> None:
        self.use(replace(FREE, breaker=Bucket(3, 100.0)))
        for address in (ALICE, BOB):
            self.ask(0.0, address)
        for session, address in ((1, ALICE), (2, BOB), (1, ALICE)):
            self.assertEqual(self.guess(session, address=address), GuessAllowed(b"sealed %d" % session))
        self.assertEqual(self.guess(2, address=BOB), GuessRefused(GuessRefusal.BREAKER, 100.0))
        self.assertIsInstance(self.guess(2, 100.0, BOB), GuessAllowed)

    def test_no_code_is_sent_that_nobody_may_guess_at(self) -> None:
        self.use(replace(FREE, breaker=Bucket(1, 100.0)))
        self.ask(0.0)
        self.guess(1)
        self.assert_waits(self.ask(0.0, BOB), 100.0, "wrong_guesses")
        self.assertEqual(self.ask(100.0, BOB).retry_after, 0.0)

    def test_what_the_server_refuses_takes_no_guess_of_session_or_number(self) -> None:
        self.use(replace(FREE, breaker=Bucket(1, 100.0), number_guesses=Bucket(2, 1e6)))
        self.ask(0.0)
        self.guess(1)
        for _ in range(20):
            self.assertEqual(self.guess(1), GuessRefused(GuessRefusal.BREAKER, 100.0))
        self.assertIsInstance(self.guess(1, 100.0), GuessAllowed)

    def test_what_the_number_refuses_takes_no_guess_of_the_server(self) -> None:
        self.use(replace(FREE, breaker=Bucket(2, 1e6), number_guesses=Bucket(1, 1e6)))
        self.ask(0.0)
        self.ask(0.0, BOB)
        for _ in range(20):
            self.guess(1)
        self.assertIsInstance(self.guess(2, address=BOB), GuessAllowed)

    def test_sessions_of_a_number_do_not_touch_each_other(self) -> None:
        self.use(FREE)
        self.ask(0.0)
        self.ask(0.0)
        for _ in range(6):
            self.guess(1)
        for _ in range(5):
            self.assertEqual(self.guess(2), GuessAllowed(b"sealed 2"))

    # forgetting

    def test_sessions_past_their_life_are_forgotten(self) -> None:
        self.use(FREE)
        self.ask(0.0)
        self.ask(0.1)
        self.assertEqual(self.done(self.passcodes.expire(599.9)), 0)
        self.assertEqual(self.done(self.passcodes.expire(600.0)), 1)
        self.assertIsInstance(self.guess(2, 600.0), GuessAllowed)

    def test_forgetting_does_not_shorten_a_wait(self) -> None:
        self.ask(0.0)
        self.ask(60.0)
        self.done(self.passcodes.expire(100.0))
        self.assert_waits(self.ask(100.0), 80.0, "waits")

    def test_a_repr_shows_no_code(self) -> None:
        self.ask(0.0)
        request = PasscodeRequest(PasscodeSessionId(bytes(16)), ALICE, "1", b"sealed secret")
        self.assertNotIn("sealed", repr([request, self.guess(1)]).replace("sealed_code", ""))
