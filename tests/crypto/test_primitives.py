"""What the primitives refuse, and their limits; the published answers are in `test_known_answers`."""

from __future__ import annotations

import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import kem_primitives, primitives
from e2ee.errors import KeyRefused, OpenFailed, SignatureRefused
from tests.crypto.people import SeededEntropy

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
X25519_ORDER_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
ED25519_ORDER_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"


def little(value: int) -> bytes:
    """32 bytes, least significant first, as both curves write numbers."""
    return value.to_bytes(32, "little")


class KeyedHashes(SynchronousTestCase):
    def test_a_pair_is_two_hmacs_under_one_key(self) -> None:
        self.assertEqual(
            primitives.hmac_sha256_pair(b"key", b"one", b"other"),
            (primitives.hmac_sha256(b"key", b"one"), primitives.hmac_sha256(b"key", b"other")),
        )

    def test_keys_around_the_length_of_a_block_are_those_of_the_standard_library(self) -> None:
        for size in (0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129):
            key = bytes(range(size))
            self.assertEqual(primitives.hmac_sha256(key, b"text"), hmac.digest(key, b"text", "sha256"), size)

    @given(key=st.binary(max_size=200), text=st.binary(max_size=2000), info=st.binary(max_size=100))
    @settings(deadline=None, max_examples=100)
    def test_all_keyed_hashes_are_those_of_the_libraries(self, key: bytes, text: bytes, info: bytes) -> None:
        theirs = hmac.digest(key, text, "sha256"), hmac.digest(key, info, "sha256")
        self.assertEqual(primitives.hmac_sha256(key, text), theirs[0])
        self.assertEqual(primitives.hmac_sha256_pair(key, text, info), theirs)
        expanded = primitives.hkdf_expand(key, info, 64)
        self.assertEqual(b"".join(primitives.hkdf_expand_pair(key, info)), expanded)

    def test_a_hash_is_compared_whole(self) -> None:
        self.assertTrue(primitives.equal(b"same", b"same"))
        self.assertFalse(primitives.equal(b"same", b"sama"))
        self.assertFalse(primitives.equal(b"same", b"same+"))


class X25519(SynchronousTestCase):
    def test_keys_that_are_not_canonical_are_refused(self) -> None:
        for value in (P, P + 1, P + 9, 2**255 - 1, 2**255, 2**255 + 9, 2**256 - 1):
            self.assertRaises(KeyRefused, primitives.x25519_public, little(value))

    def test_the_largest_and_smallest_acceptable_values(self) -> None:
        for value in (2, 9, P - 2):
            primitives.x25519_public(little(value))

    def test_every_point_of_low_order_is_refused(self) -> None:
        order_8 = int.from_bytes(bytes.fromhex(X25519_ORDER_8), "little")
        other_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
        for value in (0, 1, P - 1, order_8, other_8):
            self.assertRaises(KeyRefused, primitives.x25519_public, little(value))

    def test_a_zero_secret_is_the_same_refusal(self) -> None:
        secret = primitives.x25519_secret(SeededEntropy("x")(32))
        unchecked = primitives.X25519Public.from_public_bytes(bytes.fromhex(X25519_ORDER_8))
        self.assertRaises(KeyRefused, primitives.x25519, secret, unchecked)

    def test_other_lengths_are_refused(self) -> None:
        for size in (0, 31, 33):
            self.assertRaises(KeyRefused, primitives.x25519_public, b"\x09" * size)
            self.assertRaises(KeyRefused, primitives.x25519_secret, b"\x09" * size)


class Ed25519(SynchronousTestCase):
    def test_every_key_of_small_order_is_refused_with_either_sign(self) -> None:
        order_8 = int.from_bytes(bytes.fromhex(ED25519_ORDER_8), "little")
        for value in (0, 1, P - 1, order_8, P - order_8):
            for sign in (0, 2**255):
                self.assertRaises(KeyRefused, primitives.ed25519_public, little(value + sign))

    def test_the_library_alone_would_accept_one_and_any_message_under_it(self) -> None:
        identity = little(1)
        forged = identity + bytes(32)
        unchecked = primitives.Ed25519Public.from_public_bytes(identity)
        for message in (b"one", b"other"):
            primitives.ed25519_verify(unchecked, message, forged)

    def test_keys_that_are_not_canonical_are_refused(self) -> None:
        for value in (P, P + 1, P + 3, 2**255 - 1):
            for sign in (0, 2**255):
                self.assertRaises(KeyRefused, primitives.ed25519_public, little(value + sign))

    def test_a_signature_has_one_form(self) -> None:
        """S ≥ L and a non-canonical R are refused, so nobody makes a second signature of one."""
        secret = primitives.ed25519_secret(SeededEntropy("s")(32))
        public = secret.public_key()
        signature = primitives.ed25519_sign(secret, b"message")
        shifted = int.from_bytes(signature[32:], "little") + ORDER
        for changed in (signature[:32] + little(shifted), little(P + 1) + bytes(32), b"", signature + b"\0"):
            self.assertRaises(SignatureRefused, primitives.ed25519_verify, public, b"message", changed)

    def test_other_lengths_are_refused(self) -> None:
        for size in (0, 31, 33):
            self.assertRaises(KeyRefused, primitives.ed25519_public, b"\x09" * size)
            self.assertRaises(KeyRefused, primitives.ed25519_secret, b"\x09" * size)


