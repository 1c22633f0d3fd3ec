"""RSA-3072-OAEP-SHA256 as a KEM, by the text of `docs/cryptography.md`, section 2."""

from __future__ import annotations

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import kem_primitives, rsa_transport
from e2ee.crypto.kem import decapsulate, encapsulate
from e2ee.crypto.keys import KemKey, KemSuite
from e2ee.crypto.prekey_secrets import KemPreKeySecret
from e2ee.crypto.secret_keys import KemSecretKey
from e2ee.errors import EncodingRefused, KeyRefused, OpenFailed
from tests.crypto import vectors
from tests.crypto.people import NOW, SeededEntropy
from tests.crypto.rsa_keys import PRIMES, use_old_rsa_keys

REJECTION_KEY = b"z" * 32


def key(number: int = 0) -> KemSecretKey:
    return KemSecretKey(KemSuite.RSA_3072, PRIMES[number] + REJECTION_KEY)


def keyed(secret: bytes, message: bytes) -> bytes:
    return hmac.new(secret, message, hashlib.sha256).digest()


def derived(seed: bytes, modulus: bytes, ciphertext: bytes) -> bytes:
    """HKDF of one block, written out."""
    digest = hashlib.sha256(modulus + ciphertext).digest()
    return keyed(keyed(bytes(32), seed), b"e2ee/1 secret by RSA transport\x02" + digest + b"\x01")


class Transport(SynchronousTestCase):
    def setUp(self) -> None:
        self.key = key()
        assert isinstance(self.key.parsed, kem_primitives.RsaSecret)
        self.rsa = self.key.parsed
        self.modulus = self.key.public_raw
        self.label = b"\x02" + hashlib.sha256(self.modulus).digest()

    def rejected(self, ciphertext: bytes) -> bytes:
        return derived(keyed(REJECTION_KEY, ciphertext), self.modulus, ciphertext)

    def encrypted(self, seed: bytes, label: bytes | None = None) -> bytes:
        label = self.label if label is None else label
        return kem_primitives.rsa_encrypt(self.rsa.public_key(), seed, label)

    def test_both_sides_have_the_same_secret_and_each_time_another(self) -> None:
        secrets = set()
        for _ in range(3):
            secret, ciphertext = encapsulate(self.key.public)
            self.assertEqual((len(secret), len(ciphertext)), (32, 384))
            self.assertEqual(decapsulate(self.key, ciphertext), secret)
            secrets.add(secret)
        self.assertEqual(len(secrets), 3)

    def test_the_secret_is_derived_from_seed_key_and_ciphertext(self) -> None:
        ciphertext = self.encrypted(b"s" * 32)
        self.assertEqual(decapsulate(self.key, ciphertext), derived(b"s" * 32, self.modulus, ciphertext))

    def test_what_does_not_decrypt_gives_a_secret_of_the_rejection_key(self) -> None:
        good = self.encrypted(b"s" * 32)
        number = int.from_bytes(good, "big")
        above = number + int.from_bytes(self.modulus, "big")
        bad = [good[:-1] + bytes((good[-1] ^ 1,)), bytes(384), bytes(383) + b"\x01", b"\xff" * 384]
        bad += [self.encrypted(b"s" * 31), self.encrypted(b"s" * 33), self.encrypted(b"")]
        bad += [self.encrypted(b"s" * 32, b""), self.encrypted(b"s" * 32, b"\x01" + self.label[1:])]
        bad += [above.to_bytes(384, "big")] if above < 1 << 3072 else []
        for ciphertext in bad:
            self.assertEqual(decapsulate(self.key, ciphertext), self.rejected(ciphertext))

    def test_a_ciphertext_for_another_key(self) -> None:
        _, ciphertext = encapsulate(key(1).public)
        self.assertEqual(decapsulate(self.key, ciphertext), self.rejected(ciphertext))

    def test_the_same_seed_for_another_key_gives_another_secret(self) -> None:
        """Re-encapsulation: whoever decrypts may encrypt the same again, to somebody else."""
        other = key(1)
        assert isinstance(other.parsed, kem_primitives.RsaSecret)
        label = b"\x02" + hashlib.sha256(other.public_raw).digest()
        ciphertext = kem_primitives.rsa_encrypt(other.parsed.public_key(), b"s" * 32, label)
        again = decapsulate(other, ciphertext)
        self.assertNotEqual(again, decapsulate(self.key, self.encrypted(b"s" * 32)))

    def test_other_lengths_are_refused(self) -> None:
        for size in (0, 1, 383, 385, 1568):
            self.assertRaises(OpenFailed, decapsulate, self.key, bytes(size))

    def test_the_id_is_that_of_the_suite(self) -> None:
        self.assertEqual(rsa_transport.KEM_ID, bytes((KemSuite.RSA_3072,)))


