"""Certificates and keys: what is made is what is read back, and what does not fit is refused."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress

from cryptography import x509 as cx509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net import x509
from e2ee.net.x509 import CredentialsRefused, KeyKind
from e2ee.testing.certificates import NOW

DAY = datetime.timedelta(days=1)
NAMES = ("chat.example.org", "localhost", "127.0.0.1", "::1")


class SelfSignedTests(SynchronousTestCase):
    """What a server makes at its first start."""

    def setUp(self) -> None:
        self.credentials = x509.make_self_signed(NAMES, NOW)

    def test_an_ecdsa_p_256_key(self) -> None:
        key = self.credentials.certificate.public_key()
        self.assertIsInstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(getattr(key, "curve").name, "secp256r1")  # noqa: B009

    def test_all_names_and_addresses_are_in_it(self) -> None:
        names = self.credentials.certificate.extensions.get_extension_for_class(
            cx509.SubjectAlternativeName
        ).value
        self.assertEqual(names.get_values_for_type(cx509.DNSName), ["chat.example.org", "localhost"])
        self.assertEqual(
            names.get_values_for_type(cx509.IPAddress),
            [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")],
        )

    def test_it_is_valid_for_ten_years_and_not_longer(self) -> None:
        self.credentials.check(NOW)
        self.credentials.check(NOW + 3652 * DAY)
        self.assertRaises(CredentialsRefused, self.credentials.check, NOW + 3653 * DAY)
        self.credentials.check(NOW - DAY)
        self.assertRaises(CredentialsRefused, self.credentials.check, NOW - 2 * DAY)

    def test_it_survives_its_file(self) -> None:
        loaded = x509.load_credentials(self.credentials.to_pem())
        self.assertEqual(loaded.chain, self.credentials.chain)
        self.assertEqual(loaded.pin, self.credentials.pin)

    def test_the_pin_is_the_hash_of_the_public_key_info(self) -> None:
        spki = self.credentials.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.assertEqual(self.credentials.pin, hashlib.sha256(spki).digest())
        self.assertEqual(x509.key_pin(x509.key_to_pem(self.credentials.key)), self.credentials.pin)

    def test_no_key_is_in_a_repr(self) -> None:
        self.assertNotIn("Key", repr(self.credentials).replace("ObjectIdentifier", ""))

    def test_a_name_that_cannot_stand_in_a_certificate(self) -> None:
        self.assertRaises(CredentialsRefused, x509.make_self_signed, ("b\u00fccher.example",), NOW)

    def test_a_very_long_name(self) -> None:
        x509.make_self_signed(("a" * 60 + ".example.org",), NOW)

    def test_a_backup_key_has_a_pin_from_day_one(self) -> None:
        backup = x509.make_backup_key()
        later = x509.make_self_signed(NAMES, NOW, 1, x509.load_key(backup))
        self.assertEqual(x509.key_pin(backup), later.pin)
        self.assertNotEqual(later.pin, self.credentials.pin)


class AuthorityTests(SynchronousTestCase):
    """A private CA and what it issues."""

    def test_a_leaf_is_signed_by_it(self) -> None:
        for kind in (KeyKind.ECDSA_P256, KeyKind.RSA_3072):
            authority = x509.make_authority("the company", NOW, 10, kind)
            leaf = x509.issue(authority, NAMES, NOW, 1, KeyKind.ECDSA_P256.generate())
            leaf.certificate.verify_directly_issued_by(authority.certificate)

    def test_rsa_has_3072_bits(self) -> None:
        key = KeyKind.RSA_3072.generate()
        self.assertIsInstance(key, rsa.RSAPrivateKey)
        self.assertEqual(key.key_size, 3072)

    def test_a_leaf_is_no_authority(self) -> None:
        authority = x509.make_authority("the company", NOW)
        leaf = x509.issue(authority, NAMES, NOW, 1, KeyKind.ECDSA_P256.generate())
        for certificate, expected in ((authority.certificate, True), (leaf.certificate, False)):
            basic = certificate.extensions.get_extension_for_class(cx509.BasicConstraints)
            self.assertIs(basic.value.ca, expected)
            self.assertTrue(basic.critical)

    def test_the_same_key_keeps_its_pin(self) -> None:
        authority = x509.make_authority("the company", NOW)
        key = KeyKind.ECDSA_P256.generate()
        first = x509.issue(authority, NAMES, NOW, 1, key)
        second = x509.issue(authority, NAMES, NOW + 300 * DAY, 1, key)
        self.assertEqual(first.pin, second.pin)
        self.assertNotEqual(first.certificate, second.certificate)


class LoadingTests(SynchronousTestCase):
    """What an operator brings along."""

    def setUp(self) -> None:
        self.credentials = x509.make_self_signed(NAMES, NOW)
        self.certificate = x509.certificates_to_pem(self.credentials.chain)
        self.key = x509.key_to_pem(self.credentials.key)

    def assert_refused(self, certificate: bytes, key: bytes | None, words: str) -> None:
        refused = self.assertRaises(CredentialsRefused, x509.load_credentials, certificate, key)
        self.assertIn(words, str(refused))
        self.assertNotIn("PRIVATE", str(refused))

    def test_two_files(self) -> None:
        self.assertEqual(x509.load_credentials(self.certificate, self.key).pin, self.credentials.pin)

    def test_a_chain_begins_with_the_leaf(self) -> None:
        authority = x509.make_authority("the company", NOW)
        leaf = x509.issue(authority, NAMES, NOW, 1, KeyKind.ECDSA_P256.generate())
        chain = leaf.chain + authority.chain
        loaded = x509.load_credentials(x509.certificates_to_pem(chain), x509.key_to_pem(leaf.key))
        self.assertEqual(loaded.chain, chain)
        self.assert_refused(
            x509.certificates_to_pem(chain[::-1]), x509.key_to_pem(leaf.key), "does not belong"
        )

    def test_another_key(self) -> None:
        self.assert_refused(self.certificate, x509.make_backup_key(), "does not belong")

    def test_what_is_missing(self) -> None:
        self.assert_refused(self.key, self.key, "no readable certificate")
        self.assert_refused(self.certificate, None, "no readable private key")
        self.assert_refused(b"", b"", "no readable certificate")
        self.assert_refused(self.certificate, b"\xff\0nonsense", "no readable private key")

    def test_a_key_behind_a_passphrase(self) -> None:
        sealed = self.credentials.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
        self.assert_refused(self.certificate, sealed, "passphrase")

    def test_a_key_of_another_kind(self) -> None:
        other = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.assert_refused(self.certificate, other, "neither ECDSA nor RSA")

    def test_a_ca_file(self) -> None:
        self.assertEqual(x509.load_certificates(self.certificate), self.credentials.chain)
        self.assertRaises(CredentialsRefused, x509.load_certificates, b"nothing")
