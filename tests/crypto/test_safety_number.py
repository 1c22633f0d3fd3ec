"""The safety number: the same for both, another for every other key or number."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.keys import AccountKey
from e2ee.crypto.safety_number import safety_number
from e2ee.ids import Address
from tests.crypto.people import ALICE, BOB, MALLORY, person


def straightforward(key: AccountKey, address: Address) -> str:
    """One half, written out once more."""
    label = b"e2ee/1 safety number"
    digest = bytes((len(label),)) + label + key.raw + bytes((len(address),)) + address.encode()
    for _ in range(5200):
        digest = hashlib.sha512(digest + key.raw).digest()
    return "".join(f"{int.from_bytes(digest[at : at + 5], 'big') % 100000:05d}" for at in range(0, 30, 5))


class SafetyNumbers(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice = person(ALICE).own.statement.account_key
        self.bob = person(BOB).own.statement.account_key

    def test_it_is_sixty_digits_and_the_same_for_both(self) -> None:
        number = safety_number(self.alice, ALICE, self.bob, BOB)
        self.assertEqual(number, safety_number(self.bob, BOB, self.alice, ALICE))
        self.assertEqual(len(number), 60)
        self.assertTrue(number.isascii() and number.isdigit())

    def test_it_is_the_sorted_halves(self) -> None:
        halves = sorted((straightforward(self.alice, ALICE), straightforward(self.bob, BOB)))
        self.assertEqual(safety_number(self.alice, ALICE, self.bob, BOB), "".join(halves))

    def test_every_other_key_or_number_gives_another(self) -> None:
        mallory = person(MALLORY).own.statement.account_key
        seen = {
            safety_number(self.alice, ALICE, self.bob, BOB),
            safety_number(self.alice, ALICE, mallory, BOB),
            safety_number(self.alice, ALICE, self.bob, MALLORY),
            safety_number(mallory, ALICE, self.bob, BOB),
            safety_number(self.alice, BOB, self.bob, ALICE),
        }
        self.assertEqual(len(seen), 5)

    def test_it_never_changes_between_versions_of_this_program(self) -> None:
        self.assertEqual(safety_number(self.alice, ALICE, self.bob, BOB), FROZEN)


FROZEN = "150854926644828004146512595580169605982876952582147075283940"
