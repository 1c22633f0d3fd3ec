"""The link: one connection, kept up while that is right, and never again once it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.link import Link, LinkPhase, LinkState
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.errors import Code, Failure
from e2ee.ids import Address, EnvelopeId
from e2ee.store.client.identity import ServerRecord
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from tests.client.server_double import ACTIVE_PIN, BACKUP_PIN, LATER_PIN, LINK, Line, ServerDouble

ALICE = Address("+15550100101")


class LinkCase(SynchronousTestCase):
    """A link to a double that knows Alice."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = ServerDouble(self.clock)
        self.own = self.account("alice")
        self.states: list[LinkState] = []
        self.pushed: list[m.Message] = []
        self.saved: list[ServerRecord] = []

    def account(self, seed: str) -> OwnDevice:
        own = create_device(ALICE, 1, seeded_entropy(seed))
        self.server.accounts[ALICE] = own.statement
        self.server.statements[ALICE] = own.signed_statement
        return own

    def link(self, *, once: bool = False, highest_version: int = 0) -> Link:
        async def save(record: ServerRecord) -> None:
            self.saved.append(record)

        self.known = KnownServer(ServerRecord(str(LINK), None, highest_version), save)
        return Link(
            self.clock,
            self.server.connect,
            self.known,
            self.own,
            seeded_entropy("backoff"),
            on_push=self.pushed.append,
            on_state=self.states.append,
            once=once,
        )

    def started(self, link: Link) -> Link:
        link.start()
        self.clock.advance(0)
        return link

    def say(self, message: m.Message) -> None:
        self.line().say(message)
        self.clock.advance(0)

    def refuse(self, code: m.RefusalCode) -> None:
        self.line().refuse(code)
        self.clock.advance(0)

    def hang_up(self) -> None:
        self.line().hang_up()
        self.clock.advance(0)

    def wait_until_up(self) -> None:
        for _ in range(20):
            if self.phases()[-1] is not LinkPhase.UP:
                self.clock.advance(self.states[-1].retry_in or 0)
                self.clock.advance(0)
        self.assertIs(self.phases()[-1], LinkPhase.UP)

    def stop(self, link: Link) -> None:
        stopped = Deferred.fromCoroutine(link.stop())
        self.clock.advance(0)
        self.successResultOf(stopped)

    def phases(self) -> list[LinkPhase]:
        return [state.phase for state in self.states]

    def line(self) -> Line:
        return self.server.lines[-1]

    def ask(self, link: Link, message: m.Message) -> Deferred[Any]:
        answer = Deferred.fromCoroutine(link.request(message))
        self.clock.advance(0)
        return answer