class MlKem(SynchronousTestCase):
    def test_what_was_encapsulated_is_decapsulated(self) -> None:
        secret = kem_primitives.mlkem_secret(bytes(64))
        agreed, ciphertext = kem_primitives.mlkem_encapsulate(secret.public_key())
        self.assertEqual(kem_primitives.mlkem_decapsulate(secret, ciphertext), agreed)
        self.assertEqual((len(agreed), len(ciphertext)), (32, kem_primitives.MLKEM_CIPHERTEXT_BYTES))

    def test_a_key_with_a_coefficient_out_of_range_is_refused(self) -> None:
        raw = kem_primitives.mlkem_secret(bytes(64)).public_key().public_bytes_raw()
        kem_primitives.mlkem_public(raw)
        self.assertRaises(KeyRefused, kem_primitives.mlkem_public, b"\xff" * 1536 + raw[1536:])

    def test_other_lengths_are_refused(self) -> None:
        raw = kem_primitives.mlkem_secret(bytes(64)).public_key().public_bytes_raw()
        for changed in (b"", raw[:-1], raw + b"\0"):
            self.assertRaises(KeyRefused, kem_primitives.mlkem_public, changed)
        self.assertRaises(KeyRefused, kem_primitives.mlkem_secret, bytes(63))
        for size in (0, 1567, 1569):
            secret = kem_primitives.mlkem_secret(bytes(64))
            self.assertRaises(OpenFailed, kem_primitives.mlkem_decapsulate, secret, bytes(size))


class SymmetricEncryption(SynchronousTestCase):
    def test_every_length_comes_back(self) -> None:
        for size in range(50):
            ciphertext = primitives.aes_cbc_encrypt(bytes(32), bytes(16), b"x" * size)
            self.assertEqual(primitives.aes_cbc_decrypt(bytes(32), bytes(16), ciphertext), b"x" * size)

    def test_wrong_padding_or_length_is_the_one_error(self) -> None:
        def without_padding(plaintext: bytes) -> bytes:
            return primitives.aes_cbc_encrypt(bytes(32), bytes(16), plaintext)[: len(plaintext)]

        endings = (b"\x00", b"\x11", b"\x02", b"\xff", b"\x03\x02\x03")
        plaintexts = [b"y" * (16 - len(ending)) + ending for ending in endings]
        for ciphertext in (b"", bytes(15), bytes(17), *map(without_padding, plaintexts)):
            self.assertRaises(OpenFailed, primitives.aes_cbc_decrypt, bytes(32), bytes(16), ciphertext)

    def test_aead_refuses_every_change(self) -> None:
        key, nonce = bytes(32), bytes(12)
        sealed = primitives.aead_seal(key, nonce, b"plain", b"bound")
        self.assertEqual(primitives.aead_open(key, nonce, sealed, b"bound"), b"plain")
        changed = bytes((sealed[0] ^ 1,)) + sealed[1:]
        for arguments in (
            (key, nonce, changed, b"bound"),
            (key, nonce, sealed, b"other"),
            (key, b"\1" * 12, sealed, b"bound"),
            (b"\1" * 32, nonce, sealed, b"bound"),
            (key, nonce, b"", b"bound"),
            (key, b"", sealed, b"bound"),
        ):
            self.assertRaises(OpenFailed, primitives.aead_open, *arguments)

    def test_a_wrapped_key_comes_back_under_the_right_key_only(self) -> None:
        entropy = SeededEntropy("wrap")
        wrapping, key = entropy(32), entropy(32)
        wrapped = primitives.wrap_key(wrapping, key, entropy)
        self.assertEqual(primitives.unwrap_key(wrapping, wrapped), key)
        self.assertNotEqual(primitives.wrap_key(wrapping, key, entropy), wrapped)
        self.assertNotIn(key, wrapped)
        self.assertRaises(OpenFailed, primitives.unwrap_key, entropy(32), wrapped)
        for size in (0, 5, 12, len(wrapped) - 1):
            self.assertRaises(OpenFailed, primitives.unwrap_key, wrapping, wrapped[:size])
