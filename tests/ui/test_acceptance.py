"""How long the end of input waits for what was sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui.acceptance import Acceptance
from tests.ui.fakes import BOB

ONE, TWO = MessageId(b"1" * 16), MessageId(b"2" * 16)


class AcceptanceTests(SynchronousTestCase):
    """docs/command-line.md, section 4: until 30 s without an acceptance or a running `retry_after`."""

    def setUp(self) -> None:
        self.acceptance = Acceptance()
        self.acceptance.sent(ONE, BOB)
        self.acceptance.sent(TWO, BOB)

    def change(self, which: MessageId, state: SentState, now: float, error: Failure | None = None) -> bool:
        return self.acceptance.changed(SentMessage(which, BOB, state, error), now)

    def test_an_accepted_or_failed_message_is_not_waited_for(self) -> None:
        self.change(ONE, SentState.STORED, 1.0)
        self.change(TWO, SentState.FAILED, 2.0)
        self.assertEqual((self.acceptance.count, self.acceptance.hopeful), (0, False))

    def test_patience_counts_from_the_last_acceptance(self) -> None:
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 35.0)
        self.change(ONE, SentState.DELIVERED, 20.0)
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 50.0)

    def test_a_running_retry_after_does_not_cost_patience(self) -> None:
        self.change(ONE, SentState.QUEUED, 10.0, Failure(Code.QUOTA, "wait", 100.0))
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 140.0)
        self.change(ONE, SentState.QUEUED, 20.0)
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 35.0)

    def test_a_retry_after_that_brought_nothing_does_not_begin_anew(self) -> None:
        full = Failure(Code.QUOTA, "full", 30.0)
        self.change(ONE, SentState.QUEUED, 10.0, full)
        self.change(ONE, SentState.QUEUED, 40.0, full)
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 70.0)
        self.change(ONE, SentState.STORED, 60.0)
        self.change(TWO, SentState.QUEUED, 60.0, full)
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 120.0)

    def test_a_changed_key_is_not_waited_for(self) -> None:
        changed = Failure(Code.KEY_CHANGED, "another key", 600.0)
        self.change(ONE, SentState.QUEUED, 10.0, changed)
        self.assertTrue(self.acceptance.hopeful)
        self.change(TWO, SentState.QUEUED, 10.0, changed)
        self.assertEqual((self.acceptance.count, self.acceptance.hopeful), (2, False))

    def test_a_reason_is_news_again_when_nothing_has_waited_in_between(self) -> None:
        busy = Failure(Code.BUSY, "busy")
        self.assertTrue(self.change(ONE, SentState.QUEUED, 1.0, busy))
        self.assertFalse(self.change(TWO, SentState.QUEUED, 1.0, busy))
        self.change(ONE, SentState.STORED, 2.0)
        self.change(TWO, SentState.QUEUED, 2.0)
        self.assertFalse(self.change(TWO, SentState.QUEUED, 3.0, busy))
        self.change(TWO, SentState.STORED, 4.0)
        self.acceptance.sent(ONE, BOB)
        self.assertTrue(self.change(ONE, SentState.QUEUED, 5.0, busy))

    def test_a_reason_is_news_once(self) -> None:
        reason = Failure(Code.BUSY, "busy", 1.0)
        self.assertTrue(self.change(ONE, SentState.QUEUED, 1.0, reason))
        self.assertFalse(self.change(ONE, SentState.QUEUED, 2.0, reason))
        self.assertTrue(self.change(ONE, SentState.QUEUED, 3.0, Failure(Code.QUOTA, "full")))

    def test_messages_of_others_change_nothing(self) -> None:
        self.assertFalse(self.change(MessageId(b"3" * 16), SentState.STORED, 50.0))
        self.assertEqual(self.acceptance.patience_ends(5.0, 30.0), 35.0)
        self.acceptance.forget(ONE)
        self.assertEqual(self.acceptance.count, 1)