class LoginTests(LinkCase):
    """From the first connection to a login."""

    def test_it_connects_greets_and_logs_in(self) -> None:
        link = self.started(self.link())
        self.assertEqual(self.phases(), [LinkPhase.CONNECTING, LinkPhase.UP])
        self.assertEqual([type(message) for message in self.server.heard], [m.Hello, m.LogIn])
        self.assertEqual(link.state.key_exchange, "X25519MLKEM768")
        self.assertIsInstance(link.state.logged_in, m.LoggedIn)

    def test_a_refused_login_is_the_end(self) -> None:
        self.server.accounts.clear()
        self.started(self.link())
        self.assertEqual(self.phases()[-1], LinkPhase.STOPPED)
        failure = self.states[-1].failure
        assert failure is not None
        self.assertEqual(failure.code, Code.LOGGED_OUT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_is_busy_at_login_is_asked_again_when_it_says(self) -> None:
        self.server.login_faults = ["busy"]
        self.server.retry_after = 7.0
        self.started(self.link())
        self.assertEqual(self.states[-1].retry_in, 7.0)
        self.clock.advance(6.9)
        self.assertEqual(self.server.count(m.LogIn), 1)
        self.clock.advance(0.1)
        self.clock.advance(0)
        self.assertEqual(self.phases()[-1], LinkPhase.UP)


class TrustTests(LinkCase):
    """What makes the client stay away for good."""

    def test_a_failed_check_of_the_server_is_the_end(self) -> None:
        for code in (Code.PIN_MISMATCH, Code.CERTIFICATE, Code.NAME_MISMATCH):
            with self.subTest(code=code):
                self.server.connect_failures = [Failure(code, "wrong")]
                self.started(self.link())
                self.assertEqual(self.states[-1].phase, LinkPhase.STOPPED)
                failure = self.states[-1].failure
                assert failure is not None
                self.assertEqual(failure.code, code)
        self.assertEqual(self.server.heard, [])

    def test_a_version_below_the_remembered_one_is_refused_before_anything_is_sent(self) -> None:
        self.started(self.link(highest_version=2))
        self.assertEqual(self.states[-1].phase, LinkPhase.STOPPED)
        failure = self.states[-1].failure
        assert failure is not None
        self.assertEqual(failure.code, Code.CERTIFICATE)
        self.assertEqual(self.server.heard, [])

    def test_a_version_that_was_not_offered_is_refused(self) -> None:
        self.server.version = 2
        self.started(self.link())
        self.assertEqual(self.states[-1].phase, LinkPhase.STOPPED)
        self.assertEqual(self.server.count(m.LogIn), 0)
        self.assertEqual(self.server.lines, [])

    def test_the_highest_version_is_kept(self) -> None:
        self.started(self.link())
        self.assertEqual([record.highest_version for record in self.saved], [1])

    def test_the_active_key_changes_no_pin(self) -> None:
        self.server.backup_pin = LATER_PIN
        self.started(self.link())
        self.assertEqual(self.known.link.pins, (ACTIVE_PIN, BACKUP_PIN))

    def test_the_backup_key_becomes_the_active_one_with_the_backup_it_announces(self) -> None:
        self.server.served_by, self.server.backup_pin = BACKUP_PIN, LATER_PIN
        self.started(self.link())
        self.assertEqual(self.known.link.pins, (BACKUP_PIN, LATER_PIN))
        self.assertEqual(self.saved[-1].link, str(self.known.link))
        self.hang_up()
        self.clock.advance(1)
        self.assertEqual(self.server.links[-1].pins, (BACKUP_PIN, LATER_PIN))

    def test_being_displaced_is_the_end(self) -> None:
        self.started(self.link())
        self.refuse(m.RefusalCode.DISPLACED)
        failure = self.states[-1].failure
        assert failure is not None
        self.assertEqual((self.states[-1].phase, failure.code), (LinkPhase.STOPPED, Code.DISPLACED))
        self.clock.advance(1000)
        self.assertEqual(self.server.count(m.LogIn), 1)

    def test_being_logged_out_is_the_end(self) -> None:
        self.started(self.link())
        self.refuse(m.RefusalCode.LOGGED_OUT)
        failure = self.states[-1].failure
        assert failure is not None
        self.assertEqual((self.states[-1].phase, failure.code), (LinkPhase.STOPPED, Code.LOGGED_OUT))


class ReconnectTests(LinkCase):
    """Losing the connection."""

    def test_waits_double_from_half_a_second_to_a_minute_with_jitter(self) -> None:
        self.server.unreachable = 12
        self.started(self.link())
        for _ in range(11):
            self.clock.advance(self.states[-1].retry_in or 0)
        waits = [state.retry_in for state in self.states if state.retry_in is not None]
        longest = [min(0.5 * 2**attempt, 60.0) for attempt in range(12)]
        for wait, bound in zip(waits, longest, strict=True):
            self.assertTrue(bound / 2 <= wait <= bound, (wait, bound))
        self.assertEqual(len({wait / bound for wait, bound in zip(waits, longest, strict=True)}), 12)
        self.wait_until_up()

    def test_a_connection_that_lasted_starts_with_short_waits_again(self) -> None:
        self.server.unreachable = 5
        self.started(self.link())
        self.wait_until_up()
        self.clock.advance(60)
        self.hang_up()
        self.assertLessEqual(self.states[-1].retry_in or 0, 0.5)

    def test_a_connection_that_ends_at_once_does_not(self) -> None:
        self.server.unreachable = 5
        self.started(self.link())
        self.wait_until_up()
        self.hang_up()
        self.assertGreaterEqual(self.states[-1].retry_in or 0, 8.0)

    def test_unless_an_envelope_was_accepted_or_acknowledged_on_it(self) -> None:
        def accept(line: Line, message: m.Send) -> None:
            line.say(m.Accepted(message.n, m.Outcome.STORED))

        def acknowledge(link: Link) -> None:
            self.say(m.Push(1, "+15550100102", bytes(8), b"envelope"))
            link.send(m.Acknowledge(1, bytes(EnvelopeId.of(b"envelope")), m.Verdict.OPENED))

        self.server.other = {m.Send: accept, m.Acknowledge: lambda line, message: None}
        envelope = m.Send(0, "+15550100102", b"h" * 32, None, b"envelope", b"s" * 40)
        carried: list[Callable[[Link], object]] = [
            lambda link: self.successResultOf(self.ask(link, envelope)),
            acknowledge,
        ]
        for carry in carried:
            self.server.unreachable = 5
            link = self.started(self.link())
            self.wait_until_up()
            carry(link)
            self.hang_up()
            self.assertLessEqual(self.states[-1].retry_in or 0, 0.5)
            self.stop(link)

    def test_once_means_one_attempt(self) -> None:
        self.server.unreachable = 1
        self.started(self.link(once=True))
        self.assertEqual(self.phases(), [LinkPhase.CONNECTING, LinkPhase.STOPPED])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RequestTests(LinkCase):
    """Requests, answers and pushes on one connection."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[m.LookUp] = []
        self.server.other[m.LookUp] = lambda line, message: self.asked.append(message)

    def test_answers_find_their_request_in_any_order(self) -> None:
        link = self.started(self.link())
        answers = [self.ask(link, m.LookUp(0, str(ALICE))) for _ in range(3)]
        for place in (2, 0, 1):
            self.say(m.LookedUp(self.asked[place].n, b"%d" % place))
        self.assertEqual([self.successResultOf(answer).statement for answer in answers], [b"0", b"1", b"2"])

    def test_a_refusal_keeps_the_wires_code_and_the_wait(self) -> None:
        link = self.started(self.link())
        answer = self.ask(link, m.LookUp(0, str(ALICE)))
        self.say(m.Refused(self.asked[0].n, m.RefusalCode.RATE_LIMITED, "slowly", 3.0))
        refusal = self.failureResultOf(answer, Refusal).value
        self.assertEqual(
            (refusal.code, refusal.refusal, refusal.retry_after, refusal.sentence),
            (Code.RATE_LIMITED, m.RefusalCode.RATE_LIMITED, 3.0, "slowly"),
        )

    def test_every_refusal_has_a_code_of_the_command_line(self) -> None:
        for code in m.RefusalCode:
            self.assertIsInstance(Refusal(m.Refused(1, code, "")).code, Code)

    def test_the_end_of_the_connection_answers_what_waits(self) -> None:
        link = self.started(self.link())
        answer = self.ask(link, m.LookUp(0, str(ALICE)))
        self.hang_up()
        self.failureResultOf(answer, LinkLost)
        self.failureResultOf(self.ask(link, m.LookUp(0, str(ALICE))), LinkLost)
        with self.assertRaises(LinkLost):
            link.send(m.AcknowledgeNotice(1))

    def test_what_waits_when_the_device_is_displaced_learns_that(self) -> None:
        link = self.started(self.link())
        answer = self.ask(link, m.LookUp(0, str(ALICE)))
        self.refuse(m.RefusalCode.DISPLACED)
        self.assertEqual(self.failureResultOf(answer, Refusal).value.code, Code.DISPLACED)

    def test_pushes_come_after_the_state_that_says_up(self) -> None:
        order: list[object] = []
        link = self.link()
        link = Link(
            self.clock,
            self.server.connect,
            self.known,
            self.own,
            seeded_entropy("backoff"),
            on_push=order.append,
            on_state=lambda state: order.append(state.phase),
        )

        def log_in(line: Line, message: m.LogIn) -> None:
            line.say(m.LoggedIn(message.n, None, 0, 0, 0))
            line.say(m.Drained())

        self.server.other[m.LogIn] = log_in
        self.started(link)
        self.assertEqual(order, [LinkPhase.CONNECTING, LinkPhase.UP, m.Drained()])

    def test_an_answer_that_nobody_waits_for_any_more_is_let_go(self) -> None:
        link = self.started(self.link())
        answer = self.ask(link, m.LookUp(0, str(ALICE)))
        answer.addErrback(lambda _: None)
        answer.cancel()
        self.say(m.LookedUp(self.asked[0].n, b"late"))
        self.assertEqual(self.phases()[-1], LinkPhase.UP)


class StopTests(LinkCase):
    """Ending on purpose."""

    def test_stopping_closes_the_connection_and_is_the_end(self) -> None:
        link = self.started(self.link())
        self.stop(link)
        self.assertEqual((self.phases()[-1], self.states[-1].failure), (LinkPhase.STOPPED, None))
        self.assertEqual(self.server.lines, [])
        self.clock.advance(100)
        self.assertEqual(self.server.count(m.LogIn), 1)

    def test_stopping_while_it_waits_is_at_once(self) -> None:
        self.server.unreachable = 1
        link = self.started(self.link())
        self.stop(link)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.states[-1], LinkState(LinkPhase.STOPPED))

    def test_stopping_after_the_end_or_twice_changes_nothing(self) -> None:
        self.server.accounts.clear()
        link = self.started(self.link())
        for _ in range(2):
            self.stop(link)
        self.assertEqual(self.states[-1].phase, LinkPhase.STOPPED)

    def test_a_defect_in_the_listener_ends_the_link_and_is_logged(self) -> None:
        link = self.link()

        async def broken(*_: object) -> Any:
            raise ZeroDivisionError

        link._connect = broken
        self.started(link)
        self.assertEqual(self.states[-1].phase, LinkPhase.STOPPED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
