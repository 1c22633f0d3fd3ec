"""Codes on their way: what is told of a failure, when, to whom, and what is counted."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.server.code_delivery import STOP_SECONDS, CodeDelivery
from e2ee.server.counters import CodeOutcome
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
        self.assertEqual(self.seen, [(CodeOutcome.SENT, 0.0)])
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
        self.assertEqual(self.seen, [(CodeOutcome.SENT, 0.0)])

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
        self.assertEqual(self.seen, [(CodeOutcome.FULL, 0.0)])
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


class ReplacingTests(DeliveryCase):
    """A reload has made another sender."""

    def setUp(self) -> None:
        super().setUp()
        self.other = TestSender()
        self.delivery.start()

    def test_later_codes_go_through_the_new_one_and_none_under_way_is_lost(self) -> None:
        self.deliver()
        self.delivery.replace(self.other)
        self.assertEqual((self.other.began, self.sender.stopped), (True, False))
        self.deliver()
        self.assertEqual((len(self.sender.sending), len(self.other.sending)), (1, 1))
        self.sender.sending[0].callback(None)
        self.assertTrue(self.sender.stopped)
        self.assertEqual(self.seen, [(CodeOutcome.SENT, 0.0)])
        self.other.sending[0].callback(None)
        self.assertFalse(self.other.stopped)

    def test_one_that_cannot_start_replaces_nothing(self) -> None:
        self.patch(self.other, "start", self.fail)
        self.assertRaises(self.failureException, self.delivery.replace, self.other)
        self.deliver()
        self.assertEqual((len(self.sender.sending), self.sender.stopped), (1, False))

    def test_a_former_one_that_does_not_stop_is_told(self) -> None:
        async def broken() -> None:
            raise KeyError(NUMBER)

        self.patch(self.sender, "stop", broken)
        self.delivery.replace(self.other)
        [text] = self.texts
        self.assertTrue(text.startswith("a former passcode sender did not stop: KeyError"))
        self.assertNotIn(NUMBER, text)

    def test_the_end_of_the_server_stops_both(self) -> None:
        self.deliver().addErrback(lambda _: None)
        self.delivery.replace(self.other)
        self.successResultOf(Deferred.fromCoroutine(self.delivery.stop()))
        self.assertTrue(self.sender.stopped and self.other.stopped)

    def test_before_the_start_and_after_the_end_nothing_is_begun(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.delivery.stop()))
        self.delivery.replace(self.other)
        self.assertFalse(self.other.began)
        self.delivery.start()
        self.assertTrue(self.other.began)


async def _wait(trying: Deferred[None]) -> None:
    await trying


class ReachTests(DeliveryCase):
    """Whether a sender would work."""

    def reach(self) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.delivery.reach())

    def test_one_that_cannot_be_tried(self) -> None:
        self.assertFalse(self.successResultOf(self.reach()))

    def test_what_comes_of_a_try(self) -> None:
        for end, said in (
            (None, ""), (CodeNotSent("down"), "down"), (RuntimeError(f"{NUMBER}"), "failed (RuntimeError)"),
        ):  # fmt: skip
            trying: Deferred[None] = Deferred()
            self.sender.reach = partial(_wait, trying)  # type: ignore[attr-defined]
            tried = self.reach()
            self.assertNoResult(tried)
            if end is None:
                trying.callback(None)
                self.assertTrue(self.successResultOf(tried))
            else:
                trying.errback(end)
                text = str(self.failureResultOf(tried, CodeNotSent).value)
                self.assertIn(said, text)
                self.assertNotIn(NUMBER, text)

    def test_a_try_has_a_minute(self) -> None:
        async def hang() -> None:
            await Deferred()

        self.sender.reach = hang  # type: ignore[attr-defined]
        tried = self.reach()
        self.clock.advance(CODE_SENDING_SECONDS)
        self.assertIn("60 seconds", str(self.failureResultOf(tried, CodeNotSent).value))
