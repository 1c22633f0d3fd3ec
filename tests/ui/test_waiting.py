"""Waiting for events, tasks and their ends."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from e2ee.ui.waiting import Bell, Task, to_its_end
from tests.ui.fakes import CoroutineTestCase


class BellTests(CoroutineTestCase):
    """A bell wakes one waiter, and remembers a ring that nobody heard."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.bell = Bell(self.clock)

    def test_a_ring_wakes_the_waiter(self) -> None:
        waiting = self.start(self.bell.rung())
        self.assertNoResult(waiting)
        self.bell.ring()
        self.assertTrue(self.successResultOf(waiting))

    def test_a_ring_that_nobody_waits_for_is_kept(self) -> None:
        self.bell.ring()
        self.bell.ring()
        self.assertTrue(self.result(self.bell.rung()))
        self.assertNoResult(self.start(self.bell.rung()))

    def test_the_wait_ends_with_its_time(self) -> None:
        waiting = self.start(self.bell.rung(5.0))
        self.clock.advance(5.0)
        self.assertFalse(self.successResultOf(waiting))

    def test_a_ring_in_time_leaves_no_timer(self) -> None:
        waiting = self.start(self.bell.rung(5.0))
        self.bell.ring()
        self.assertTrue(self.successResultOf(waiting))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_cancelled_wait_a_ring_is_kept(self) -> None:
        waiting = self.start(self.bell.rung(5.0))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.bell.ring()
        self.assertTrue(self.result(self.bell.rung()))


class TaskTests(CoroutineTestCase):
    """A task runs by itself."""

    def setUp(self) -> None:
        self.gate: Deferred[str] = Deferred()

    async def work(self) -> str:
        return await self.gate

    def test_several_may_wait(self) -> None:
        task = Task(self.work())
        waiting = [self.start(task.result()) for _ in range(2)]
        self.gate.callback("done")
        self.assertEqual([self.successResultOf(one) for one in waiting], ["done", "done"])
        self.assertEqual(self.result(task.result()), "done")

    def test_its_error_reaches_each_who_waits(self) -> None:
        task = Task(self.work())
        waiting = self.start(task.result())
        self.gate.errback(ValueError("no"))
        self.failureResultOf(waiting, ValueError)
        self.failureResultOf(self.start(task.result()), ValueError)

    def test_its_end_is_told(self) -> None:
        ends: list[bool] = []
        Task(self.work(), at_end=lambda: ends.append(True))
        self.gate.callback("done")
        self.assertEqual(ends, [True])

    def test_cancelling_a_wait_leaves_it_running(self) -> None:
        task = Task(self.work())
        waiting = self.start(task.result())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertFalse(task.done)

    def test_what_must_end_ends_before_the_cancellation_passes(self) -> None:
        waiting = self.start(to_its_end(self.work()))
        waiting.cancel()
        self.assertNoResult(waiting)
        self.gate.callback("done")
        self.failureResultOf(waiting, CancelledError)
