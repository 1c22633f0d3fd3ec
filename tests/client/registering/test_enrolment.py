"""Registration by passcode: the whole of it, and each way in which it can be cut off or lied to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import prekey_allowance
from e2ee.client.deadline import Deadline
from e2ee.client.registering.code_sources import CodeSource
from e2ee.client.registering.enrolment import GUESSES, Enrolment, Registration, Surroundings
from e2ee.client.registering.pending_state import load_pending
from e2ee.client.registering.pin_sources import PinSource
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.prekeys import verify_kem_prekey
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.identity import load_identity, load_registration, load_server
from e2ee.store.client.prekeys import ONE_TIME_KINDS, PreKeyKind, newest_prekey, prekey_secret
from e2ee.store.client.vault import Vault, open_vault
from e2ee.store.connection import Connection
from e2ee.store.stepping import SteppedLanes
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from tests.client.server_double import BACKUP_PIN, LATER_PIN, LINK, ServerDouble
from tests.crypto.rsa_keys import use_old_rsa_keys

T = TypeVar("T")

ALICE = Address("+15550100101")
BOB = Address("+15550100102")
RIGHT, WRONG = "123456", "654321"


def at_once(work: Callable[[], T], /) -> Awaitable[T]:
    """In place of a thread."""
    return execute(work)


class Codes:
    """A source with these codes. A person (`interactive`) takes `seconds` for each."""

    def __init__(
        self, clock: Clock, *codes: str, interactive: bool = False, seconds: float = 0.0, timed: bool = False
    ) -> None:
        self.clock = clock
        self.codes = list(codes)
        self.interactive = interactive
        self.timed = timed
        self.seconds = seconds
        self.asked = 0

    async def code(self) -> str:
        self.asked += 1
        if self.seconds:
            await deferLater(self.clock, self.seconds)
        if not self.codes:
            raise Failure(Code.WRONG_CODE, "nobody types any more")
        return self.codes.pop(0)


class EnrolmentCase(SynchronousTestCase):
    """A vault, a double of the server, and a clock that a test advances."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.server = ServerDouble(self.clock)
        self.notices: list[str] = []
        self.entropy = seeded_entropy("client")
        self.path = Path(self.mktemp())
        self.vault = self.open()

    def open(self) -> Vault:
        """Also after a crash: what is on the disk is all that is left."""
        opening = open_vault(self.path, b"k" * 32, self.clock, self.fail, lanes=SteppedLanes())
        vault: Vault = self.successResultOf(Deferred.fromCoroutine(opening))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(vault.close())))
        return vault

    def read(self, operation: Callable[[Connection], T]) -> T:
        found: T = self.successResultOf(Deferred.fromCoroutine(self.vault.read(operation)))
        return found

    def begin(
        self,
        codes: CodeSource,
        *,
        address: Address = ALICE,
        link: ConnectLink = LINK,
        timeout: float | None = 30.0,
        pins: PinSource | None = None,
        again: bool = False,
        suite: KemSuite = KemSuite.ML_KEM_1024,
    ) -> Deferred[Registration]:
        async def run() -> Registration:
            state = await load_pending(self.vault, link, None, address)
            around = Surroundings(
                self.clock,
                at_once,
                self.entropy,
                self.server.connect,
                self.notices.append,
                self.clock.seconds,
            )
            deadline = Deadline(self.clock, timeout)
            enrolment = Enrolment(
                state, codes, around, deadline, pins=pins, invite=link.invite, again=again, suite=suite
            )
            return await enrolment.register()

        running = Deferred.fromCoroutine(run())
        self.clock.advance(0)
        return running

    def register(self, *codes: str, interactive: bool = False, **options: Any) -> Registration:
        source = Codes(self.clock, *codes, interactive=interactive)
        registered: Registration = self.successResultOf(self.begin(source, **options))
        return registered

    def refused(self, *codes: str, interactive: bool = False, **options: Any) -> Failure:
        source = Codes(self.clock, *codes, interactive=interactive)
        failure: Failure = self.failureResultOf(self.begin(source, **options), Failure).value
        return failure

    def own(self) -> OwnDevice:
        encoded = self.read(load_identity)
        assert encoded is not None
        return OwnDevice.decode(encoded)


