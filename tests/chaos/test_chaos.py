"""The short form of `make chaos`: bad weather, kills and one-shots for a few hundred messages.

Longer, or with another seed: E2EE_CHAOS_MESSAGES, E2EE_CHAOS_SEED. What a run is made of stands in `run`.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.run import Plan, Run


class ChaosTests(SynchronousTestCase):
    """docs/protocol.md, section 6: not after a crash of either client, of the server, or a disconnect at
    any byte."""

    def test_nothing_is_lost_doubled_unexpected_or_reordered(self) -> None:
        """And no key used twice, nothing forgotten that was accepted, everything readable afterwards."""
        seed = int(os.environ.get("E2EE_CHAOS_SEED", "1"))
        messages = int(os.environ.get("E2EE_CHAOS_MESSAGES", "300"))
        report = Run(Plan(seed, messages, one_shots=1, pause=0.5, kill_every=3.0)).go()
        self.assertTrue(report.good, f"seed {seed}: {report}")
        self.assertGreaterEqual(report.accepted, messages)
