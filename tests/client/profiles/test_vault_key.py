"""The vault's key file."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.profiles.vault_key import KEY_FILE_BYTES, WrappedKey, wrap
from e2ee.crypto import limits, primitives
from e2ee.errors import Code, Failure
from e2ee.testing.entropy import seeded_entropy


class VaultKeyTests(SynchronousTestCase):
    """A random key, wrapped by one from a passphrase."""

    def setUp(self) -> None:
        self.derived: list[tuple[object, ...]] = []

        def quick(*arguments: object) -> bytes:
            self.derived.append(arguments)
            return primitives.sha256(repr(arguments).encode())

        self.patch(primitives, "argon2id", quick)
        self.key, self.wrapped = wrap(b"passphrase", seeded_entropy("vault"))

    def test_the_passphrase_gives_the_key_back(self) -> None:
        self.assertEqual(len(self.key), 32)
        self.assertEqual(self.wrapped.unwrap(b"passphrase"), self.key)

    def test_another_passphrase_is_refused(self) -> None:
        for other in (b"", b"Passphrase", b"passphrase ", b"passphrase\n"):
            with self.subTest(other=other), self.assertRaises(Failure) as raised:
                self.wrapped.unwrap(other)
            self.assertEqual(raised.exception.code, Code.PASSPHRASE)

    def test_the_costs_and_the_salt_come_from_the_file(self) -> None:
        costs = (limits.ARGON2_MEMORY_KIB, limits.ARGON2_ITERATIONS, limits.ARGON2_LANES)
        self.wrapped.unwrap(b"passphrase")
        self.assertEqual(self.derived, [(b"passphrase", self.wrapped.salt, *costs)] * 2)

    def test_the_file_is_read_back(self) -> None:
        encoded = self.wrapped.encode()
        self.assertLess(len(encoded), KEY_FILE_BYTES)
        self.assertEqual(WrappedKey.decode(encoded), self.wrapped)

    def test_neither_key_nor_passphrase_stand_in_it(self) -> None:
        encoded = self.wrapped.encode()
        self.assertNotIn(self.key, encoded)
        self.assertNotIn(b"passphrase", encoded)

    def test_every_changed_byte_is_refused(self) -> None:
        encoded = self.wrapped.encode()
        for place in range(len(encoded)):
            changed = bytearray(encoded)
            changed[place] ^= 0x01
            with self.subTest(place=place), self.assertRaises(Failure):
                WrappedKey.decode(bytes(changed)).unwrap(b"passphrase")

    def test_what_is_cut_or_too_long_is_damaged(self) -> None:
        encoded = self.wrapped.encode()
        for content in (b"", encoded[:-1], encoded + b"\0"):
            with self.subTest(content=len(content)), self.assertRaises(Failure) as raised:
                WrappedKey.decode(content)
            self.assertEqual(raised.exception.code, Code.FAILED)

    def test_a_file_with_lower_costs_than_promised_is_damaged(self) -> None:
        for wrong in (
            replace(self.wrapped, memory_kib=64 * 1024 - 1),
            replace(self.wrapped, memory_kib=2**32 - 1),
            replace(self.wrapped, iterations=0),
            replace(self.wrapped, lanes=0),
        ):
            with self.subTest(wrong=wrong), self.assertRaises(Failure) as raised:
                WrappedKey.decode(wrong.encode())
            self.assertEqual(raised.exception.code, Code.FAILED)

    def test_two_profiles_with_one_passphrase_share_nothing(self) -> None:
        key, other = wrap(b"passphrase", seeded_entropy("another"))
        self.assertNotEqual(key, self.key)
        self.assertNotEqual(other.salt, self.wrapped.salt)


class CostTests(SynchronousTestCase):
    """Argon2id itself."""

    def test_the_costs_are_at_least_those_promised(self) -> None:
        self.assertGreaterEqual(limits.ARGON2_MEMORY_KIB, 64 * 1024)
        self.assertGreaterEqual(limits.ARGON2_ITERATIONS, 3)