class RegistrationTests(EnrolmentCase):
    """When all goes well."""

    def test_the_server_and_the_vault_have_the_same_identity(self) -> None:
        registration = self.register(RIGHT)
        account = self.server.accounts[ALICE]
        self.assertEqual(self.own().statement, account)
        self.assertEqual((registration.address, registration.device), (ALICE, account.device))
        self.assertEqual(registration.fingerprint, Registration.of(self.own()).fingerprint)
        self.assertEqual(len(registration.fingerprint), 64)
        self.assertIsNone(self.read(load_registration))

    def test_it_takes_two_connections_and_leaves_none(self) -> None:
        self.register(RIGHT)
        kinds = [type(message) for message in self.server.heard]
        self.assertEqual(kinds, [m.Hello, m.RequestCode, m.Hello, m.Start, m.Prove])
        self.assertEqual(self.server.lines, [])
        self.assertEqual([call for call in self.clock.getDelayedCalls() if "truncate" not in str(call)], [])

    def test_the_code_is_in_no_message(self) -> None:
        self.register(RIGHT)
        self.assertNotIn(RIGHT, repr(self.server.heard))

    def test_the_private_halves_of_the_prekeys_are_in_the_vault(self) -> None:
        self.register(RIGHT)
        for kind, key_id in ((PreKeyKind.SIGNED, 1), (PreKeyKind.LAST_RESORT, 2)):
            self.assertIsNotNone(self.read(partial(prekey_secret, kind=kind, key_id=key_id)))

    def test_all_private_halves_are_on_disk_before_the_proof_leaves(self) -> None:
        kept: list[bool] = []
        prove = self.server._prove

        def look_first(line: Any, message: m.Prove) -> None:
            pending = self.read(load_registration)
            kept.append(pending is not None and pending.proved and pending.keys is not None)
            prove(line, message)

        self.server.other[m.Prove] = look_first
        self.register(RIGHT)
        self.assertEqual(kept, [True])

    def test_the_server_is_remembered_without_the_invite(self) -> None:
        self.register(RIGHT, link=replace(LINK, invite=b"please"))
        server = self.read(load_server)
        assert server is not None
        self.assertEqual((server.link, server.highest_version), (str(LINK), 1))
        asked = [message for message in self.server.heard if isinstance(message, m.RequestCode)]
        self.assertEqual(asked[0].invite, b"please")

    def test_a_server_on_its_backup_key_is_remembered_with_the_pin_it_announces(self) -> None:
        self.server.served_by, self.server.backup_pin = BACKUP_PIN, LATER_PIN
        self.register(RIGHT)
        server = self.read(load_server)
        assert server is not None
        self.assertEqual(ConnectLink.parse(server.link).pins, (BACKUP_PIN, LATER_PIN))

    def test_a_registered_profile_is_left_alone(self) -> None:
        self.register(RIGHT)
        before, heard = self.own(), len(self.server.heard)
        self.assertEqual(self.refused(RIGHT).code, Code.ALREADY_REGISTERED)
        self.assertEqual((self.own(), len(self.server.heard)), (before, heard))

    def test_again_makes_new_keys_with_a_higher_generation(self) -> None:
        self.register(RIGHT)
        before = self.own()
        self.clock.advance(-3600 * 24)  # a clock that was put back
        self.register(RIGHT, again=True)
        after = self.own()
        self.assertNotEqual(before.statement.account_key, after.statement.account_key)
        self.assertNotEqual(before.device, after.device)
        self.assertEqual(after.generation, before.generation + 1)
        self.assertEqual(self.server.accounts[ALICE], after.statement)

    def test_again_makes_one_time_keys_however_many_the_old_identity_had(self) -> None:
        """They are gone with it: nothing of them is kept that an allowance would have to bound."""
        now = int(self.clock.seconds() * 1000)

        def use_up(tx: Connection) -> None:
            for kind in ONE_TIME_KINDS:
                prekey_allowance.note_made(tx, kind, 100, 300, now)

        self.register(RIGHT)
        self.successResultOf(Deferred.fromCoroutine(self.vault.write(use_up)))
        self.refused(WRONG, again=True)
        for kind in ONE_TIME_KINDS:
            self.assertEqual(self.makeable(kind, now), 0)
        self.register(RIGHT, again=True)
        for kind in ONE_TIME_KINDS:
            self.assertEqual(self.makeable(kind, now), 300)

    def makeable(self, kind: PreKeyKind, now: int) -> int:
        return self.read(lambda tx: prekey_allowance.makeable(tx, kind, 100, now))

    def test_again_that_fails_keeps_the_old_identity(self) -> None:
        self.register(RIGHT)
        before = self.own()
        self.refused(WRONG, again=True)
        self.assertEqual(self.own(), before)


