"""What is unshown is printed in order, each once, and marked in time."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred

from e2ee.client.events import FailedReason, Selection, ShownEvent
from e2ee.ui.reader import Reader
from e2ee.ui.streams import OutputClosed
from tests.ui.fakes import BOB, CAROL, CoroutineTestCase, FakeMessenger, failed, message


class ReaderTests(CoroutineTestCase):
    """docs/protocol.md, section 6, "Recipient"."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.printed: list[int] = []
        self.closed_at: int | None = None
        self.gate: Deferred[None] | None = None
        self.reader = Reader(self.messenger, self.print_event)

    async def print_event(self, event: ShownEvent) -> None:
        if event.position == self.closed_at:
            raise OutputClosed
        if self.gate is not None:
            await self.gate
        self.messenger.calls.append(("printed", [event.position]))
        self.printed.append(event.position)

    def fill(self, count: int) -> None:
        self.messenger.waiting = [message("hi", number=number) for number in range(1, count + 1)]

    def test_each_is_marked_printing_then_printed_then_marked_shown(self) -> None:
        self.fill(2)
        self.assertEqual(self.result(self.reader.show()), 2)
        self.assertEqual(
            self.messenger.calls,
            [
                ("printing", [1]),
                ("printed", [1]),
                ("shown", [1]),
                ("printing", [2]),
                ("printed", [2]),
                ("shown", [2]),
            ],
        )

    def test_more_than_a_page_is_printed_once_and_in_order(self) -> None:
        self.fill(25)
        self.messenger.page = 10
        self.assertEqual(self.result(self.reader.show()), 25)
        self.assertEqual(self.printed, list(range(1, 26)))
        self.assertEqual(self.messenger.waiting, [])

    def test_what_another_reader_has_shown_meanwhile_is_not_printed(self) -> None:
        self.fill(3)
        self.messenger.shown_elsewhere = {2}
        self.assertEqual(self.result(self.reader.show()), 2)
        self.assertEqual(self.printed, [1, 3])
        self.assertEqual(self.messenger.waiting, [])

    def test_a_maximum_counts_messages_and_leaves_the_rest(self) -> None:
        self.fill(3)
        self.messenger.waiting.insert(0, failed(9, BOB, FailedReason.EXPIRED))
        self.assertEqual(self.result(self.reader.show(2)), 2)
        self.assertEqual(self.printed, [9, 1, 2])
        self.assertEqual([event.position for event in self.messenger.waiting], [3])

    def test_only_those_asked_for_are_printed(self) -> None:
        self.messenger.waiting = [message("a", BOB, number=1), message("b", CAROL, number=2)]
        shown = self.result(self.reader.show(selection=Selection(people=(CAROL,))))
        self.assertEqual((shown, self.printed), (1, [2]))
        self.assertEqual([event.position for event in self.messenger.waiting], [1])

    def test_what_was_not_flushed_stays_unshown_and_what_was_is_marked(self) -> None:
        self.fill(3)
        self.closed_at = 2
        self.failureResultOf(self.start(self.reader.show()), OutputClosed)
        self.assertEqual([event.position for event in self.messenger.waiting], [2, 3])
        self.assertNotIn(("printing", [3]), self.messenger.calls)

    def test_a_line_that_is_being_printed_is_finished_when_interrupted(self) -> None:
        self.fill(2)
        self.gate = Deferred()
        showing = self.start(self.reader.show())
        showing.cancel()
        self.assertNoResult(showing)
        self.gate.callback(None)
        self.failureResultOf(showing, CancelledError)
        self.assertEqual(self.printed, [1])
        self.assertEqual([event.position for event in self.messenger.waiting], [2])

    def test_what_was_flushed_is_marked_to_the_end_when_interrupted(self) -> None:
        self.fill(1)
        marking: Deferred[None] = Deferred()
        mark_shown = self.messenger.mark_shown

        async def slowly(events: Sequence[ShownEvent]) -> None:
            await marking
            await mark_shown(events)

        self.patch(self.messenger, "mark_shown", slowly)
        showing = self.start(self.reader.show())
        showing.cancel()
        self.assertNoResult(showing)
        marking.callback(None)
        self.failureResultOf(showing, CancelledError)
        self.assertEqual(self.messenger.waiting, [])

    def test_two_calls_do_not_print_the_same(self) -> None:
        self.fill(2)
        self.gate = Deferred()
        first, second = self.start(self.reader.show()), self.start(self.reader.show())
        self.gate.callback(None)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (2, 0))
        self.assertEqual(self.printed, [1, 2])
