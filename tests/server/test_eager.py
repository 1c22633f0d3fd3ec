"""A coroutine that is run as far as it goes: e2ee.server.eager."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.eager import run_eagerly


class EagerTests(SynchronousTestCase):
    """It behaves like `Deferred.fromCoroutine`, but costs no Deferred where nothing waits."""

    def setUp(self) -> None:
        self.seen: list[object] = []
        self.gates = [Deferred[str](), Deferred[str]()]

    async def waits_twice(self) -> None:
        for gate in self.gates:
            try:
                self.seen.append(await gate)
            except ValueError as error:
                self.seen.append(error)

    def test_what_never_waits_is_over_at_once(self) -> None:
        async def work() -> None:
            self.seen.append("done")

        self.assertIsNone(run_eagerly(work()))
        self.assertEqual(self.seen, ["done"])

    def test_what_fails_before_it_waits_fails_in_the_call(self) -> None:
        async def work() -> None:
            raise ValueError

        self.assertRaises(ValueError, run_eagerly, work())

    def test_a_deferred_that_has_fired_is_not_waited_for(self) -> None:
        for gate in self.gates:
            gate.callback("early")
        self.assertIsNone(run_eagerly(self.waits_twice()))
        self.assertEqual(self.seen, ["early", "early"])

    def test_results_and_errors_reach_it_where_it_waits(self) -> None:
        over = run_eagerly(self.waits_twice())
        assert over is not None
        self.gates[0].callback("one")
        self.assertNoResult(over)
        error = ValueError()
        self.gates[1].errback(error)
        self.assertIsNone(self.successResultOf(over))
        self.assertEqual(self.seen, ["one", error])

    def test_an_error_behind_a_wait_is_the_deferreds(self) -> None:
        self.gates[0].addCallback(lambda _: 1 // 0)
        over = run_eagerly(self.waits_twice())
        assert over is not None
        self.gates[0].callback("one")
        self.failureResultOf(over, ZeroDivisionError)