class CodeTests(EnrolmentCase):
    """Wrong, mistyped, expired and exhausted codes."""

    def test_a_wrong_code_that_nobody_typed_is_not_tried_again(self) -> None:
        failure = self.refused(WRONG, RIGHT)
        self.assertEqual(failure.code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.Start), 1)
        self.assertEqual(self.server.accounts, {})

    def test_a_person_is_asked_again(self) -> None:
        self.register(WRONG, RIGHT, interactive=True)
        self.assertEqual(self.server.count(m.Start), 2)
        self.assertIn("the code is wrong; try again", self.notices)

    def test_with_rsa_statement_and_last_resort_prekey_say_so(self) -> None:
        use_old_rsa_keys(self)
        self.register(RIGHT, suite=KemSuite.RSA_3072)
        statement = self.own().statement
        self.assertIs(statement.suite, KemSuite.RSA_3072)
        newest = self.read(lambda tx: newest_prekey(tx, PreKeyKind.LAST_RESORT))
        assert newest is not None
        self.assertIs(verify_kem_prekey(newest.public, statement.device_signing_key).suite, statement.suite)

    def test_another_kem_on_the_second_command_replaces_the_keys(self) -> None:
        use_old_rsa_keys(self)
        self.refused(WRONG)
        self.register(RIGHT, suite=KemSuite.RSA_3072)
        self.assertIs(self.own().statement.suite, KemSuite.RSA_3072)

    def test_the_next_command_goes_on_with_the_same_session(self) -> None:
        self.refused(WRONG)
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 1)

    def test_what_is_not_six_digits_costs_no_guess(self) -> None:
        for text in ("", "12345", "1234567", "１２３４５６", "+12345", "12345a"):
            with self.subTest(text=text):
                self.assertEqual(self.refused(text).code, Code.WRONG_CODE)
        self.register("12 345", "abc", RIGHT, interactive=True)
        self.assertEqual(self.server.count(m.Start), 1)

    def test_a_person_is_asked_as_long_as_guesses_remain(self) -> None:
        codes = Codes(self.clock, *(f"{number:06}" for number in range(9)), interactive=True)
        failure = self.failureResultOf(self.begin(codes), Failure).value
        self.assertEqual(failure.code, Code.CODE_EXHAUSTED)
        self.assertEqual((codes.asked, self.server.count(m.Start)), (GUESSES, GUESSES))

    def test_guesses_are_counted_over_several_commands(self) -> None:
        for _ in range(GUESSES - 1):
            self.assertEqual(self.refused(WRONG).code, Code.WRONG_CODE)
        self.assertEqual(self.refused(WRONG).code, Code.CODE_EXHAUSTED)
        self.server.guesses = GUESSES
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 2)

    def test_a_code_typed_twice_is_run_once(self) -> None:
        self.register(WRONG, WRONG, RIGHT, interactive=True)
        self.assertEqual(self.server.count(m.Start), 2)

    def test_a_server_that_counts_otherwise_has_the_last_word(self) -> None:
        self.server.guesses = 0
        self.assertEqual(self.refused(RIGHT).code, Code.CODE_EXHAUSTED)
        self.assertIsNone(self.read(load_registration))

    def test_an_expired_code_says_so_and_the_next_command_asks_for_another(self) -> None:
        self.server.start_faults = ["unknown_session"]
        failure = self.refused(RIGHT)
        self.assertEqual(failure.code, Code.WRONG_CODE)
        self.assertIn("expired", failure.sentence)
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 2)

    def test_a_session_that_is_over_by_the_clock_is_not_used(self) -> None:
        self.refused(WRONG)
        self.clock.advance(600)
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 2)

    def test_a_session_is_for_one_number_and_one_server(self) -> None:
        self.refused(WRONG)
        self.refused(WRONG, address=BOB)
        self.refused(WRONG, address=BOB, link=replace(LINK, port=9999))
        self.assertEqual(self.server.count(m.RequestCode), 3)

    def test_the_pins_that_are_given_now_hold(self) -> None:
        self.refused(WRONG)
        self.register(RIGHT, link=replace(LINK, pins=LINK.pins[:1]))
        self.assertEqual(self.server.links[-1].pins, LINK.pins[:1])
        self.assertEqual(self.server.count(m.RequestCode), 1)