class Keys(SynchronousTestCase):
    def test_a_modulus_is_an_odd_number_of_exactly_3072_bits(self) -> None:
        modulus = key().public_raw
        self.assertEqual(KemKey(KemSuite.RSA_3072, modulus).raw, modulus)
        short = bytes((modulus[0] & 0x7F,)) + modulus[1:]
        even = modulus[:-1] + bytes((modulus[-1] & 0xFE,))
        for bad in (short, even, b"\0" + modulus, modulus[1:], modulus + b"\x01", b"", bytes(384)):
            self.assertRaises(KeyRefused, KemKey, KemSuite.RSA_3072, bad)

    def test_a_key_of_one_kem_is_none_of_the_other(self) -> None:
        lattice = KemSecretKey.generate(KemSuite.ML_KEM_1024, SeededEntropy("kem"))
        self.assertRaises(KeyRefused, KemKey, KemSuite.RSA_3072, lattice.public_raw)
        self.assertRaises(KeyRefused, KemKey, KemSuite.ML_KEM_1024, key().public_raw)
        self.assertRaises(KeyRefused, KemSecretKey, KemSuite.RSA_3072, lattice.raw)
        self.assertRaises(KeyRefused, KemSecretKey, KemSuite.ML_KEM_1024, key().raw)

    def test_primes_of_another_size_are_refused(self) -> None:
        primes = PRIMES[0]
        even = primes[:191] + bytes((primes[191] & 0xFE,)) + primes[192:]
        for bad in (bytes(384), primes[:192] * 2, even, bytes(192) + primes[192:], primes[:-1]):
            self.assertRaises(KeyRefused, KemSecretKey, KemSuite.RSA_3072, bad + REJECTION_KEY)

    def test_it_comes_back_from_the_vault(self) -> None:
        kept = KemPreKeySecret(7, True, NOW, key())
        encoded = kept.encode()
        self.assertEqual(KemPreKeySecret.decode(encoded), kept)
        for changed in (encoded[:-1], encoded + b"\0", encoded.replace(PRIMES[0], bytes(384))):
            self.assertRaises(EncodingRefused, KemPreKeySecret.decode, changed)

    def test_a_new_one_has_a_rejection_key_of_its_own(self) -> None:
        use_old_rsa_keys(self)
        entropy = SeededEntropy("rejection")
        made = [KemSecretKey.generate(KemSuite.RSA_3072, entropy) for _ in range(2)]
        self.assertNotEqual(made[0].rejection_key, made[1].rejection_key)
        self.assertEqual([one.raw[:384] for one in made], PRIMES[:2])

    def test_a_really_new_one(self) -> None:
        new = KemSecretKey.generate(KemSuite.RSA_3072, SeededEntropy("new"))
        secret, ciphertext = encapsulate(new.public)
        self.assertEqual(decapsulate(new, ciphertext), secret)

    def test_no_repr_shows_it(self) -> None:
        self.assertNotIn(repr(REJECTION_KEY)[2:-1], repr(key()))


class KnownAnswers(SynchronousTestCase):
    def test_oaep_with_sha_256_of_published_vectors(self) -> None:
        checked = 0
        path = "asymmetric/RSA/oaep-custom/oaep-sha256-sha256.txt"
        for secret, plaintext, ciphertext in vectors.oaep(path):
            self.assertEqual(kem_primitives.rsa_decrypt(secret, ciphertext, b""), plaintext)
            self.assertIsNone(kem_primitives.rsa_decrypt(secret, ciphertext, b"another label"))
            checked += 1
        self.assertGreater(checked, 20)
