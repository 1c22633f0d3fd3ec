"""How the keys of identities sign: parameters fixed, checked with the library by itself."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.identity_key import load_identity_key, sign, verify
from e2ee.net.x509 import CredentialsRefused
from tests.net.authorities import TestAuthority, key_pem, p256

MESSAGE = b"what is signed"
SHA256 = hashes.SHA256()


class IdentityKeyTests(SynchronousTestCase):
    """One kind of key, one kind of signature."""

    def setUp(self) -> None:
        self.authority = TestAuthority()
        self.rsa = rsa.generate_private_key(65537, 2048)

    def certificate(self, key: Any) -> Any:
        return self.authority.issue("+15550100102", key)

    def test_each_kind_signs_and_verifies(self) -> None:
        for key in (self.rsa, p256(), ed25519.Ed25519PrivateKey.generate()):
            certificate = self.certificate(key)
            signature = sign(load_identity_key(key_pem(key), certificate), MESSAGE)
            verify(certificate, MESSAGE, signature)
            for message, made in ((MESSAGE + b"!", signature), (MESSAGE, signature[:-1]), (MESSAGE, b"")):
                self.assertRaises(CredentialsRefused, verify, certificate, message, made)

    def test_rsa_is_pss_with_sha_256_and_a_salt_of_32_bytes(self) -> None:
        certificate = self.certificate(self.rsa)
        exact = padding.PSS(padding.MGF1(SHA256), 32)
        self.rsa.public_key().verify(sign(self.rsa, MESSAGE), MESSAGE, exact, SHA256)
        verify(certificate, MESSAGE, self.rsa.sign(MESSAGE, exact, SHA256))
        for other, algorithm in (
            (padding.PKCS1v15(), SHA256),
            (padding.PSS(padding.MGF1(SHA256), 20), SHA256),
            (padding.PSS(padding.MGF1(hashes.SHA384()), 32), SHA256),
            (padding.PSS(padding.MGF1(SHA256), 32), hashes.SHA384()),
        ):
            made = self.rsa.sign(MESSAGE, other, algorithm)
            self.assertRaises(CredentialsRefused, verify, certificate, MESSAGE, made)

    def test_each_curve_has_its_hash(self) -> None:
        for curve, right in ((ec.SECP256R1(), SHA256), (ec.SECP384R1(), hashes.SHA384()),
                             (ec.SECP521R1(), hashes.SHA512())):
            key = ec.generate_private_key(curve)
            key.public_key().verify(sign(key, MESSAGE), MESSAGE, ec.ECDSA(right))
            wrong = key.sign(MESSAGE, ec.ECDSA(hashes.SHA3_256()))
            self.assertRaises(CredentialsRefused, verify, self.certificate(key), MESSAGE, wrong)

    def test_keys_that_are_not_taken(self) -> None:
        certificate = self.certificate(self.rsa)
        locked = self.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        other = key_pem(p256())
        for content, part in ((other, "does not belong"), (locked, "passphrase"), (b"", "readable")):
            refused = self.assertRaises(CredentialsRefused, load_identity_key, content, certificate)
            self.assertIn(part, str(refused))
            self.assertNotIn("PRIVATE", repr(refused))
