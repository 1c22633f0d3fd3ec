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

    def remember(self, most: int) -> None:
        """So many, instead of two."""
        accounts: Any = self.slow
        self.known = KnownAccounts(accounts, remembered=most)

    def look(self, number: Address) -> None:
        """Ask for this one, and let the disk answer if it is asked."""
        found, before = self.find(number), len(self.slow.asked)
        if not found.called:
            self.slow.asked[before - 1].callback(account(number))
        self.successResultOf(found)

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

    def test_as_many_as_there_is_room_for_are_read_once_in_whatever_order(self) -> None:
        self.remember(4)
        numbers = [Address(f"+1555010010{n}") for n in range(4)]
        for number in numbers + numbers[::-1] + numbers[1:] + numbers:
            self.look(number)
        self.assertEqual(len(self.slow.asked), 4)

    def test_who_is_asked_for_again_stays_and_who_is_not_goes(self) -> None:
        self.remember(4)
        numbers = [Address(f"+1555010010{n}") for n in range(7)]
        for number in numbers[:5]:
            self.look(number)
        self.look(numbers[1])
        self.assertEqual(len(self.slow.asked), 5)
        self.look(numbers[5])
        self.look(numbers[6])
        self.assertEqual(
            [number for number in numbers if number in self.known._known], [numbers[1], *numbers[4:]]
        )

    def test_never_more_than_there_is_room_for(self) -> None:
        self.remember(4)
        for turn in range(200):
            self.look(Address(f"+155501001{turn * turn * 7 % 23 + 10}"))
            if turn % 5 == 0:
                self.known.forget(Address(f"+155501001{turn % 23 + 10}"))
            self.assertLessEqual(len(self.known._known) + len(self.known._older), 4)
        self.assertEqual(len(self.known._known) + len(self.known._older), 4)

    def test_a_change_reaches_those_that_were_not_asked_for_lately_too(self) -> None:
        for number in (BOB, ALICE, Address("+15550100103")):
            self.look(number)
        self.known.forget(ALICE)
        self.assertIsNone(self.known.remembered(ALICE))

    def test_tokens(self) -> None:
        self.assertTrue(shows_token(account(), TOKEN))
        for stored, shown in ((TOKEN, b"another token..."), (TOKEN, None), (None, TOKEN), (None, None)):
            self.assertFalse(shows_token(account(token=stored), shown))
