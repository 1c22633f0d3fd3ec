"""Counts by bounds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.figures import Tally


class TallyTests(SynchronousTestCase):
    """A value on a bound is below it, as Prometheus has it."""

    def test_each_value_is_counted_once(self) -> None:
        tally = Tally((1, 10))
        for value in (0, 1, 1.5, 10, 10.1, 1000):
            tally.observe(value)
        self.assertEqual((tally.counts, tally.total), ([2, 2, 2], 1022.6))