class TimeTests(EnrolmentCase):
    """What counts towards the timeout, and what is waited for."""

    def test_time_at_a_prompt_does_not_count(self) -> None:
        codes = Codes(self.clock, WRONG, RIGHT, interactive=True, seconds=100.0)
        running = self.begin(codes, timeout=5.0)
        for _ in range(4):
            self.clock.advance(50)
            self.clock.advance(0)
        self.successResultOf(running)

    def test_waiting_for_a_file_does(self) -> None:
        running = self.begin(Codes(self.clock, RIGHT, seconds=100.0, timed=True), timeout=5.0)
        self.clock.advance(4.9)
        self.assertNoResult(running)
        self.clock.advance(0.1)
        self.assertEqual(self.failureResultOf(running, Failure).value.code, Code.TIMEOUT)

    def test_the_session_outlives_a_code_that_never_came(self) -> None:
        running = self.begin(Codes(self.clock, RIGHT, seconds=100.0, timed=True), timeout=5.0)
        self.clock.advance(5)
        self.failureResultOf(running, Failure)
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 1)

    def test_a_wait_before_the_next_code_is_waited_out_if_it_fits(self) -> None:
        self.server.sessions = [m.CodeRequested(0, b"", 600.0, 20.0)]
        running = self.begin(Codes(self.clock, RIGHT), timeout=30.0)
        self.clock.advance(19.9)
        self.assertEqual(self.server.count(m.RequestCode), 1)
        self.clock.advance(0.1)
        self.clock.advance(0)
        self.successResultOf(running)

    def test_a_wait_that_does_not_fit_is_told(self) -> None:
        for prepared in (
            m.CodeRequested(0, b"", 600.0, 60.0),
            m.Refused(0, m.RefusalCode.RATE_LIMITED, "slowly", 60.0),
        ):
            with self.subTest(prepared=prepared):
                self.server.sessions = [prepared]
                failure = self.refused(RIGHT, timeout=30.0)
                self.assertEqual((failure.code, failure.retry_after), (Code.RATE_LIMITED, 60.0))
        self.assertIsNone(self.read(load_registration))

    def test_a_busy_server_is_asked_again_with_the_same_code(self) -> None:
        self.server.start_faults, self.server.retry_after = ["busy"], 2.0
        running = self.begin(Codes(self.clock, RIGHT))
        self.clock.advance(2)
        self.clock.advance(0)
        self.successResultOf(running)

    def test_a_server_that_is_away_is_tried_until_the_timeout(self) -> None:
        self.server.unreachable = 1000
        running = self.begin(Codes(self.clock, RIGHT), timeout=30.0)
        for _ in range(31):
            self.clock.advance(1)
        self.assertEqual(self.failureResultOf(running, Failure).value.code, Code.UNREACHABLE)
        self.assertGreater(len(self.server.links), 3)

    def test_a_server_that_comes_back_in_time_is_used(self) -> None:
        self.server.unreachable = 2
        running = self.begin(Codes(self.clock, RIGHT))
        for _ in range(5):
            self.clock.advance(1)
        self.successResultOf(running)

    def test_a_server_that_says_nothing_is_cut_at_the_timeout(self) -> None:
        self.server.other[m.RequestCode] = lambda line, message: None
        running = self.begin(Codes(self.clock, RIGHT), timeout=5.0)
        self.clock.advance(5)
        self.assertEqual(self.failureResultOf(running, Failure).value.code, Code.UNREACHABLE)
        self.assertEqual(self.server.lines, [])

    def test_trust_failures_are_not_tried_again(self) -> None:
        self.server.connect_failures = [Failure(Code.PIN_MISMATCH, "wrong pin")]
        self.assertEqual(self.refused(RIGHT).code, Code.PIN_MISMATCH)
        self.assertEqual(len(self.server.links), 1)
        self.assertIsNone(self.read(load_registration))

    def test_a_closed_registration_says_so(self) -> None:
        self.server.sessions = [m.Refused(0, m.RefusalCode.REGISTRATION_CLOSED, "closed")]
        self.assertEqual(self.refused(RIGHT).code, Code.REGISTRATION_CLOSED)


