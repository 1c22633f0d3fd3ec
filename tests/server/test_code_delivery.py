"""Codes on their way: what is told of a failure, when, to whom, and what is counted."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.server.code_delivery import STOP_SECONDS, CodeDelivery, CodeOutcome
from e2ee.server.policy import CODE_ANSWER_SECONDS, CODE_SENDING_SECONDS, CODES_UNDER_WAY
from e2ee.server.senders.interface import CodeNotSent
from tests.server.test_senders import CODE, EXPIRES_AT, NUMBER, logged


class TestSender:
    """Takes as long as the test wants."""

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.sending: list[Deferred[None]] = []
        self.began = self.stopped = False

    def start(self) -> None:
        self.began = True

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        sending: Deferred[None] = Deferred()
        self.sending.append(sending)
        await sending

    async def stop(self) -> None:
        self.stopped = True


class DeliveryCase(SynchronousTestCase):
    at_once = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.sender = TestSender(self.at_once)
        self.delivery = CodeDelivery(self.sender, self.clock)
        self.seen: list[tuple[CodeOutcome, float]] = []
        self.delivery.observers.append(lambda outcome, seconds: self.seen.append((outcome, seconds)))
        self.texts = logged(self)

    def deliver(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.delivery.deliver(NUMBER, CODE, EXPIRES_AT))

    def assert_logged(self, *parts: str) -> None:
        """One line for each, with neither code nor number."""
        self.assertEqual(len(self.texts), len(parts), self.texts)
        for text, part in zip(self.texts, parts, strict=True):
            self.assertIn(f"a passcode was not sent: {part}", text)
            self.assertNotIn(CODE, text)
            self.assertNotIn(NUMBER, text)


class AtOnceTests(DeliveryCase):
    """Console and file: the requester is answered when the code is written."""

    at_once = True

    def test_the_answer_waits_for_the_sender(self) -> None:
        delivered = self.deliver()
        self.clock.advance(CODE_ANSWER_SECONDS)
        self.assertNoResult(delivered)
        self.sender.sending[0].callback(None)
        self.successResultOf(delivered)
        self.assertEqual(self.seen, [(CodeOutcome.SENT, CODE_ANSWER_SECONDS)])

    def test_a_requester_who_has_gone_does_not_stop_his_code(self) -> None:
        delivered = self.deliver()
        delivered.cancel()
        self.failureResultOf(delivered)
        self.sender.sending[0].callback(None)
        self.assertEqual(self.delivery.outcomes, {CodeOutcome.SENT: 1})
        self.assert_logged()

    def test_a_failure_is_told_at_once(self) -> None:
        delivered = self.deliver()
        self.sender.sending[0].errback(CodeNotSent("the disk is full"))
        self.failureResultOf(delivered, CodeNotSent)
        self.assert_logged("the disk is full")


class LaterTests(DeliveryCase):
    """Gateways: the requester is answered after a fixed time, whatever has happened until then."""

    def test_every_answer_comes_at_the_same_time(self) -> None:
        for outcome in (None, CodeNotSent("no route", about_number=True), CodeNotSent("down"), "never"):
            self.sender.sending.clear()
            delivered = self.deliver()
            if isinstance(outcome, CodeNotSent):
                self.sender.sending[0].errback(outcome)
            elif outcome is None:
                self.sender.sending[0].callback(None)
            self.clock.advance(CODE_ANSWER_SECONDS - 0.001)
            self.assertNoResult(delivered)
            self.clock.advance(0.001)
            if isinstance(outcome, CodeNotSent) and not outcome.about_number:
                self.failureResultOf(delivered, CodeNotSent)
            else:
                self.successResultOf(delivered)

    def test_what_fails_after_the_answer_is_logged_and_counted(self) -> None:
        delivered = self.deliver()
        self.clock.advance(CODE_ANSWER_SECONDS)
        self.successResultOf(delivered)
        self.clock.advance(1.0)
        self.sender.sending[0].errback(CodeNotSent("down"))
        self.assert_logged("down")
        self.assertEqual(self.seen, [(CodeOutcome.FAILED, CODE_ANSWER_SECONDS + 1.0)])

    def test_a_requester_who_has_gone_does_not_stop_his_code(self) -> None:
        delivered = self.deliver()
        delivered.cancel()
        self.failureResultOf(delivered)
        self.sender.sending[0].callback(None)
        self.assertEqual(self.delivery.outcomes[CodeOutcome.SENT], 1)

    def test_a_sender_has_a_minute(self) -> None:
        self.deliver()
        self.clock.advance(CODE_SENDING_SECONDS - 0.001)
        self.assertEqual(self.seen, [])
        self.clock.advance(0.001)
        self.assertEqual(self.seen, [(CodeOutcome.LATE, CODE_SENDING_SECONDS)])
        self.assert_logged("its sender took more than 60 seconds")

    def test_so_many_are_under_way_and_not_one_more(self) -> None:
        delivered = [self.deliver() for _ in range(CODES_UNDER_WAY)]
        self.failureResultOf(self.deliver(), CodeNotSent)
        self.assertEqual(len(self.sender.sending), CODES_UNDER_WAY)
        self.assertEqual(self.delivery.outcomes, {CodeOutcome.FULL: 1})
        self.sender.sending[0].callback(None)
        delivered.append(self.deliver())
        self.clock.advance(CODE_ANSWER_SECONDS)
        for each in delivered:
            self.successResultOf(each)

    def test_an_unexpected_error_is_logged_by_its_kind_alone(self) -> None:
        delivered = self.deliver()
        self.sender.sending[0].errback(RuntimeError(f"{NUMBER} {CODE}"))
        self.clock.advance(CODE_ANSWER_SECONDS)
        told = self.failureResultOf(delivered, CodeNotSent).value
        self.assertNotIn(CODE, str(told))
        self.assert_logged("RuntimeError")
        self.assertEqual([outcome for outcome, _ in self.seen], [CodeOutcome.DEFECT])

    def test_a_sender_that_raises_before_it_waits_is_no_different(self) -> None:
        async def raising(address: Address, code: str, expires_at: int) -> None:
            raise CodeNotSent("no route", about_number=True)

        self.patch(self.sender, "send", raising)
        delivered = self.deliver()
        self.assertNoResult(delivered)
        self.clock.advance(CODE_ANSWER_SECONDS)
        self.successResultOf(delivered)
        self.assertEqual([outcome for outcome, _ in self.seen], [CodeOutcome.NUMBER])

    def test_each_outcome_is_counted_once(self) -> None:
        for end in (None, CodeNotSent("x"), CodeNotSent("y", about_number=True), KeyError("z")):
            self.deliver().addErrback(lambda _: None)
            if end is None:
                self.sender.sending[-1].callback(None)
            else:
                self.sender.sending[-1].errback(end)
        self.clock.advance(CODE_ANSWER_SECONDS)
        expected = (CodeOutcome.SENT, CodeOutcome.FAILED, CodeOutcome.NUMBER, CodeOutcome.DEFECT)
        self.assertEqual(self.delivery.outcomes, dict.fromkeys(expected, 1))
        self.assertEqual([outcome for outcome, _ in self.seen], list(expected))

    def test_a_sender_that_does_not_give_up_is_not_waited_for(self) -> None:
        async def stubborn(address: Address, code: str, expires_at: int) -> None:
            while True:
                waiting: Deferred[None] = Deferred()
                try:
                    await waiting
                except CancelledError:
                    continue

        self.patch(self.sender, "send", stubborn)
        self.deliver().addErrback(lambda _: None)
        stopped = Deferred.fromCoroutine(self.delivery.stop())
        self.clock.advance(STOP_SECONDS - 0.001)
        self.assertNoResult(stopped)
        self.clock.advance(0.001)
        self.successResultOf(stopped)
        self.assertTrue(self.sender.stopped)

    def test_stopping_gives_up_what_is_under_way_and_then_stops_the_sender(self) -> None:
        self.delivery.start()
        self.assertTrue(self.sender.began)
        self.deliver().addErrback(lambda _: None)
        self.successResultOf(Deferred.fromCoroutine(self.delivery.stop()))
        self.assertTrue(self.sender.stopped)
        self.assert_logged("the server stopped")
        self.clock.advance(CODE_ANSWER_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
