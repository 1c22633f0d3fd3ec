"""Hybrid sessions in bad weather: whatever arrives once opens once, and both sides always agree.

E2EE_MODEL_MESSAGES sets how many messages are made (`make model` has 300,000).
"""

from __future__ import annotations

import os
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.crypto.hybrid_model import MESSAGES, WEATHERS, Network
from tests.crypto.people import ALICE, BOB, person

TOTAL = int(os.environ.get("E2EE_MODEL_MESSAGES", "7200"))


class HybridModel(SynchronousTestCase):
    timeout = 3600

    def test_both_sides_agree_in_every_weather(self) -> None:
        people = person(ALICE), person(BOB)
        counts: Counter[str] = Counter()
        seed = 0
        while counts["made"] < TOTAL:
            network = Network(seed, WEATHERS[seed % len(WEATHERS)], people)
            try:
                network.run(MESSAGES)
            except Exception as failure:
                failure.add_note(f"the network of seed {seed}")
                raise
            counts += network.counts
            seed += 1
        for what in ("offers lost", "first answers lost", "lost", "refused", "compared"):
            self.assertGreater(counts[what], TOTAL // 400, what)
        self.assertGreater(counts["steps"], TOTAL // 300)
        self.assertGreater(counts["steps by a later message"], TOTAL // 2000)
        if TOTAL > 10_000:
            print(dict(counts))  # noqa: T201

    def test_without_the_feature_on_one_side_there_are_no_hybrid_chains(self) -> None:
        for features in (((1,), ()), ((), (1,)), ((), ())):
            alice, bob = (
                person(number, features=each) for number, each in zip((ALICE, BOB), features, strict=True)
            )
            network = Network(1, WEATHERS[1], (alice, bob))
            self.assertRaises(AssertionError, network.run)
            self.assertEqual((network.counts["offers"], network.counts["answers"]), (0, 0))
            self.assertGreater(network.counts["opened"], MESSAGES // 2)
