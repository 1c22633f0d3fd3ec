"""Look-ups, bundles and uploads: docs/protocol.md, "Directory", with its limits."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.ids import Address
from e2ee.server.policy import DAY_SECONDS, Policy
from e2ee.server.refusal import Refusal
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode
from tests.server.town import ALICE, BOB, CAROL, TOKEN, TownCase, token_hash


class DirectoryCase(TownCase):
    """Bob publishes, Alice asks."""

    policy = Policy(bundles_per_target=2, lookups_per_day=2)

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.town.rooms.directory

    def refused(self, step: object) -> Refusal:
        """The refusal of a request."""
        error: Refusal = self.failureResultOf(Deferred.fromCoroutine(step), Refusal).value  # type: ignore[arg-type]
        return error

    def publish(self, message: m.Publish, address: Address = BOB) -> m.Published:
        return self.now(self.directory.publish(self.town.where(address), message))

    def fetch(self, token: bytes | None = None, asker: Address = ALICE) -> m.Bundle:
        return self.now(self.directory.fetch_bundle(asker, m.FetchBundle(1, str(BOB), token)))


class BundleTests(DirectoryCase):
    """One-time keys go out once; limits never refuse a bundle."""

    def test_a_look_up_gives_the_statement(self) -> None:
        answer = self.now(self.directory.look_up(ALICE, m.LookUp(1, str(BOB))))
        self.assertEqual(answer, m.LookedUp(1, self.town.devices[BOB].signed_statement))

    def test_an_identity_is_handed_out_with_the_statement_as_it_was_uploaded(self) -> None:
        """Whatever it is: the server neither looks into it nor makes one."""
        self.fetch()
        where = self.town.where(BOB)
        for identity in (b"whatever", None, b"another"):
            done = self.now(self.directory.set_identity(where, m.SetIdentity(7, identity)))
            self.assertEqual(done, m.Done(7))
            looked_up = self.now(self.directory.look_up(ALICE, m.LookUp(1, str(BOB))))
            self.assertEqual((looked_up.identity, self.fetch().identity), (identity, identity))
        gone = type(where)(BOB, self.town.where(ALICE).device)
        refusal = self.refused(self.directory.set_identity(gone, m.SetIdentity(1, b"x")))
        self.assertIs(refusal.code, RefusalCode.LOGGED_OUT)

    def test_each_one_time_key_is_handed_out_once_oldest_first(self) -> None:
        upload = self.town.publication(BOB, one_time=2, kem=2)
        self.publish(upload)
        bundles = [self.fetch(TOKEN) for _ in range(2)]
        self.assertEqual([bundle.one_time for bundle in bundles], list(upload.one_time))
        self.assertEqual([bundle.kem_prekey for bundle in bundles], list(upload.kem_one_time))

    def test_beyond_the_limit_a_bundle_comes_without_one_time_keys(self) -> None:
        self.publish(self.town.publication(BOB, one_time=5, kem=5))
        bundles = [self.fetch() for _ in range(3)]
        self.assertEqual([bundle.one_time is None for bundle in bundles], [False, False, True])
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        self.town.rooms.known.forget(BOB)
        self.assertIsNotNone(self.fetch(TOKEN).one_time)
        self.town.network.advance(300)
        self.assertIsNotNone(self.fetch().one_time)

    def test_an_empty_stock_gives_the_last_resort_key(self) -> None:
        bundle = self.fetch()
        self.assertIsNone(bundle.one_time)
        self.assertTrue(bundle.kem_prekey)

    def test_unknown_numbers(self) -> None:
        for step in (
            self.directory.look_up(ALICE, m.LookUp(1, str(CAROL))),
            self.directory.fetch_bundle(ALICE, m.FetchBundle(1, str(CAROL), None)),
        ):
            self.assertEqual(self.refused(step).code, RefusalCode.UNKNOWN_RECIPIENT)

    def test_distinct_numbers_are_limited_for_a_rolling_day(self) -> None:
        for _ in range(5):
            self.fetch()
        unknown = self.directory.look_up(ALICE, m.LookUp(1, str(CAROL)))
        self.assertEqual(self.refused(unknown).code, RefusalCode.UNKNOWN_RECIPIENT)
        third = m.LookUp(1, "+15550100199")
        limited = self.refused(self.directory.look_up(ALICE, third))
        self.assertEqual((limited.code, limited.retry_after), (RefusalCode.RATE_LIMITED, DAY_SECONDS))
        self.fetch()
        self.now(self.directory.look_up(ALICE, m.LookUp(1, str(ALICE))))
        self.town.network.advance(DAY_SECONDS)
        self.assertEqual(self.refused(self.directory.look_up(ALICE, third)).code,
                         RefusalCode.UNKNOWN_RECIPIENT)


class DrainedStockTests(DirectoryCase):
    """Twenty accounts ask for one target's keys, again and again."""

    policy = Policy()

    def test_they_get_a_bucket_of_keys_and_nobody_is_refused_a_bundle(self) -> None:
        self.publish(self.town.publication(BOB, one_time=100, kem=32))
        drainers = [Address(f"+155501002{number:02}") for number in range(20)]
        for _ in range(5):
            for drainer in drainers:
                answer = self.now(self.directory.fetch_bundle(drainer, m.FetchBundle(1, str(BOB), None)))
                self.assertTrue(answer.signed_prekey and answer.kem_prekey)
        self.assertIsNone(self.fetch().one_time)
        left = self.publish(m.Publish(1, None, None, (), ()))
        self.assertEqual((left.one_time_stock, left.kem_one_time_stock), (70, 2))
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        self.town.rooms.known.forget(BOB)
        self.assertIsNotNone(self.fetch(TOKEN).one_time)


