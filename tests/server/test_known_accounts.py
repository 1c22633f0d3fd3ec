"""Accounts in memory: never asked twice, never older than a change."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, DeviceId
from e2ee.server.known_accounts import KnownAccounts, shows_token
from e2ee.store.server.ports import Account
from tests.server.town import ALICE, BOB, TOKEN, token_hash


def account(address: Address = BOB, token: bytes | None = TOKEN) -> Account:
    """Some account."""
    hashed = None if token is None else token_hash(token)
    return Account(address, DeviceId(bytes(8)), b"", b"", 1, b"", b"", hashed, False, None)


class SlowAccounts:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Account | None]] = []

    async def find(self, address: Address) -> Account | None:
        self.asked.append(Deferred())
        return await self.asked[-1]


class KnownAccountsTests(SynchronousTestCase):
    """The memory before the disk."""

    def setUp(self) -> None:
        self.slow = SlowAccounts()
        accounts: Any = self.slow
        self.known = KnownAccounts(accounts, remembered=2)

    def find(self, address: Address = BOB) -> Deferred[Account | None]:
        return Deferred.fromCoroutine(self.known.find(address))

    def test_an_account_is_read_once(self) -> None:
        first = self.find()
        self.slow.asked[0].callback(account())
        self.assertEqual(self.successResultOf(first), self.successResultOf(self.find()))
        self.assertEqual(len(self.slow.asked), 1)

    def test_after_a_change_it_is_read_again(self) -> None:
        self.find()
        self.slow.asked[0].callback(account())
        self.known.forget(BOB)
        self.assertNoResult(self.find())

    def test_what_was_read_while_it_changed_is_not_remembered(self) -> None:
        self.find()
        self.known.forget(BOB)
        self.slow.asked[0].callback(account())
        self.assertNoResult(self.find())

    def test_unknown_numbers_are_not_remembered(self) -> None:
        self.find()
        self.slow.asked[0].callback(None)
        self.assertNoResult(self.find())

    def test_the_memory_is_bounded(self) -> None:
        for number in (BOB, ALICE, Address("+15550100103")):
            self.find(number)
            self.slow.asked[-1].callback(account(number))
        self.assertNoResult(self.find(BOB))
        self.assertEqual(self.successResultOf(self.find(ALICE)), account(ALICE))

    def test_tokens(self) -> None:
        self.assertTrue(shows_token(account(), TOKEN))
        for stored, shown in ((TOKEN, b"another token..."), (TOKEN, None), (None, TOKEN), (None, None)):
            self.assertFalse(shows_token(account(token=stored), shown))
