"""Our primitives against answers that others have published."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import kem_primitives, primitives
from e2ee.errors import KeyRefused, SignatureRefused
from tests.crypto import vectors

hexed = bytes.fromhex


class Hashes(SynchronousTestCase):
    def check(self, path: str, function: Callable[[bytes], bytes]) -> None:
        checked = 0
        for record in vectors.records(path, "len"):
            message = hexed(record["msg"])[: int(record["len"]) // 8]
            self.assertEqual(function(message).hex(), record["md"])
            checked += 1
        self.assertGreaterEqual(checked, 65)

    def test_sha256_of_nist(self) -> None:
        self.check("hashes/SHA2/SHA256ShortMsg.rsp", primitives.sha256)

    def test_sha512_of_nist(self) -> None:
        self.check("hashes/SHA2/SHA512ShortMsg.rsp", primitives.sha512)


class KeyedHashes(SynchronousTestCase):
    def test_hmac_sha256_of_rfc_4231(self) -> None:
        checked = 0
        for record in vectors.records("HMAC/rfc-4231-sha256.txt", "len"):
            key, message = hexed(record["key"]), hexed(record["msg"])
            self.assertEqual(primitives.hmac_sha256(key, message).hex(), record["md"])
            pair = primitives.hmac_sha256_pair(key, message, message)
            self.assertEqual([tag.hex() for tag in pair], [record["md"]] * 2)
            checked += 1
        self.assertGreaterEqual(checked, 6)

    def test_hkdf_of_rfc_5869(self) -> None:
        checked = 0
        for record in vectors.records("KDF/rfc-5869-HKDF-SHA256.txt", "count"):
            secret, salt, info = hexed(record["ikm"]), hexed(record["salt"]), hexed(record["info"])
            length = int(record["l"])
            self.assertEqual(primitives.hkdf(salt, secret, info, length).hex(), record["okm"])
            extracted = primitives.hmac_sha256(salt or bytes(primitives.HASH_BYTES), secret)
            self.assertEqual(extracted.hex(), record["prk"])
            self.assertEqual(primitives.hkdf_expand(extracted, info, length).hex(), record["okm"])
            blocks = b"".join(primitives.hkdf_expand_pair(extracted, info))
            self.assertEqual(blocks[:length].hex(), record["okm"][: 2 * len(blocks)])
            checked += 1
        self.assertEqual(checked, 3)

    def test_a_long_output_of_hkdf(self) -> None:
        record = next(vectors.records("KDF/hkdf-generated.txt", "count"))
        secret, length = hexed(record["ikm"]), int(record["l"])
        self.assertEqual(primitives.hkdf(b"", secret, b"", length).hex(), record["okm"])
        self.assertEqual(length, 1200)


class Passphrases(SynchronousTestCase):
    def test_argon2id_of_its_reference_implementation(self) -> None:
        checked = 0
        for record in vectors.records("KDF/argon2id.txt", "count"):
            if record["length"] != "32" or record.get("secret") or record.get("ad"):
                continue
            costs = int(record["memcost"]), int(record["iter"]), int(record["lanes"])
            if costs[0] > 4096:
                continue
            key = primitives.argon2id(hexed(record["pass"]), hexed(record["salt"]), *costs)
            self.assertEqual(key.hex(), record["output"].lower())
            checked += 1
        self.assertGreaterEqual(checked, 1)

    def test_argon2id_of_the_command_line_tool(self) -> None:
        key = primitives.argon2id(b"password", b"somesalt", memory_kib=256, iterations=2, lanes=1)
        self.assertEqual(key.hex(), "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe")


class X25519(SynchronousTestCase):
    @staticmethod
    def function(scalar: bytes, coordinate: bytes) -> bytes:
        """X25519 of RFC 7748, which has implementations mask the high bit; we refuse it."""
        masked = coordinate[:31] + bytes((coordinate[31] & 0x7F,))
        return primitives.x25519(primitives.x25519_secret(scalar), primitives.x25519_public(masked))

    def test_the_function_of_rfc_7748_section_5_2(self) -> None:
        checked = 0
        for record in vectors.records("asymmetric/X25519/rfc7748.txt", "count"):
            coordinate = hexed(record["input_u"])
            if coordinate[31] & 0x80:
                self.assertRaises(KeyRefused, primitives.x25519_public, coordinate)
            agreed = self.function(hexed(record["input_scalar"]), coordinate)
            self.assertEqual(agreed.hex(), record["output_u"])
            checked += 1
        self.assertEqual(checked, 3)

    def test_a_thousand_iterations_of_section_5_2(self) -> None:
        scalar = coordinate = (9).to_bytes(32, "little")
        for _ in range(1000):
            scalar, coordinate = self.function(scalar, coordinate), scalar
        self.assertEqual(scalar.hex(), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")

    def test_the_agreement_of_section_6_1(self) -> None:
        alice = primitives.x25519_secret(hexed(ALICE_SECRET))
        bob = primitives.x25519_secret(hexed(BOB_SECRET))
        self.assertEqual(alice.public_key().public_bytes_raw().hex(), ALICE_PUBLIC)
        self.assertEqual(bob.public_key().public_bytes_raw().hex(), BOB_PUBLIC)
        for secret, public in ((alice, BOB_PUBLIC), (bob, ALICE_PUBLIC)):
            agreed = primitives.x25519(secret, primitives.x25519_public(hexed(public)))
            self.assertEqual(agreed.hex(), AGREED)


ALICE_SECRET = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB_SECRET = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
AGREED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


class Ed25519(SynchronousTestCase):
    def test_every_reference_vector(self) -> None:
        """The first is also the first of RFC 8032, section 7.1."""
        checked = 0
        for seed, public, message, signature in vectors.signatures(1024):
            secret = primitives.ed25519_secret(seed)
            self.assertEqual(secret.public_key().public_bytes_raw(), public)
            self.assertEqual(primitives.ed25519_sign(secret, message), signature)
            primitives.ed25519_verify(primitives.ed25519_public(public), message, signature)
            checked += 1
        self.assertEqual(checked, 1024)

    def test_no_reference_signature_verifies_for_a_longer_message(self) -> None:
        for _, public, message, signature in vectors.signatures(64):
            parsed = primitives.ed25519_public(public)
            self.assertRaises(SignatureRefused, primitives.ed25519_verify, parsed, message + b"\0", signature)


class MlKem(SynchronousTestCase):
    def test_ml_kem_1024_with_implicit_rejection(self) -> None:
        known = vectors.records("asymmetric/MLKEM/kat_MLKEM_1024.rsp", "count")
        for record in islice(known, 100):
            secret = kem_primitives.mlkem_secret(hexed(record["d"] + record["z"]))
            self.assertEqual(secret.public_key().public_bytes_raw().hex(), record["pk"])
            kem_primitives.mlkem_public(hexed(record["pk"]))
            agreed = kem_primitives.mlkem_decapsulate(secret, hexed(record["ct"]))
            self.assertEqual(agreed.hex(), record["ss"])
            rejected = kem_primitives.mlkem_decapsulate(secret, hexed(record["ct_n"]))
            self.assertEqual(rejected.hex(), record["ss_n"])

    def test_ml_kem_768_with_implicit_rejection(self) -> None:
        known = vectors.records("asymmetric/MLKEM/kat_MLKEM_768.rsp", "count")
        for record in islice(known, 100):
            secret = kem_primitives.mlkem768_secret(hexed(record["d"] + record["z"]))
            self.assertEqual(secret.public_key().public_bytes_raw().hex(), record["pk"])
            kem_primitives.mlkem768_public(hexed(record["pk"]))
            agreed = kem_primitives.mlkem768_decapsulate(secret, hexed(record["ct"]))
            self.assertEqual(agreed.hex(), record["ss"])
            rejected = kem_primitives.mlkem768_decapsulate(secret, hexed(record["ct_n"]))
            self.assertEqual(rejected.hex(), record["ss_n"])


class SymmetricEncryption(SynchronousTestCase):
    def test_aes_256_cbc_of_nist(self) -> None:
        checked = 0
        for name in ("GFSbox", "KeySbox", "MMT", "VarKey", "VarTxt"):
            for record in vectors.records(f"ciphers/AES/CBC/CBC{name}256.rsp", "count"):
                key, iv, plaintext = (hexed(record[field]) for field in ("key", "iv", "plaintext"))
                ciphertext = primitives.aes_cbc_encrypt(key, iv, plaintext)
                self.assertEqual(ciphertext[: len(plaintext)].hex(), record["ciphertext"])
                self.assertEqual(len(ciphertext), len(plaintext) + 16, "PKCS#7 adds a block to whole blocks")
                self.assertEqual(primitives.aes_cbc_decrypt(key, iv, ciphertext), plaintext)
                checked += 1
        self.assertGreaterEqual(checked, 400)

    def test_aes_256_gcm_of_nist(self) -> None:
        checked = 0
        for record in vectors.records("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "count"):
            nonce, tag = hexed(record["iv"]), record["tag"]
            if len(nonce) != primitives.NONCE_BYTES or len(tag) != 32:
                continue
            key, plaintext, associated = (hexed(record[field]) for field in ("key", "pt", "aad"))
            sealed = primitives.aead_seal(key, nonce, plaintext, associated)
            self.assertEqual(sealed.hex(), record["ct"] + tag)
            self.assertEqual(primitives.aead_open(key, nonce, sealed, associated), plaintext)
            checked += 1
        self.assertGreaterEqual(checked, 300)
