"""What an operator may know of everybody: the contract of `ports.Census`."""

from __future__ import annotations

from e2ee.store.server import ports
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    MAILBOX_LIMITS,
    ContractCase,
    at,
    device_id,
    item,
    new_account,
)


class CensusContract(ContractCase):
    """Three accounts, or none."""

    def settle_in(self) -> None:
        for address in (CAROL, ALICE, BOB):
            self.register(new_account(address))

    def test_nobody(self) -> None:
        self.assertEqual(self.done(self.stores.census.accounts("", 10)), [])
        self.assertEqual(
            self.done(self.stores.census.survey()), ports.Survey(0, 0, 0, 0, None, 0, 0, 0, 0, 0, 0)
        )
        self.assertEqual(self.done(self.stores.census.not_seen_since(10)), 0)

    def test_accounts_come_in_pages_in_the_order_of_their_numbers(self) -> None:
        self.settle_in()
        first = self.done(self.stores.census.accounts("", 2))
        self.assertEqual([one.address for one in first], [ALICE, BOB])
        rest = self.done(self.stores.census.accounts(BOB, 2))
        self.assertEqual([one.address for one in rest], [CAROL])

    def test_what_is_told_of_one(self) -> None:
        self.settle_in()
        stores = self.stores
        self.done(stores.accounts.record_login(at(BOB), 5, 0.0))
        self.done(stores.accounts.set_pin(at(BOB), ports.StoredPin(b"s" * 16, b"H" * 32)))
        self.done(stores.mailbox(MAILBOX_LIMITS).append([item(BOB, ALICE, 1, 10)], 3.0))
        self.done(stores.prekeys.publish(at(BOB), ports.PreKeyUpload(one_time=[ports.StoredPreKey(1, b"k")])))
        self.done(stores.accounts.log_out(BOB))
        (bob,) = self.done(stores.census.accounts(ALICE, 1))
        self.assertEqual(bob, ports.AccountFacts(BOB, device_id(1), 5, True, True, 1, 10, 1))

    def test_sums(self) -> None:
        self.settle_in()
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.done(mailbox.append([item(CAROL, ALICE, 3, 7)], 2.0))
        self.done(mailbox.append([item(BOB, ALICE, n, 10) for n in (1, 2)], 3.0))
        upload = ports.PreKeyUpload(
            one_time=[ports.StoredPreKey(n, b"k") for n in (1, 2)], kem_one_time=[ports.StoredPreKey(3, b"k")]
        )
        self.done(self.stores.prekeys.publish(at(ALICE), upload))
        self.assertEqual(
            self.done(self.stores.census.survey()), ports.Survey(3, 3, 27, 2, 2.0, 2, 1, 2, 2, 0, 0)
        )

    def test_who_has_not_been_seen(self) -> None:
        self.settle_in()
        self.done(self.stores.accounts.record_login(at(ALICE), 1000, 0.0))
        self.done(self.stores.accounts.record_login(at(BOB), 999, 0.0))
        self.assertEqual(self.done(self.stores.census.not_seen_since(1000)), 2)
