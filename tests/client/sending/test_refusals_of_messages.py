"""What becomes of messages that the server does not accept at once."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import FailedReason, MessageFailed, MessageSent, SentMessage, SentState
from e2ee.client.sending.lane import WINDOW
from e2ee.errors import Code, Failure
from e2ee.ids import Address, EnvelopeId, MessageId
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import World

ALICE, BOB, NOBODY = "+15550100101", "+15550100102", "+15550100199"
DAY = 24 * 60 * 60.0
WAITING = {
    m.RefusalCode.QUOTA: Code.QUOTA,
    m.RefusalCode.MAILBOX_FULL: Code.MAILBOX_FULL,
    m.RefusalCode.RATE_LIMITED: Code.RATE_LIMITED,
    m.RefusalCode.BUSY: Code.BUSY,
    m.RefusalCode.UNAVAILABLE: Code.UNAVAILABLE,
}


class RefusalTests(SynchronousTestCase):
    """Alice writes, Bob reads, the relay refuses."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "first")

    def refuse_sends(self, answer: m.Message, which: Callable[[int], bool] = lambda number: True) -> None:
        """Answer sends so, counted from 0."""
        count = iter(range(10**6))

        def intercept(message: m.Message) -> m.Message | None:
            return answer if isinstance(message, m.Send) and which(next(count)) else None

        self.world.relay.intercept[self.alice.address] = intercept

    def accepted(self, message_id: MessageId, timeout: float | None = 30.0) -> list[object]:
        """Begins to wait; the list gets the result."""
        outcome: list[object] = []
        waiting = Deferred.fromCoroutine(self.alice.messenger.reached(message_id, SentState.STORED, timeout))
        waiting.addBoth(outcome.append)
        self.world.settle()
        return outcome

    def test_each_refusal_that_passes_leaves_the_message_queued_and_is_tried_again(self) -> None:
        for refusal, code in WAITING.items():
            self.refuse_sends(refused(refusal, 40.0), lambda number: number == 0)
            sent = self.alice.say(self.bob, refusal.value)
            self.assertIs(sent.state, SentState.QUEUED)
            assert sent.error is not None
            self.assertEqual((sent.error.code, sent.error.retry_after), (code, 40.0))
            self.world.wait(39)
            self.assertNotIn(refusal.value, self.bob.read())
            self.world.wait(2)
            self.assertEqual(self.bob.read()[-1:], [refusal.value])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_the_order_is_kept_over_refusals(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.BUSY, 1.0), lambda number: number in (3, 5, 20))
        for number in range(30):
            self.alice.queue(self.bob, str(number))
        self.world.wait(60)
        self.assertEqual(self.bob.read(), ["first", *map(str, range(30))])

    def test_after_a_refusal_the_oldest_is_sent_first_and_says_restart(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.BUSY, 1.0), lambda number: number == 0)
        for number in range(3):
            Deferred.fromCoroutine(self.alice.messenger.queue(self.bob.address, str(number)))
        self.world.settle()
        before = len(self.world.relay.sends(self.alice.address))
        self.world.wait(2)
        again = self.world.relay.sends(self.alice.address)[before:]
        self.assertEqual([one.restart for one in again], [True, False, False])
        self.assertEqual(self.bob.read(), ["first", "0", "1", "2"])

    def test_held_without_a_refusal_begins_again_and_does_not_turn_for_ever(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.HELD))
        before = len(self.world.relay.sends(self.alice.address))
        sent = self.alice.say(self.bob, "held")
        self.assertIs(sent.state, SentState.QUEUED)
        self.assertLess(len(self.world.relay.sends(self.alice.address)) - before, 4)
        self.world.relay.intercept.clear()
        self.world.wait(60)
        self.assertEqual(self.bob.read(), ["first", "held"])

    def test_waiting_for_acceptance_ends_where_the_time_does_not_reach(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.QUOTA, 40.0))
        sent = self.alice.queue(self.bob, "much")
        (answer,) = self.accepted(sent.message_id, 30.0)
        assert isinstance(answer, SentMessage)
        assert answer.error is not None
        self.assertEqual((answer.state, answer.error.code), (SentState.QUEUED, Code.QUOTA))

    def test_waiting_for_acceptance_goes_on_where_the_time_reaches(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.QUOTA, 10.0), lambda number: number == 0)
        sent = self.alice.queue(self.bob, "much")
        outcome = self.accepted(sent.message_id, 30.0)
        self.assertEqual(outcome, [])
        self.world.wait(11)
        self.assertEqual(
            [one.state for one in outcome if isinstance(one, SentMessage)], [SentState.DELIVERED]
        )

    def test_waiting_for_acceptance_ends_at_its_timeout_without_error(self) -> None:
        self.world.relay.lose_answers = True
        sent = self.alice.queue(self.bob, "lost")
        outcome = self.accepted(sent.message_id, 30.0)
        self.world.wait(29)
        self.assertEqual(outcome, [])
        self.world.wait(2)
        (answer,) = outcome
        assert isinstance(answer, SentMessage)
        self.assertEqual((answer.state, answer.error), (SentState.QUEUED, None))

    def test_waiting_for_acceptance_ends_with_the_link(self) -> None:
        self.world.relay.lose_answers = True
        sent = self.alice.queue(self.bob, "lost")
        outcome = self.accepted(sent.message_id, None)
        self.alice.link.ended(Failure(Code.DISPLACED, "elsewhere"), for_good=True)
        self.world.settle()
        (answer,) = outcome
        answer.trap(Failure)  # type: ignore[attr-defined]
        self.assertIs(answer.value.code, Code.DISPLACED)  # type: ignore[attr-defined]

    def test_what_waits_behind_something_waits_for_the_same_reason(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.QUOTA, 40.0))
        self.alice.say(self.bob, "one")
        second = self.alice.say(self.bob, "two")
        assert second.error is not None
        self.assertIs(second.error.code, Code.QUOTA)
        first, behind = self.alice.run(self.alice.messenger.outbox())
        self.assertNotEqual(first.message_id, second.message_id)
        self.assertEqual(behind.message_id, second.message_id)
        assert first.error is not None
        assert behind.error is not None
        self.assertEqual((first.error.code, behind.error.code), (Code.QUOTA, Code.QUOTA))

    def test_what_is_asked_of_the_server_is_not_asked_before_it_said(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.QUOTA, 40.0))
        self.alice.say(self.bob, "one")
        before = len(self.world.relay.sends(self.alice.address))
        self.alice.stop()
        self.alice.start()
        self.world.wait(30)
        self.assertEqual(len(self.world.relay.sends(self.alice.address)), before)
        self.world.relay.intercept.clear()
        self.world.wait(15)
        self.assertEqual(self.bob.read(), ["first", "one"])

    def test_unknown_recipient_fails_and_is_told_once(self) -> None:
        sent = self.alice.queue(Address(NOBODY), "anybody?")
        (answer,) = self.accepted(sent.message_id)
        assert isinstance(answer, SentMessage)
        assert answer.error is not None
        self.assertEqual((answer.state, answer.error.code), (SentState.FAILED, Code.UNKNOWN_RECIPIENT))
        self.assertEqual(self.alice.unshown(), [])

    def test_unknown_recipient_that_nobody_waited_for_is_told_to_the_next_reader(self) -> None:
        sent = self.alice.say(Address(NOBODY), "anybody?")
        (event,) = self.alice.unshown()
        assert isinstance(event, MessageFailed)
        self.assertEqual((event.message_id, event.reason), (sent.message_id, FailedReason.NOT_ACCEPTED))

    def test_who_waits_for_the_end_of_a_message_has_heard_by_then_that_it_failed(self) -> None:
        self.alice.events.clear()
        self.alice.say(Address(NOBODY), "anybody?")
        told = [event for event in self.alice.events if isinstance(event, MessageFailed | MessageSent)]
        self.assertEqual([type(event) for event in told], [MessageFailed, MessageSent])

    def test_a_recipient_who_is_gone_fails_each_message(self) -> None:
        del self.world.relay.accounts[self.bob.address]
        for text in ("one", "two"):
            self.alice.queue(self.bob, text)
        self.world.settle()
        self.assertEqual(len(self.alice.heard(MessageFailed)), 2)
        self.world.relay.accounts[self.bob.address] = self.bob.account

    def test_cancelled_messages_are_not_sent(self) -> None:
        self.refuse_sends(refused(m.RefusalCode.QUOTA, 40.0), lambda number: number == 0)
        sent = self.alice.say(self.bob, "regretted")
        self.alice.say(self.bob, "meant")
        cancelled = self.alice.run(self.alice.messenger.cancel(sent.message_id))
        self.assertIs(cancelled.state, SentState.FAILED)
        self.world.wait(60)
        self.assertEqual(self.bob.read(), ["first", "meant"])

    def test_an_envelope_of_fourteen_days_is_made_anew_and_one_just_younger_is_not(self) -> None:
        for days, same in ((13.9, True), (14.1, False)):
            self.world.relay.lose_answers = True
            self.world.relay.lose_pushes = True
            sent = self.alice.say(self.bob, f"{days} days")
            before = self.world.relay.sends(self.alice.address)[-1].envelope
            self.alice.stop()
            self.world.clock.advance(days * DAY)
            self.world.relay.lose_answers = self.world.relay.lose_pushes = False
            self.alice.start()
            after = self.world.relay.sends(self.alice.address)[-1].envelope
            self.assertEqual(before == after, same)
            self.assertIsNot(
                self.alice.run(self.alice.messenger.sent(sent.message_id)).state, SentState.QUEUED
            )
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["first", "13.9 days", "14.1 days"])

    def test_so_many_are_under_way_to_one_contact_and_no_more(self) -> None:
        self.world.relay.lose_answers = True
        before = len(self.world.relay.sends(self.alice.address))
        for number in range(WINDOW + 5):
            self.alice.queue(self.bob, str(number))
        self.world.settle()
        self.assertEqual(len(self.world.relay.sends(self.alice.address)) - before, WINDOW)

    def test_a_message_that_arrived_in_two_envelopes_is_shown_once(self) -> None:
        self.world.relay.lose_answers = True
        self.alice.say(self.bob, "twice under way")
        self.alice.stop()
        self.world.clock.advance(14.1 * DAY)
        self.world.relay.lose_answers = False
        self.alice.start()
        first, second = self.world.relay.sends(self.alice.address)[-2:]
        self.assertNotEqual(first.envelope, second.envelope)
        self.assertEqual(self.bob.stored.mailbox, [])
        self.assertEqual(self.bob.read(), ["first", "twice under way"])

    def test_a_message_fails_after_thirty_days_without_acceptance(self) -> None:
        self.alice.stop()
        self.alice.start(connect=False)
        sent = self.alice.say(self.bob, "too late")
        self.alice.stop()
        self.world.clock.advance(29.9 * DAY)
        self.refuse_sends(refused(m.RefusalCode.MAILBOX_FULL, 60.0))
        self.alice.start()
        self.assertIs(self.alice.run(self.alice.messenger.sent(sent.message_id)).state, SentState.QUEUED)
        self.alice.link.disconnect()
        self.world.wait(0.2 * DAY)
        (event,) = self.alice.heard(MessageFailed)
        self.assertEqual((event.message_id, event.reason), (sent.message_id, FailedReason.NOT_ACCEPTED))

    def test_a_notice_fails_the_messages_of_its_envelopes(self) -> None:
        self.bob.stop()
        sent = self.alice.say(self.bob, "never fetched")
        self.assertIs(sent.state, SentState.STORED)
        (waiting,) = self.bob.stored.mailbox
        self.bob.stored.mailbox.clear()
        for reason in m.NoticeReason:
            self.assertEqual(FailedReason(reason.value).value, reason.value)
        self.world.relay.notify(
            self.alice.address, m.NoticeReason.EXPIRED, EnvelopeId.of(waiting.envelope)
        )
        self.world.settle()
        (event,) = self.alice.heard(MessageFailed)
        self.assertEqual((event.message_id, event.reason), (sent.message_id, FailedReason.EXPIRED))
        self.assertEqual(self.alice.stored.notices, {})
        self.assertIs(self.alice.run(self.alice.messenger.sent(sent.message_id)).state, SentState.FAILED)

    def test_states_are_told(self) -> None:
        self.alice.events.clear()
        sent = self.alice.say(self.bob, "told")
        self.assertEqual(
            [(one.message.message_id, one.message.state) for one in self.alice.heard(MessageSent)],
            [(sent.message_id, SentState.DELIVERED)],
        )
