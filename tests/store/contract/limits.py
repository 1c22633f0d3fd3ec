"""The contract of `ports.Limits`."""

from __future__ import annotations

from e2ee.store.server.ports import Bucket
from tests.store.contract.fixture import ContractCase

BUCKET = Bucket(burst=3, refill_seconds=10.0)


class LimitsContract(ContractCase):
    """Token buckets."""

    def take(self, now: float, key: str = "k", bucket: Bucket = BUCKET, cost: float = 1.0) -> float:
        return self.done(self.stores.limits.take("name", key, bucket, now, cost))

    def test_a_burst_is_given_at_once_and_not_one_more(self) -> None:
        self.assertEqual([self.take(5.0) for _ in range(4)], [0.0, 0.0, 0.0, 10.0])

    def test_one_comes_back_after_its_time_and_not_before(self) -> None:
        for _ in range(3):
            self.take(0.0)
        self.assertAlmostEqual(self.take(9.5), 0.5)
        self.assertEqual(self.take(10.0), 0.0)
        self.assertAlmostEqual(self.take(10.0), 10.0)

    def test_who_waits_as_long_as_he_was_told_is_not_refused(self) -> None:
        bucket = Bucket(3, 0.1)
        now = 123_456.789
        for _ in range(200):
            now += self.take(now, bucket=bucket)
            if self.take(now, bucket=bucket):
                now += self.take(now, bucket=bucket)
                self.assertEqual(self.take(now, bucket=bucket), 0.0)

    def test_a_refusal_takes_nothing(self) -> None:
        for _ in range(10):
            self.take(0.0)
        self.assertEqual(self.take(10.0), 0.0)

    def test_it_never_holds_more_than_its_burst(self) -> None:
        self.take(0.0)
        self.assertEqual([self.take(10_000.0) for _ in range(4)], [0.0, 0.0, 0.0, 10.0])

    def test_a_cost_is_taken_whole_or_not_at_all(self) -> None:
        self.assertEqual(self.take(0.0, cost=2.5), 0.0)
        self.assertAlmostEqual(self.take(0.0, cost=1.0), 5.0)
        self.assertEqual(self.take(0.0, cost=0.5), 0.0)

    def test_what_costs_more_than_a_burst_is_never_given(self) -> None:
        self.assertGreater(self.take(0.0, cost=3.5), 0.0)
        self.assertGreater(self.take(10_000.0, cost=3.5), 0.0)
        self.assertEqual(self.take(0.0, cost=3.0), 0.0)

    def test_a_burst_of_zero_is_no_limit(self) -> None:
        self.assertEqual({self.take(0.0, bucket=Bucket(0, 10.0)) for _ in range(100)}, {0.0})

    def test_names_and_keys_have_buckets_of_their_own(self) -> None:
        for _ in range(3):
            self.take(0.0)
        self.assertEqual(self.take(0.0, key="other"), 0.0)
        self.assertEqual(self.done(self.stores.limits.take("other", "k", BUCKET, 0.0)), 0.0)

    def test_many_at_once_count_as_one_after_another(self) -> None:
        bucket = Bucket(20, 10.0)
        takes = (self.stores.limits.take("name", "k", bucket, 0.0) for _ in range(200))
        self.assertEqual(self.together(*takes).count(0.0), 20)

    def test_what_is_given_back_can_be_taken_again(self) -> None:
        for _ in range(3):
            self.take(0.0)
        self.done(self.stores.limits.give_back("name", "k", BUCKET))
        self.assertEqual([self.take(0.0), self.take(0.0)], [0.0, 10.0])

    def test_giving_back_to_a_full_bucket_makes_it_no_larger(self) -> None:
        self.done(self.stores.limits.give_back("name", "k", BUCKET))
        self.take(0.0)
        for _ in range(5):
            self.done(self.stores.limits.give_back("name", "k", BUCKET))
        self.assertEqual([self.take(0.0) for _ in range(4)], [0.0, 0.0, 0.0, 10.0])

    def test_full_buckets_are_forgotten_others_are_not(self) -> None:
        for _ in range(3):
            self.take(0.0, key="empty")
        self.take(0.0, key="full")
        self.assertEqual(self.done(self.stores.limits.expire(9.9)), 0)
        self.assertEqual(self.done(self.stores.limits.expire(10.0)), 1)
        self.assertEqual(self.take(10.0, key="empty"), 0.0)
        self.assertEqual(self.take(10.0, key="empty"), 10.0)
