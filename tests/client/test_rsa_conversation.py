"""A profile registered with `--kem rsa-3072` among profiles with ML-KEM."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import KeyChanged
from e2ee.client.prekeeper import REFILL_SECONDS, RSA_STOCK, STOCK
from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.limits import SIGNED_PREKEY_LIFE_MS
from e2ee.crypto.own_device import create_device, sign_statement
from e2ee.crypto.prekeys import verify_kem_prekey
from e2ee.errors import Code
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from tests.client.people import World
from tests.crypto.rsa_keys import use_old_rsa_keys

ALICE, BOB = "+15550100101", "+15550100102"


class RsaCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.keys_made = use_old_rsa_keys(self)
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB, suite=KemSuite.RSA_3072).start()


class Conversations(RsaCase):
    def test_both_directions_whoever_begins(self) -> None:
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            one.say(other, "first")
            self.assertEqual(other.read(), ["first"])
            other.say(one, "answer")
            self.assertEqual(one.read(), ["answer"])

    def test_the_suite_is_in_the_statement_and_the_prekeys_are_of_it(self) -> None:
        stored = self.bob.stored
        self.assertIs(self.bob.own.statement.suite, KemSuite.RSA_3072)
        for kem in (*stored.kem_one_time, stored.last_resort):
            bundle = verify_bundle(self.bob.own.signed_statement, stored.signed_prekey, kem, None)
            self.assertIs(bundle.kem_prekey.suite, KemSuite.RSA_3072)


class Stock(RsaCase):
    def held(self) -> tuple[int, int]:
        return len(self.bob.stored.one_time), len(self.bob.stored.kem_one_time)

    def test_ten_rsa_prekeys_and_100_others(self) -> None:
        self.assertEqual(self.held(), (STOCK, RSA_STOCK))
        self.assertEqual(self.keys_made[0], RSA_STOCK + 1)

    def test_a_low_stock_is_filled_again_and_a_half_full_one_left_alone(self) -> None:
        del self.bob.stored.kem_one_time[:5]
        self.bob.link.push(m.StockLow(STOCK, 5))
        self.world.wait(REFILL_SECONDS)
        self.assertEqual(self.held(), (STOCK, 5))
        del self.bob.stored.kem_one_time[:1]
        self.bob.link.push(m.StockLow(STOCK, 4))
        self.world.wait(REFILL_SECONDS)
        self.assertEqual(self.held(), (STOCK, RSA_STOCK))

    def test_the_last_resort_prekey_is_replaced_by_another_of_rsa(self) -> None:
        before = self.bob.stored.last_resort
        self.world.wait(SIGNED_PREKEY_LIFE_MS // 1000 + 3600)
        after = verify_kem_prekey(self.bob.stored.last_resort, self.bob.own.statement.device_signing_key)
        self.assertNotEqual(self.bob.stored.last_resort, before)
        self.assertEqual((after.suite, after.one_time), (KemSuite.RSA_3072, False))


class Downgrades(RsaCase):
    """A contact once seen with ML-KEM is never accepted with less."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.say(self.alice, "hello")
        self.alice.say(self.bob, "hello")

    def refused(self) -> None:
        sent = self.bob.say(self.alice, "to whom?")
        assert sent.error is not None
        self.assertIs(sent.error.code, Code.KEY_CHANGED)
        self.assertEqual(self.bob.heard(KeyChanged), [])

    def test_not_in_a_newer_statement(self) -> None:
        newer = replace(
            self.alice.own.statement, generation=self.alice.own.generation + 1, suite=KemSuite.RSA_3072
        )
        self.alice.stored.served = sign_statement(self.alice.own.account_secret, newer)
        self.refused()

    def test_not_under_another_account_key(self) -> None:
        other = create_device(self.alice.address, 2**50, seeded_entropy("other"), KemSuite.RSA_3072)
        self.alice.stored.served = other.signed_statement
        self.refused()

    def test_the_other_way_is_a_changed_key_like_any(self) -> None:
        other = create_device(self.bob.address, 2**50, seeded_entropy("other"))
        self.bob.stored.served = other.signed_statement
        sent = self.alice.say(self.bob, "to whom?")
        assert sent.error is not None
        self.assertIs(sent.error.code, Code.KEY_CHANGED)
        self.assertEqual(len(self.alice.heard(KeyChanged)), 1)
