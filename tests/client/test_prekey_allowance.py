"""However often keys are taken and asked for, few private halves are made and kept; docs/limits.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import MessageReceived
from e2ee.client.prekeeper import LOW_STOCK, STOCK
from e2ee.client.prekey_allowance import STOCK_MS, STOCKS_AT_ONCE, makeable, note_dropped, note_made
from e2ee.client.recovery.unknown_keys import REPLACE_AGAIN_MS
from e2ee.crypto.limits import SIGNED_PREKEY_LIFE_MS
from e2ee.store.client import prekeys
from e2ee.store.client.prekeys import ONE_TIME_IN_USE, PreKeyKind
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"
AT_ONCE = STOCKS_AT_ONCE * STOCK
HOURS = STOCK_MS // 3_600_000
KIND = PreKeyKind.ONE_TIME
NOON_MS = 1_800_000_000_000
ONE_MS = STOCK_MS // 100
"""After so long one key more of a stock of 100 may be made."""
T = TypeVar("T")


class BucketTests(SynchronousTestCase):
    """The bucket of one kind, over a vault."""

    def setUp(self) -> None:
        self.bob = World(self).person(BOB)

    def in_vault(self, operation: Callable[[Connection], T]) -> T:
        return self.bob.run(self.bob.vault.write(operation))

    def makeable(self, now: int, stock: int = 100, kind: PreKeyKind = KIND) -> int:
        return self.in_vault(lambda tx: makeable(tx, kind, stock, now))

    def make(self, count: int, now: int, stock: int = 100) -> None:
        self.in_vault(lambda tx: note_made(tx, KIND, stock, count, now))

    def test_three_stocks_at_once_and_each_kind_by_itself(self) -> None:
        self.assertEqual(self.makeable(NOON_MS), 300)
        self.make(299, NOON_MS)
        self.assertEqual(self.makeable(NOON_MS), 1)
        self.make(1, NOON_MS)
        self.assertEqual(self.makeable(NOON_MS), 0)
        self.assertEqual(self.makeable(NOON_MS, kind=PreKeyKind.KEM_ONE_TIME), 300)

    def test_one_comes_back_after_its_time_and_not_a_millisecond_before(self) -> None:
        self.make(300, NOON_MS)
        self.assertEqual(self.makeable(NOON_MS + ONE_MS - 1), 0)
        self.assertEqual(self.makeable(NOON_MS + ONE_MS), 1)
        self.make(1, NOON_MS + ONE_MS)
        self.assertEqual(self.makeable(NOON_MS + 2 * ONE_MS - 1), 0)

    def test_a_stock_comes_back_in_six_hours_and_never_more_than_three(self) -> None:
        self.make(300, NOON_MS)
        self.assertEqual(self.makeable(NOON_MS + STOCK_MS), 100)
        self.assertEqual(self.makeable(NOON_MS + 3 * STOCK_MS), 300)
        self.assertEqual(self.makeable(NOON_MS + 30 * STOCK_MS), 300)

    def test_of_a_smaller_stock_as_many_stocks(self) -> None:
        self.assertEqual(self.makeable(NOON_MS, stock=10), 30)
        self.make(30, NOON_MS, stock=10)
        self.assertEqual(self.makeable(NOON_MS, stock=10), 0)
        self.assertEqual(self.makeable(NOON_MS + STOCK_MS // 10 - 1, stock=10), 0)
        self.assertEqual(self.makeable(NOON_MS + STOCK_MS // 10, stock=10), 1)

    def test_what_is_not_kept_comes_back_and_no_more_than_that(self) -> None:
        self.make(100, NOON_MS)
        for _ in range(40):
            self.in_vault(lambda tx: note_dropped(tx, KIND, 100, 1, NOON_MS))
        self.assertEqual(self.makeable(NOON_MS), 240)
        self.in_vault(lambda tx: note_dropped(tx, KIND, 100, 100, NOON_MS))
        self.assertEqual(self.makeable(NOON_MS), 300)

    def test_a_clock_that_was_set_back_puts_nothing_off(self) -> None:
        self.make(300, NOON_MS)
        self.assertEqual(self.makeable(NOON_MS - 1), 300)
        self.make(300, NOON_MS - 1)
        self.assertEqual(self.makeable(NOON_MS - 1), 0)

    def test_keys_of_long_ago_that_are_not_kept_give_no_more_than_all(self) -> None:
        self.assert_full_after_drop(NOON_MS)

    def test_the_same_while_a_clock_without_a_battery_is_in_1970(self) -> None:
        self.assert_full_after_drop(0)

    def assert_full_after_drop(self, now: int) -> None:
        self.in_vault(lambda tx: note_dropped(tx, KIND, 100, 100, now))
        self.assertEqual(self.makeable(now), 300)
        self.make(300, now)
        self.assertEqual(self.makeable(now), 0)


class FloodTests(SynchronousTestCase):
    """Bob's server, or those who fetch his keys, have him fill his stock without end."""

    def setUp(self) -> None:
        self.world = World(self)
        self.bob = self.world.person(BOB).start()

    def halves(self) -> tuple[int, int]:
        """How many private halves of each one-time kind are in Bob's vault."""
        rows = dict(self.bob.look("SELECT kind, count(*) FROM prekey GROUP BY kind"))
        return rows[PreKeyKind.ONE_TIME], rows[PreKeyKind.KEM_ONE_TIME]

    def held(self) -> tuple[int, int]:
        return len(self.bob.stored.one_time), len(self.bob.stored.kem_one_time)

    def drain(self) -> None:
        self.bob.stored.one_time.clear()
        self.bob.stored.kem_one_time.clear()

    def flood(self) -> None:
        """Whatever the directory has is taken at once, and Bob is told of it."""
        for _ in range(10):
            self.drain()
            self.bob.link.push(m.StockLow(0, 0))
            self.world.settle()

    def hours(self, count: int) -> None:
        for _ in range(count):
            self.world.clock.advance(3600)
            self.world.settle()

    def uploads(self) -> int:
        return sum(isinstance(one, m.Publish) for _, one in self.world.relay.requests)

    def test_three_stocks_are_made_and_the_rest_is_put_off(self) -> None:
        self.flood()
        self.assertEqual((self.halves(), self.held()), ((AT_ONCE, AT_ONCE), (0, 0)))
        uploads = self.uploads()
        self.flood()
        self.assertEqual((self.halves(), self.uploads()), ((AT_ONCE, AT_ONCE), uploads))

    def test_neither_another_connection_nor_another_process_gives_more(self) -> None:
        self.flood()
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.flood()
        self.bob.stop()
        self.bob.start()
        self.flood()
        self.bob.kill()
        self.bob.start()
        self.flood()
        self.assertEqual(self.halves(), (AT_ONCE, AT_ONCE))

    def test_what_was_put_off_follows_by_the_hour(self) -> None:
        self.flood()
        self.hours(1)
        self.assertEqual(self.held(), (STOCK // HOURS, STOCK // HOURS))
        self.hours(HOURS)
        self.assertGreaterEqual(min(self.held()), LOW_STOCK)
        self.flood()
        most = AT_ONCE + STOCK * (HOURS + 1) // HOURS
        self.assertEqual(self.halves(), (most, most))

    def test_honest_first_messages_before_and_after_a_flood_are_shown(self) -> None:
        alice, carol = self.world.person(ALICE).start(), self.world.person(CAROL).start()
        self.bob.link.disconnect()
        alice.say(self.bob, "under way")
        under_way = list(self.bob.stored.mailbox)
        self.bob.stored.mailbox.clear()
        self.bob.link.connect()
        for _ in range(3):
            self.flood()
            self.hours(24)
        self.drain()
        self.assertGreater(min(self.halves()), 5 * ONE_TIME_IN_USE)
        carol.say(self.bob, "without one-time keys")
        self.bob.stored.mailbox += under_way
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()
        shown = {one.text for one in self.bob.heard(MessageReceived)}
        self.assertEqual(shown, {"under way", "without one-time keys"})

    def test_a_stock_that_opens_nothing_is_taken_back_though_none_may_be_made(self) -> None:
        """Anybody can have it replaced by naming a key that never was."""
        for _ in range(STOCKS_AT_ONCE - 1):
            self.drain()
            self.bob.link.push(m.StockLow(0, 0))
            self.world.settle()
        self.assertEqual(self.held(), (STOCK, STOCK))
        self.bob.messenger._prekeeper.stock_unknown()
        self.world.settle()
        self.assertEqual((self.held(), self.halves()), ((0, 0), (AT_ONCE, AT_ONCE)))
        self.hours(1)
        self.assertEqual(self.held(), (STOCK // HOURS, STOCK // HOURS))

    def test_a_replacement_an_hour_makes_no_more_either(self) -> None:
        for _ in range(24):
            self.world.clock.advance(REPLACE_AGAIN_MS // 1000)
            self.bob.messenger._prekeeper.stock_unknown()
            self.world.settle()
        most = AT_ONCE + 24 * STOCK // HOURS
        self.assertLessEqual(max(self.halves()), most)
        self.assertGreater(min(self.halves()), most - STOCK)

    def test_keys_that_the_directory_does_not_take_use_up_nothing(self) -> None:
        self.drain()
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.KEY_REFUSED) if isinstance(message, m.Publish) else None
        )
        self.bob.link.push(m.StockLow(0, 0))
        self.world.settle()
        self.assertEqual(self.halves(), (STOCK, STOCK))
        self.flushLoggedErrors()
        self.world.relay.intercept.clear()
        self.hours(1)
        self.assertEqual(self.held(), (STOCK, STOCK))


class HalvesTests(SynchronousTestCase):
    """What of a key is kept, and how long."""

    def setUp(self) -> None:
        self.world = World(self)
        self.bob = self.world.person(BOB).start()
        self.first = min(self.bob.stored.one_time)

    def publics(self, which: str) -> list[int]:
        """The lengths of public halves in the vault."""
        return [size for (size,) in self.bob.look(f"SELECT length(public) FROM prekey WHERE {which}")]

    def test_public_halves_are_kept_only_while_they_may_be_uploaded(self) -> None:
        self.assertEqual(self.publics("kind LIKE '%one_time'"), [0] * 2 * STOCK)
        self.assertGreater(min(self.publics("kind IN ('signed', 'last_resort')")), 0)
        self.world.relay.lose_answers = True
        self.bob.stored.one_time.clear()
        self.bob.link.push(m.StockLow(0, STOCK))
        self.world.settle()
        self.assertEqual(self.publics("kind = 'one_time' AND NOT published"), [32] * STOCK)

    def test_those_of_weekly_keys_until_they_are_replaced(self) -> None:
        self.world.clock.advance(SIGNED_PREKEY_LIFE_MS // 1000)
        self.bob.stop()
        self.bob.start()
        weekly = "kind IN ('signed', 'last_resort') AND retired_at IS"
        self.assertEqual(self.publics(f"{weekly} NOT NULL"), [0, 0])
        self.assertGreater(min(self.publics(f"{weekly} NULL")), 0)
        self.bob.run(self.bob.vault.write(lambda tx: prekeys.retire_stock(tx, NOON_MS)))
        self.assertGreater(min(self.publics(f"{weekly} NULL")), 0)
        self.bob.run(self.bob.vault.write(lambda tx: prekeys.retire_all(tx, NOON_MS)))
        self.assertEqual(max(self.publics("1")), 0)

    def test_of_retired_keys_the_newest_are_kept_and_not_one_more(self) -> None:
        kept = 40
        self.patch(prekeys, "RETIRED_KEPT", kept)
        retired = [0]
        for _ in range(STOCKS_AT_ONCE - 1):
            self.bob.stored.one_time.clear()
            self.bob.link.push(m.StockLow(0, STOCK))
            self.world.settle()
            retired.append(len(self.bob.look("SELECT 1 FROM prekey WHERE retired_at IS NOT NULL")))
        self.assertEqual(retired, [0, 0, kept])
        left = [key_id for (key_id,) in self.bob.look("SELECT key_id FROM prekey WHERE kind = 'one_time'")]
        self.assertEqual(len(left), ONE_TIME_IN_USE + kept)
        self.assertNotIn(self.first, left)
        self.assertIn(max(self.bob.stored.one_time), left)
