"""When `receive` waits and when it ends."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from e2ee.client.events import (
    FailedReason,
    FileFacts,
    FileProgress,
    FileReceived,
    FileState,
    LinkDown,
    LinkEnded,
    LinkUp,
    MessageReceived,
)
from e2ee.errors import Code, Failure
from e2ee.ui.options import Options
from e2ee.ui.receiving import Wanted, receive
from e2ee.ui.streams import OutputClosed
from tests.ui.fakes import BOB, CoroutineTestCase, FakeCall, FakeMessenger, failed, message

UNREACHABLE = Failure(Code.UNREACHABLE, "nobody there")


class ReceivingTestCase(CoroutineTestCase):
    """`receive` over a messenger in memory."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.call = FakeCall(self.messenger)
        self.draining: Deferred[None] = Deferred()

    def hold_mailbox(self) -> None:
        """The mailbox is drained when the test says so."""

        async def drained(_: object) -> None:
            await self.draining

        self.patch(self.messenger, "drained", drained)

    def begin(self, wanted: Wanted = Wanted()) -> Deferred[int]:  # noqa: B008 - it is frozen
        return self.start(receive(self.call.as_invocation(), wanted))


class DrainTests(ReceivingTestCase):
    """Without options: the unshown, then everything until the mailbox is drained."""

    def test_nothing_there_is_done(self) -> None:
        self.assertEqual(self.successResultOf(self.begin()), 0)
        self.assertEqual(self.call.printed, [])

    def test_the_unshown_are_printed_first_even_without_a_server(self) -> None:
        self.messenger.waiting = [message("old")]
        self.messenger.connection = UNREACHABLE
        self.assertIs(self.failureResultOf(self.begin(), Failure).value, UNREACHABLE)
        self.assertEqual(self.call.printed, ["old"])
        self.assertEqual(self.messenger.waiting, [])

    def test_what_comes_is_printed_at_once_until_the_mailbox_is_drained(self) -> None:
        self.hold_mailbox()
        ended = self.begin()
        self.messenger.arrive(message("one", number=1))
        self.assertEqual(self.call.printed, ["one"])
        self.messenger.waiting.append(message("two", number=2))
        self.draining.callback(None)
        self.assertEqual(self.successResultOf(ended), 0)
        self.assertEqual(self.call.printed, ["one", "two"])

    def test_a_mailbox_that_goes_on_coming_is_waited_for(self) -> None:
        tries = []

        async def drained(timeout: float) -> None:
            tries.append(timeout)
            if len(tries) < 4:
                self.messenger.arrive(message("hi", number=len(tries)))
                raise Failure(Code.TIMEOUT, "not yet")

        self.patch(self.messenger, "drained", drained)
        self.assertEqual(self.successResultOf(self.begin()), 0)
        self.assertEqual(self.call.printed, ["hi"] * 3)

    def test_a_mailbox_that_falls_silent_is_a_timeout(self) -> None:
        self.messenger.undrained = Failure(Code.TIMEOUT, "not drained")
        self.assertIs(self.failureResultOf(self.begin(), Failure).value.code, Code.TIMEOUT)

    def test_a_closed_output_leaves_the_message_unshown(self) -> None:
        self.messenger.waiting = [message("one")]
        self.call.broken = OutputClosed()
        self.failureResultOf(self.begin(), OutputClosed)
        self.assertEqual(len(self.messenger.waiting), 1)


class MaximumTests(ReceivingTestCase):
    """`--max N` counts messages; the rest stays unshown."""

    def test_enough_unshown_ones_need_no_server(self) -> None:
        self.messenger.waiting = [message("one", number=1), message("two", number=2)]
        self.messenger.connection = UNREACHABLE
        self.assertEqual(self.successResultOf(self.begin(Wanted(maximum=1))), 0)
        self.assertEqual(self.call.printed, ["one"])
        self.assertEqual(len(self.messenger.waiting), 1)

    def test_notices_do_not_count(self) -> None:
        self.messenger.waiting = [failed(1, BOB, FailedReason.EXPIRED), message("two", number=2)]
        self.assertEqual(self.successResultOf(self.begin(Wanted(maximum=1))), 0)
        self.assertEqual(self.call.printed, ["MessageFailed", "two"])

    def test_it_ends_before_the_mailbox_is_drained(self) -> None:
        self.hold_mailbox()
        ended = self.begin(Wanted(maximum=2))
        self.messenger.arrive(message("one", number=1))
        self.assertNoResult(ended)
        self.messenger.arrive(message("two", number=2))
        self.assertEqual(self.successResultOf(ended), 0)