class UploadTests(DirectoryCase):
    """The server verifies what is uploaded."""

    def test_what_is_published_is_counted(self) -> None:
        published = self.publish(self.town.publication(BOB, one_time=3, kem=2))
        self.assertEqual(published, m.Published(1, 3, 2))

    def test_the_same_upload_twice_is_one(self) -> None:
        upload = self.town.publication(BOB, one_time=3, kem=2)
        self.publish(upload)
        self.assertEqual(self.publish(upload), m.Published(1, 3, 2))

    def refuse(self, message: m.Publish, code: RefusalCode) -> None:
        self.assertEqual(self.refused(self.directory.publish(self.town.where(BOB), message)).code, code)

    def test_an_id_with_other_content_is_refused(self) -> None:
        self.publish(self.town.publication(BOB, one_time=1))
        self.refuse(self.town.publication(BOB, one_time=1), RefusalCode.CONFLICT)

    def test_more_than_the_stock_holds_is_refused(self) -> None:
        self.publish(self.town.publication(BOB, one_time=100))
        self.refuse(self.town.publication(BOB, one_time=1, first=500), RefusalCode.QUOTA)

    def test_a_small_order_key_is_refused(self) -> None:
        self.refuse(m.Publish(1, None, None, (m.OneTimePreKey(1, bytes(32)),), ()), RefusalCode.KEY_REFUSED)

    def test_anothers_signature_is_refused(self) -> None:
        self.refuse(self.town.publication(ALICE, kem=1), RefusalCode.KEY_REFUSED)

    def test_a_kem_prekey_in_anothers_place_is_refused(self) -> None:
        [one_time] = self.town.publication(BOB, kem=1).kem_one_time
        self.refuse(m.Publish(1, None, one_time, (), ()), RefusalCode.KEY_REFUSED)
        self.refuse(m.Publish(1, one_time, None, (), ()), RefusalCode.KEY_REFUSED)

    def test_a_device_that_was_displaced_is_told_so(self) -> None:
        old, upload = self.town.where(BOB), self.town.publication(BOB, one_time=1)
        self.now(self.town.settle_in(BOB))
        self.assertEqual(self.refused(self.directory.publish(old, upload)).code, RefusalCode.LOGGED_OUT)