class FalseServerTests(EnrolmentCase):
    """One run for one typed code."""

    def assert_code_is_gone(self, failure: Failure) -> None:
        self.assertEqual(failure.code, Code.WRONG_CODE)
        self.assertIn("forgotten", failure.sentence)
        runs = self.server.count(m.Start)
        again = self.refused(RIGHT)
        self.assertEqual((again.code, self.server.count(m.Start)), (Code.WRONG_CODE, runs))
        self.assertIsNone(self.read(load_identity))

    def test_a_wrong_confirmation_ends_it_and_the_code_is_never_run_again(self) -> None:
        self.server.prove_faults = ["lie"]
        self.assert_code_is_gone(self.refused(RIGHT, RIGHT, interactive=True))

    def test_a_server_that_is_right_only_on_its_second_run_gets_none(self) -> None:
        self.server.code = WRONG
        self.server.prove_faults = ["drop"]
        failure = self.refused(RIGHT)
        self.server.code = RIGHT
        self.assert_code_is_gone(failure)

    def test_an_end_before_the_servers_part_counts_as_a_run(self) -> None:
        self.server.start_faults = ["drop"]
        self.assert_code_is_gone(self.refused(RIGHT))

    def test_a_servers_part_that_is_no_element_counts_as_a_run(self) -> None:
        self.server.other[m.Start] = lambda line, start: line.say(m.Started(start.n, b"B" + b"\xff" * 32))
        self.assert_code_is_gone(self.refused(RIGHT))
        self.assertEqual(self.server.count(m.Prove), 0)

    def test_any_other_refusal_of_the_proof_counts_as_a_run(self) -> None:
        self.server.prove_faults = ["unavailable"]
        failure = self.refused(RIGHT)
        self.assertEqual(failure.code, Code.UNAVAILABLE)
        self.assertEqual(self.refused(RIGHT).code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.Start), 1)

    def test_a_new_code_is_run(self) -> None:
        self.server.prove_faults = ["lie"]
        self.refused(RIGHT)
        self.server.code = "777777"
        self.register("777777")

    def test_the_burnt_code_is_free_again_when_no_session_can_live_any_more(self) -> None:
        self.server.prove_faults = ["lie"]
        self.refused(RIGHT)
        self.clock.advance(24 * 3600 - 1)
        self.assertEqual(self.refused(RIGHT).code, Code.WRONG_CODE)
        self.clock.advance(1)
        self.register(RIGHT)

    def test_a_server_that_called_the_code_wrong_gets_no_second_run_of_it(self) -> None:
        self.server.code = WRONG
        self.refused(RIGHT)
        self.server.code = RIGHT
        for _ in range(3):
            self.assertEqual(self.refused(RIGHT).code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.Start), 1)
        self.assertEqual(self.refused(RIGHT).code, Code.CODE_EXHAUSTED)
        self.assertIsNone(self.read(load_identity))

    def test_nor_does_it_after_ending_the_session_early(self) -> None:
        self.server.code = WRONG
        self.refused(RIGHT)
        self.server.code = RIGHT
        self.clock.advance(3600)
        self.assertEqual(self.refused(RIGHT).code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.Start), 1)

    def test_a_burnt_code_is_kept_as_a_digest(self) -> None:
        self.server.prove_faults = ["lie"]
        self.refused(RIGHT)
        rows = self.read(lambda tx: tx.execute("SELECT digest FROM burnt_passcode").fetchall())
        self.assertEqual([len(digest) for (digest,) in rows], [32])


