"""The directory is kept supplied with prekeys, and their private halves live as long as they must."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import SentState
from e2ee.client.prekeeper import LOW_STOCK, REFILL_SECONDS, RETRY_SECONDS, STOCK, UPLOADS_AT_ONCE
from e2ee.client.prekey_allowance import STOCK_MS
from e2ee.client.recovery.unknown_keys import IDS_SKIPPED, REPLACE_AGAIN_MS, leave_taken_ids
from e2ee.crypto.prekeys import verify_signed_prekey
from e2ee.store.client.prekeys import (
    ONE_TIME_IN_USE,
    PreKeyKind,
    last_key_id,
    newest_prekey,
    prekey_secret,
)
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from e2ee.wire.limits import KEM_ONE_TIME_UPLOAD
from tests.client.fake_relay import refused
from tests.client.people import World

ALICE, BOB = "+15550100101", "+15550100102"
DAY = 24 * 60 * 60


class PreKeeperTests(SynchronousTestCase):
    """Bob's prekeys."""

    def setUp(self) -> None:
        self.world = World(self)
        self.bob = self.world.person(BOB)

    def uploads(self) -> list[m.Publish]:
        return [one for _, one in self.world.relay.requests if isinstance(one, m.Publish)]

    def held(self) -> tuple[int, int]:
        return len(self.bob.stored.one_time), len(self.bob.stored.kem_one_time)

    def signed_id(self) -> int:
        newest = self.bob.run(self.bob.vault.read(lambda tx: newest_prekey(tx, PreKeyKind.SIGNED)))
        assert newest is not None
        return newest.key_id

    def has(self, key_id: int, kind: PreKeyKind = PreKeyKind.SIGNED) -> bool:
        return self.bob.run(self.bob.vault.read(lambda tx: prekey_secret(tx, kind, key_id))) is not None

    def test_the_first_login_fills_both_stocks_in_uploads_of_a_legal_size(self) -> None:
        self.bob.start()
        self.assertEqual(self.held(), (STOCK, STOCK))
        self.assertEqual(max(len(one.kem_one_time) for one in self.uploads()), KEM_ONE_TIME_UPLOAD)
        status = self.bob.run(self.bob.messenger.status())
        self.assertEqual((status.one_time_prekeys, status.kem_one_time_prekeys), (STOCK, STOCK))

    def test_a_full_stock_is_left_alone_and_a_low_one_is_filled(self) -> None:
        self.bob.start()
        before = len(self.uploads())
        for key_id in list(self.bob.stored.one_time)[:50]:
            del self.bob.stored.one_time[key_id]
        self.bob.stop()
        self.bob.start()
        self.assertEqual(len(self.uploads()), before)
        self.bob.stored.one_time.popitem()
        self.bob.link.push(m.StockLow(49, STOCK))
        self.world.wait(REFILL_SECONDS)
        self.assertEqual(self.held(), (STOCK, STOCK))

    def test_a_command_that_is_gone_soon_leaves_a_low_stock_to_the_next_unless_it_is_scarce(self) -> None:
        self.bob.start()
        before = len(self.uploads())
        self.leave(LOW_STOCK // 2)
        self.bob.stop()
        self.bob.start()
        self.world.wait(REFILL_SECONDS - 0.1)
        self.bob.stop()
        self.assertEqual(len(self.uploads()), before)
        self.bob.start()
        self.world.wait(REFILL_SECONDS)
        self.assertEqual(self.held(), (STOCK, STOCK))
        self.leave(LOW_STOCK // 2 - 1)
        self.bob.stop()
        self.bob.start()
        self.assertEqual(self.held(), (STOCK, STOCK))

    def leave(self, count: int) -> None:
        """So many one-time KEM prekeys are left in the directory."""
        while len(self.bob.stored.kem_one_time) > count:
            self.bob.stored.kem_one_time.pop()

    def test_private_halves_are_on_disk_before_the_upload(self) -> None:
        checked: list[bool] = []

        def intercept(message: m.Message) -> m.Message | None:
            if isinstance(message, m.Publish):
                checked.extend(self.has(one.key_id, PreKeyKind.ONE_TIME) for one in message.one_time)
            return None

        self.bob.start(connect=False)
        self.bob.link.start()
        self.world.relay.intercept[self.bob.address] = intercept
        self.world.settle()
        self.assertEqual(checked, [True] * STOCK)

    def test_an_upload_whose_answer_was_lost_is_repeated_with_the_same_keys(self) -> None:
        self.world.relay.lose_answers = True
        self.bob.start()
        (lost,) = self.uploads()
        self.world.relay.lose_answers = False
        self.bob.stored.one_time.clear()
        self.bob.stored.kem_one_time.clear()
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()
        again = self.uploads()[1]
        self.assertEqual((again.one_time, again.kem_one_time), (lost.one_time, lost.kem_one_time))
        self.assertEqual(self.held(), (STOCK, STOCK))

    def test_keys_that_the_directory_does_not_take_are_replaced_by_others(self) -> None:
        count = iter(range(100))
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.CONFLICT)
            if isinstance(message, m.Publish) and next(count) == 0
            else None
        )
        self.bob.start()
        first, second = self.uploads()[:2]
        self.assertFalse({one.key_id for one in first.one_time} & {one.key_id for one in second.one_time})
        self.assertEqual(self.held(), (STOCK, STOCK))

    def test_a_directory_that_never_has_enough_gets_what_fills_a_stock_and_no_more(self) -> None:
        counts = iter(range(1, 30))
        self.world.relay.intercept[self.bob.address] = lambda message: (
            m.Published(message.n, 0, next(counts)) if isinstance(message, m.Publish) else None
        )
        self.bob.start()
        self.assertEqual(len(self.uploads()), UPLOADS_AT_ONCE)

    def test_a_busy_directory_is_asked_again_later(self) -> None:
        count = iter(range(100))
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.BUSY, 20.0)
            if isinstance(message, m.Publish) and next(count) == 0
            else None
        )
        self.bob.start()
        self.world.wait(19)
        self.assertEqual(len(self.uploads()), 1)
        self.world.wait(2)
        self.assertEqual(self.held(), (STOCK, STOCK))

    def test_weekly_keys_are_replaced_after_seven_days_and_not_before(self) -> None:
        first = self.signed_id()
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(6.9 * DAY)
        self.bob.start()
        self.assertEqual(self.signed_id(), first)
        self.bob.stop()
        self.world.clock.advance(0.2 * DAY)
        self.bob.start()
        self.assertNotEqual(self.signed_id(), first)
        published = [one for one in self.uploads() if one.signed_prekey is not None]
        self.assertEqual(len(published), 1)
        self.assertIsNotNone(published[0].last_resort_prekey)
        self.assertEqual(self.bob.stored.signed_prekey, published[0].signed_prekey)

    def test_weekly_keys_whose_ids_name_others_are_made_anew_under_other_ids(self) -> None:
        """Another copy of this vault has published there, and its stock opens nothing here either."""
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        before = set(self.bob.stored.one_time)
        refusals = iter([m.RefusalCode.CONFLICT])
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(code) if isinstance(message, m.Publish) and (code := next(refusals, None)) else None
        )
        self.bob.start()
        self.world.wait(1)
        key = self.bob.own.statement.device_signing_key
        signed = [one.signed_prekey for one in self.uploads() if one.signed_prekey]
        taken, other = (verify_signed_prekey(one, key).key_id for one in signed)
        self.assertGreaterEqual(other, taken + IDS_SKIPPED)
        self.assertEqual(self.bob.stored.signed_prekey, signed[1])
        self.assertFalse(before & set(self.bob.stored.one_time))
        self.assertEqual(self.held(), (STOCK, STOCK))
        alice = self.world.person(ALICE).start()
        self.assertIs(alice.say(self.bob, "hello").state, SentState.DELIVERED)

    def test_a_directory_that_takes_no_weekly_key_is_asked_once_a_minute(self) -> None:
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.CONFLICT)
            if isinstance(message, m.Publish) and message.signed_prekey
            else None
        )
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        self.bob.start()
        before = len(self.uploads())
        self.world.wait(600)
        self.assertLessEqual(len(self.uploads()) - before, 11)

    def last_id(self) -> int:
        return self.bob.run(self.bob.vault.read(last_key_id))

    def refuse_all(self) -> None:
        """Every id names another key, as this directory says."""
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.CONFLICT) if isinstance(message, m.Publish) else None
        )

    def reconnect(self) -> None:
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()

    def test_a_directory_that_says_that_every_id_is_taken_uses_up_few_of_them(self) -> None:
        """However often it ends the connection, and whatever process comes next."""
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        self.refuse_all()
        before = self.last_id()
        self.bob.start()
        left = self.last_id()
        self.assertGreaterEqual(left, before + IDS_SKIPPED)
        for _ in range(5):
            self.reconnect()
            self.world.wait(RETRY_SECONDS)
            self.bob.kill()
            self.bob.start()
        self.assertLess(self.last_id(), left + IDS_SKIPPED)
        self.assertEqual(len(self.bob.look("SELECT 1 FROM prekey WHERE retired_at IS NULL")), 2)

    def test_it_is_believed_again_after_an_hour_and_once(self) -> None:
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        self.refuse_all()
        self.bob.start()
        left = self.last_id()
        self.world.wait(REPLACE_AGAIN_MS // 1000 - 1)
        self.assertLess(self.last_id(), left + IDS_SKIPPED)
        self.world.wait(RETRY_SECONDS + 1)
        self.assertGreaterEqual(self.last_id(), left + IDS_SKIPPED)
        left = self.last_id()
        self.world.wait(10 * RETRY_SECONDS)
        self.assertLess(self.last_id(), left + IDS_SKIPPED)

    def test_it_is_asked_no_sooner_on_another_connection(self) -> None:
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        self.refuse_all()
        self.bob.start()
        before = len(self.uploads())
        for _ in range(5):
            self.reconnect()
        self.assertEqual(len(self.uploads()), before)
        self.world.relay.intercept.clear()
        self.world.wait(RETRY_SECONDS)
        self.assertEqual(self.held(), (STOCK, STOCK))

    def test_a_clock_that_was_set_back_does_not_put_it_off(self) -> None:
        now = 1_800_000_000_000

        def left(tx: Connection) -> list[bool]:
            times = (now, now + REPLACE_AGAIN_MS - 1, now + REPLACE_AGAIN_MS, now - 1, now)
            return [leave_taken_ids(tx, time) for time in times]

        self.assertEqual(self.bob.run(self.bob.vault.write(left)), [True, False, True, True, False])

    def test_weekly_keys_are_replaced_while_the_client_runs(self) -> None:
        first = self.signed_id()
        self.bob.start()
        for _ in range(8 * 24):
            self.world.clock.advance(3600)
            self.world.settle()
        self.assertNotEqual(self.signed_id(), first)

    def test_retired_halves_go_after_thirty_days_with_a_drained_mailbox_and_not_before(self) -> None:
        first = self.signed_id()
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(8 * DAY)
        self.bob.start()
        self.bob.stop()
        self.world.clock.advance(29.9 * DAY)
        self.bob.start()
        self.assertTrue(self.has(first))
        self.bob.stop()
        self.world.clock.advance(0.2 * DAY)
        self.bob.start(connect=False)
        self.assertTrue(self.has(first))
        self.bob.stop()
        self.bob.start()
        self.assertFalse(self.has(first))

    def test_keys_that_were_handed_out_and_never_used_do_not_stay_for_ever(self) -> None:
        self.bob.start()
        (first, *_) = self.bob.stored.one_time
        for _ in range(4):
            self.bob.stored.one_time.clear()
            self.bob.stored.kem_one_time.clear()
            self.bob.link.push(m.StockLow(0, 0))
            self.world.settle()
            self.world.clock.advance(STOCK_MS // 1000)
        status = self.bob.run(self.bob.messenger.status())
        kept = (status.one_time_prekeys, status.kem_one_time_prekeys)
        self.assertEqual((kept, self.held()), ((ONE_TIME_IN_USE, ONE_TIME_IN_USE), (STOCK, STOCK)))
        self.assertTrue(self.has(first, PreKeyKind.ONE_TIME))
        self.bob.stop()
        self.world.clock.advance(30.1 * DAY)
        self.bob.start()
        self.assertFalse(self.has(first, PreKeyKind.ONE_TIME))
        self.assertTrue(all(self.has(one, PreKeyKind.ONE_TIME) for one in self.bob.stored.one_time))

    def test_a_first_message_to_a_retired_prekey_still_opens(self) -> None:
        alice = self.world.person(ALICE).start()
        self.bob.start()
        self.bob.stop()
        alice.say(self.bob, "slow")
        self.world.clock.advance(20 * DAY)
        self.bob.start()
        self.assertEqual(self.bob.read(), ["slow"])
