"""The five invariants of delivery under random histories of one seat."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.seat_terms import Outcome, State
from tests.server.seat_model import World


def run(numbers: list[int], size: int) -> World:
    """A history, then a good end."""
    world = World(size)
    for number in numbers:
        world.step(number)
    world.settle()
    world.check_at_rest()
    return world


class SeatInvariants(SynchronousTestCase):
    """Nothing lost, nothing answered twice, no order broken, whatever happens when."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.integers(0, 2000), max_size=120), st.sampled_from([40, 90_000]))
    def test_every_history_keeps_the_invariants(self, numbers: list[int], size: int) -> None:
        """Random steps of senders, mailbox, recipient and time, with failures, then rest."""
        run(numbers, size)

    def test_long_histories_keep_them_too(self) -> None:
        """A few long ones with a fixed seed, so that windows fill and batches grow."""
        seen: Counter[State | Outcome] = Counter()
        joined = 0
        for seed in range(16):
            source = random.Random(seed)
            size = (40, 2_000, 20_000, 90_000)[seed % 4]
            world = run([source.randrange(2000) for _ in range(2000)], size)
            seen += world.seen
            joined += world.joined
        rare = {Outcome.QUOTA, Outcome.NO_DEVICE, Outcome.BUSY}
        for kind in {*State, *Outcome} - rare:
            self.assertGreater(seen[kind], 20, f"{kind} hardly happens in this model")
        self.assertGreater(joined, 100, "hardly anything joins an append in this model")
