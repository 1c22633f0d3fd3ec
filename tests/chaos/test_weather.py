"""The weather is the seed's, and all of it comes."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.weather import End, Way, Weather


class WeatherTests(SynchronousTestCase):
    """Fates of many connections."""

    def test_the_same_seed_gives_the_same_fates_and_another_seed_others(self) -> None:
        first, same, other = (
            [Weather(seed).fate(number) for number in range(50)] for seed in (1, 1, 2)
        )
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_every_end_comes_in_both_ways_with_delays_and_dribbles(self) -> None:
        fates = [Weather(3).fate(number) for number in range(2_000)]
        seen = Counter((fate.end, fate.way) for fate in fates)
        for end in End:
            for way in (Way.UP,) if end is End.NONE else Way:
                self.assertGreater(seen[end, way], 20, (end, way))
        self.assertGreater(sum(fate.delay > 0 for fate in fates), 100)
        self.assertGreater(sum(fate.dribble > 0 for fate in fates), 100)
        self.assertLessEqual(max(fate.silence for fate in fates), 2.0)

    def test_some_are_struck_within_the_handshake_and_half_before_the_typical_byte(self) -> None:
        struck = [fate for fate in map(Weather(4).fate, range(4_000)) if fate.end is not End.NONE]
        early = sum(fate.after < 3_000 for fate in struck) / len(struck)
        self.assertTrue(0.07 < early < 0.13, early)
        middle = sorted(fate.after for fate in struck)[len(struck) // 2]
        self.assertTrue(12_000 < middle < 22_000, middle)