class LostAnswerTests(EnrolmentCase):
    """The proof has left, and nobody knows what came of it."""

    def test_an_answer_lost_after_the_commit_is_made_up_for_by_logging_in(self) -> None:
        self.server.prove_faults = ["commit and drop"]
        self.register(RIGHT)
        self.assertEqual(self.own().statement, self.server.accounts[ALICE])
        self.assertEqual((self.server.count(m.LogIn), self.server.count(m.Start)), (1, 1))

    def test_a_login_that_is_refused_means_that_the_code_is_gone(self) -> None:
        self.server.prove_faults = ["drop"]
        failure = self.refused(RIGHT)
        self.assertEqual(failure.code, Code.WRONG_CODE)
        self.assertEqual(self.server.count(m.LogIn), 1)
        self.assertIsNone(self.read(load_registration))

    def test_a_server_that_stays_away_leaves_it_open_and_the_next_command_finds_out(self) -> None:
        self.server.prove_faults = ["commit and drop"]
        prove = self.server._prove

        def vanish(line: Any, message: m.Prove) -> None:
            prove(line, message)
            self.server.unreachable = 1000

        self.server.other[m.Prove] = vanish
        running = self.begin(Codes(self.clock, RIGHT), timeout=10.0)
        for _ in range(20):
            self.clock.advance(1)
        failure = self.failureResultOf(running, Failure).value
        self.assertEqual(failure.code, Code.UNREACHABLE)
        self.assertIn("answer was lost", failure.sentence)
        self.server.unreachable = 0
        codes = Codes(self.clock)
        self.successResultOf(self.begin(codes))
        self.assertEqual((codes.asked, self.server.count(m.Start)), (0, 1))

    def test_a_crash_after_the_proof_is_made_up_for_by_the_next_command(self) -> None:
        self.server.prove_faults = ["commit and drop"]
        self.server.other[m.LogIn] = lambda line, message: None
        self.begin(Codes(self.clock, RIGHT)).addErrback(lambda _: None)
        del self.server.other[m.LogIn]
        self.vault = self.open()  # the process is gone, a new one begins
        codes = Codes(self.clock)
        registration = self.successResultOf(self.begin(codes))
        self.assertEqual((registration.device, codes.asked), (self.server.accounts[ALICE].device, 0))

    def test_a_crash_before_the_answer_gives_the_code_no_second_run(self) -> None:
        self.server.other[m.Prove] = lambda line, message: None
        self.begin(Codes(self.clock, RIGHT)).addErrback(lambda _: None)
        del self.server.other[m.Prove]
        self.vault = self.open()
        self.assertEqual(self.refused(RIGHT).code, Code.WRONG_CODE)
        self.assertEqual((self.server.count(m.LogIn), self.server.count(m.Start)), (1, 1))
        # The session of a burnt code is of no use: another code was asked for.
        self.assertEqual(self.server.count(m.RequestCode), 2)
        self.server.code = "777777"
        self.register("777777")

    def test_a_crash_while_the_code_is_awaited_keeps_the_session(self) -> None:
        self.begin(Codes(self.clock, RIGHT, seconds=1000.0)).addErrback(lambda _: None)
        self.vault = self.open()
        self.register(RIGHT)
        self.assertEqual(self.server.count(m.RequestCode), 1)
