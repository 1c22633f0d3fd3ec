"""The contract of `ports.PreKeys`."""

from __future__ import annotations

from e2ee.store.server.ports import BundleKeys, PreKeyUpload, Stock, StoredPreKey, UploadRefused
from tests.store.contract.fixture import ALICE, BOB, KEM_STOCK, STOCK, ContractCase, at, new_account


def keys(*numbers: int, salt: str = "") -> list[StoredPreKey]:
    """One-time keys with these ids."""
    return [StoredPreKey(number, f"key {number}{salt}".encode()) for number in numbers]


class PreKeysContract(ContractCase):
    """Each one-time key once, oldest first."""

    def setUp(self) -> None:
        super().setUp()
        self.register(new_account(ALICE))

    def publish(self, upload: PreKeyUpload) -> Stock | UploadRefused:
        return self.done(self.stores.prekeys.publish(at(ALICE), upload))

    def take(self, one_time: bool = True) -> BundleKeys:
        bundle = self.done(self.stores.prekeys.take(at(ALICE), one_time))
        assert bundle is not None
        return bundle

    def test_a_new_account_has_a_bundle_without_one_time_keys(self) -> None:
        self.assertEqual(
            self.take(),
            BundleKeys(b"signed\x01", b"last resort\x01", False, None, Stock(0, 0)),
        )

    def test_one_time_keys_are_handed_out_once_oldest_first_of_each_kind(self) -> None:
        self.assertEqual(
            self.publish(PreKeyUpload(one_time=keys(9, 3), kem_one_time=keys(7))), Stock(2, 1)
        )
        self.publish(PreKeyUpload(one_time=keys(1)))
        first, second, third, fourth = (self.take() for _ in range(4))
        self.assertEqual((first.one_time, first.kem_prekey), (keys(9)[0], b"key 7"))
        self.assertTrue(first.kem_is_one_time)
        self.assertEqual(first.stock, Stock(2, 0))
        self.assertEqual((second.one_time, second.kem_prekey), (keys(3)[0], b"last resort\x01"))
        self.assertFalse(second.kem_is_one_time)
        self.assertEqual((third.one_time, fourth.one_time), (keys(1)[0], None))

    def test_without_one_time_keys_the_stock_is_untouched(self) -> None:
        self.publish(PreKeyUpload(one_time=keys(1), kem_one_time=keys(2)))
        bundle = self.take(one_time=False)
        self.assertEqual((bundle.one_time, bundle.kem_is_one_time, bundle.stock), (None, False, Stock(1, 1)))

    def test_a_hundred_fetches_at_once_hand_out_each_key_once_oldest_first(self) -> None:
        prekeys = self.stores.prekeys_for(100)
        for start in range(0, 100, 50):
            upload = PreKeyUpload(one_time=keys(*range(start, start + 50)))
            self.done(prekeys.publish(at(ALICE), upload))
        bundles = self.together(*(prekeys.take(at(ALICE), True) for _ in range(101)))
        handed = [bundle.one_time for bundle in bundles if bundle is not None]
        self.assertEqual(handed, [*keys(*range(100)), None])

    def test_the_same_upload_twice_is_the_same_as_once(self) -> None:
        upload = PreKeyUpload(
            StoredPreKey(1, b"new signed"), StoredPreKey(2, b"new KEM"), keys(1, 2), keys(1, 2)
        )
        self.assertEqual(self.publish(upload), Stock(2, 2))
        self.assertEqual(self.publish(upload), Stock(2, 2))
        bundle = self.take()
        self.assertEqual((bundle.signed_prekey, bundle.one_time), (b"new signed", keys(1)[0]))

    def test_what_was_handed_out_never_comes_back(self) -> None:
        for upload in (
            PreKeyUpload(one_time=keys(1, 2), kem_one_time=keys(1)),
            PreKeyUpload(one_time=keys(3, 4), kem_one_time=keys(3), replace_stock=True),
        ):
            self.publish(upload)
            self.take()
            self.assertEqual(self.publish(upload), Stock(1, 0))
            self.take()
            self.assertEqual(self.publish(upload), Stock(0, 0))

    def test_the_same_id_with_other_content_is_refused_and_nothing_of_the_upload_stays(self) -> None:
        self.publish(PreKeyUpload(StoredPreKey(5, b"s"), StoredPreKey(6, b"l"), keys(1), keys(2)))
        conflicts = [
            PreKeyUpload(signed_prekey=StoredPreKey(5, b"other")),
            PreKeyUpload(last_resort_prekey=StoredPreKey(6, b"other")),
            PreKeyUpload(one_time=[*keys(3), *keys(1, salt="other")]),
            PreKeyUpload(one_time=keys(3), kem_one_time=keys(2, salt="other")),
        ]
        for upload in conflicts:
            self.assertEqual(self.publish(upload), UploadRefused.CONFLICT)
        self.assertEqual(self.done(self.stores.prekeys.stock(at(ALICE))), Stock(1, 1))
        self.take()
        for upload in conflicts:
            self.assertEqual(self.publish(upload), UploadRefused.CONFLICT, "also when handed out")

    def test_ids_of_different_kinds_do_not_meet(self) -> None:
        upload = PreKeyUpload(
            StoredPreKey(1, b"a"),
            StoredPreKey(1, b"b"),
            [StoredPreKey(1, b"c")],
            [StoredPreKey(1, b"d")],
        )
        self.assertEqual(self.publish(upload), Stock(1, 1))

    def test_a_new_signed_prekey_replaces_the_old_one(self) -> None:
        self.publish(PreKeyUpload(signed_prekey=StoredPreKey(5, b"five")))
        self.publish(PreKeyUpload(signed_prekey=StoredPreKey(6, b"six")))
        self.assertEqual(self.take().signed_prekey, b"six")

    def test_the_stock_may_be_full_but_not_fuller(self) -> None:
        full = PreKeyUpload(one_time=keys(*range(STOCK)), kem_one_time=keys(*range(KEM_STOCK)))
        self.assertEqual(self.publish(full), Stock(STOCK, KEM_STOCK))
        self.assertEqual(self.publish(full), Stock(STOCK, KEM_STOCK))
        self.assertEqual(self.publish(PreKeyUpload(one_time=keys(90))), UploadRefused.STOCK_FULL)
        self.assertEqual(self.publish(PreKeyUpload(kem_one_time=keys(90))), UploadRefused.STOCK_FULL)
        self.take()
        self.assertEqual(self.publish(PreKeyUpload(one_time=keys(90))), Stock(STOCK, KEM_STOCK - 1))

    def test_replacing_the_stock_drops_both_kinds_first(self) -> None:
        self.publish(PreKeyUpload(one_time=keys(*range(STOCK)), kem_one_time=keys(1)))
        replacing = PreKeyUpload(one_time=keys(*range(50, 50 + STOCK)), replace_stock=True)
        self.assertEqual(self.publish(replacing), Stock(STOCK, 0))
        self.assertEqual(self.take().one_time, keys(50)[0])
        self.assertEqual(self.publish(replacing), Stock(STOCK - 1, 0))

    def test_a_refused_replacement_leaves_the_stock(self) -> None:
        self.publish(PreKeyUpload(one_time=keys(1)))
        self.take()
        self.publish(PreKeyUpload(one_time=keys(2)))
        bad = PreKeyUpload(one_time=keys(1, salt="other"), replace_stock=True)
        self.assertEqual(self.publish(bad), UploadRefused.CONFLICT)
        self.assertEqual(self.take().one_time, keys(2)[0])

    def test_a_device_that_does_not_exist_has_nothing(self) -> None:
        prekeys = self.stores.prekeys
        for where in (at(ALICE, 2), at(BOB)):
            self.assertEqual(
                self.done(prekeys.publish(where, PreKeyUpload(one_time=keys(1)))), UploadRefused.NO_DEVICE
            )
            self.assertIsNone(self.done(prekeys.take(where, True)))
            self.assertEqual(self.done(prekeys.stock(where)), Stock(0, 0))