class WaitFirstTests(ReceivingTestCase):
    """`--wait-first` waits for one message."""

    def test_it_ends_with_the_first_message(self) -> None:
        ended = self.begin(Wanted(wait_first=True))
        self.assertNoResult(ended)
        self.messenger.arrive(failed(1, BOB, FailedReason.EXPIRED))
        self.assertNoResult(ended)
        self.messenger.arrive(message("hi", number=2))
        self.assertEqual(self.successResultOf(ended), 0)

    def test_one_that_was_there_is_enough(self) -> None:
        self.messenger.waiting = [message("hi")]
        self.assertEqual(self.successResultOf(self.begin(Wanted(wait_first=True))), 0)

    def test_none_in_time_is_a_timeout(self) -> None:
        ended = self.begin(Wanted(wait_first=True))
        self.call.reactor.advance(30)
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.TIMEOUT)

    def test_being_displaced_ends_the_wait(self) -> None:
        ended = self.begin(Wanted(wait_first=True))
        displaced = Failure(Code.DISPLACED, "a newer connection")
        self.messenger.tell(LinkEnded(displaced))
        self.assertIs(self.failureResultOf(ended, Failure).value, displaced)


class FollowTests(ReceivingTestCase):
    """`--follow` goes on."""

    def test_it_prints_as_it_comes_and_does_not_end(self) -> None:
        ended = self.begin(Wanted(follow=True))
        for number in (1, 2):
            self.messenger.arrive(message("hi", number=number))
        self.assertEqual(self.call.printed, ["hi", "hi"])
        self.assertNoResult(ended)

    def test_a_maximum_ends_it(self) -> None:
        ended = self.begin(Wanted(follow=True, maximum=1))
        self.messenger.arrive(message("hi"))
        self.assertEqual(self.successResultOf(ended), 0)

    def test_a_lost_connection_is_mentioned_once_and_does_not_end_it(self) -> None:
        ended = self.begin(Wanted(follow=True))
        self.messenger.tell(LinkDown(UNREACHABLE))
        self.messenger.tell(LinkDown(UNREACHABLE))
        self.messenger.tell(LinkUp(0))
        self.assertEqual(len(self.call.mentioned), 2)
        self.assertNoResult(ended)

    def test_a_connection_that_is_given_up_ends_it(self) -> None:
        ended = self.begin(Wanted(follow=True))
        mismatch = Failure(Code.PIN_MISMATCH, "another key")
        self.messenger.tell(LinkEnded(mismatch))
        self.assertIs(self.failureResultOf(ended, Failure).value, mismatch)

    def test_with_a_timeout_the_first_connection_must_come_in_time(self) -> None:
        self.call = FakeCall(self.messenger, Options(json=True, timeout=1.0))
        self.messenger.connection = UNREACHABLE
        self.assertIs(self.failureResultOf(self.begin(Wanted(follow=True)), Failure).value, UNREACHABLE)


FETCHING = FileFacts("a.txt", 100, FileState.FETCHING)


class FileTests(ReceivingTestCase):
    """Files of messages are asked for before these are printed, and waited for at the end."""

    def setUp(self) -> None:
        super().setUp()
        self.message: MessageReceived = replace(
            message("look"), file=replace(FETCHING, state=FileState.OFFERED)
        )
        self.messenger.waiting = [self.message]
        self.messenger.files.facts = FETCHING
        self.messenger.files.under_way = 1

    def here(self) -> FileReceived:
        saved = replace(FETCHING, state=FileState.SAVED, path="/there/a.txt")
        return FileReceived(self.message.message_id, BOB, "bob", saved, position=99)

    def test_it_ends_when_the_file_is_here_and_was_named(self) -> None:
        ended = self.begin(Wanted(folder="/there"))
        self.assertEqual(self.messenger.files.wanted, [(BOB, self.message.message_id, "/there")])
        self.assertNoResult(ended)
        self.messenger.files.under_way = 0
        self.messenger.arrive(self.here())
        self.assertEqual(self.successResultOf(ended), 0)
        self.assertEqual(len(self.call.printed), 2)

    def test_silence_is_9_and_progress_is_not_silence(self) -> None:
        ended = self.begin()
        for _ in range(5):
            self.call.reactor.advance(20)
            self.messenger.tell(FileProgress(self.message.message_id, BOB, FETCHING, 50))
            self.assertNoResult(ended)
        self.call.reactor.advance(31)
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.TIMEOUT)

    def test_without_a_connection_nothing_is_waited_for(self) -> None:
        self.messenger.was_connected = False
        self.assertEqual(self.successResultOf(self.begin(Wanted(maximum=1))), 0)

    def test_texts_ask_for_nothing(self) -> None:
        self.messenger.waiting = [message("text")]
        self.messenger.files.under_way = 0
        self.assertEqual(self.successResultOf(self.begin()), 0)
        self.assertEqual(self.messenger.files.wanted, [])
