"""What may be trusted as an authority, and which revocation lists are taken."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.authority import load_authorities, load_authority, load_revocation_lists
from e2ee.net.x509 import CredentialsRefused, key_usage
from tests.net.authorities import DAY, NOW, TestAuthority, der, p256, pem

BOB = "+15550100102"


class AuthorityTests(SynchronousTestCase):
    """The file of `trust --ca`."""

    def refused(self, part: str, content: bytes) -> None:
        self.assertIn(part, str(self.assertRaises(CredentialsRefused, load_authorities, content, NOW)))

    def test_a_file_may_have_several(self) -> None:
        one, other = TestAuthority("One"), TestAuthority("Other")
        found = load_authorities(pem(one.certificate, other.certificate), NOW)
        self.assertEqual([each.name for each in found], ["One", "Other"])
        self.assertEqual([each.encoded for each in found], [der(one.certificate), der(other.certificate)])
        self.assertNotEqual(found[0].fingerprint, found[1].fingerprint)

    def test_one_that_is_none_refuses_the_file(self) -> None:
        authority = TestAuthority()
        person = authority.issue(BOB, p256())
        self.refused("not one of a certification authority", pem(authority.certificate, person))
        without = authority.sign(authority.name, authority.key, ca=True)
        self.refused("not one of a certification authority", pem(without))
        signs = authority.sign(authority.name, p256(), ca=True, usage=key_usage(ca=False))
        self.refused("keyCertSign", pem(signs))
        self.refused("no readable certificate", b"nothing")
        self.assertRaises(CredentialsRefused, load_authority, b"nothing")

    def test_its_validity(self) -> None:
        self.refused("not valid now", pem(TestAuthority(ends=NOW - DAY / 2).certificate))
        self.refused("not valid now", pem(TestAuthority(begins=NOW + DAY).certificate))

    def test_its_key(self) -> None:
        for good in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
            load_authorities(pem(TestAuthority(key=good).certificate), NOW)
        for bad in (rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()):
            self.refused("the key of an authority", pem(TestAuthority(key=bad).certificate))

    def test_its_name(self) -> None:
        authority = TestAuthority()
        authority.name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd")])
        named = authority.sign(authority.name, authority.key, ca=True, usage=key_usage(ca=True))
        self.assertEqual(load_authority(der(named)).name, "Example Ltd")
        authority.name = x509.Name([])
        nameless = load_authority(
            der(authority.sign(authority.name, authority.key, ca=True, usage=key_usage(ca=True)))
        )
        self.assertEqual(nameless.name, nameless.fingerprint.hex()[:16])


class RevocationListTests(SynchronousTestCase):
    """The file of `--crl`."""

    def setUp(self) -> None:
        self.authority = TestAuthority()

    def test_in_pem_with_several_and_in_der(self) -> None:
        one, other = self.authority.revoke(), TestAuthority("Other").revoke()
        found = load_revocation_lists(b"a comment\n" + pem(one) + b"\n" + pem(other))
        self.assertEqual([each.encoded for each in found], [der(one), der(other)])
        self.assertEqual([each.encoded for each in load_revocation_lists(der(one))], [der(one)])

    def test_whose_it_is(self) -> None:
        [found] = load_revocation_lists(pem(self.authority.revoke()))
        self.assertTrue(found.is_signed_by(self.authority.certificate))
        self.assertFalse(found.is_signed_by(TestAuthority().certificate))
        self.assertFalse(found.is_signed_by(TestAuthority("Other", key=self.authority.key).certificate))
        strange = TestAuthority(key=ed25519.Ed25519PrivateKey.generate())
        self.assertFalse(found.is_signed_by(strange.certificate))

    def test_a_partial_one_is_refused(self) -> None:
        for extension in (
            x509.DeltaCRLIndicator(1),
            x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
        ):
            partial = pem(self.authority.revoke(more=[extension]))
            refused = self.assertRaises(CredentialsRefused, load_revocation_lists, partial)
            self.assertIn("partial", str(refused))

    def test_what_is_none(self) -> None:
        begun = b"-----BEGIN X509 CRL-----\nAAAA\n"
        for content in (b"", b"nothing", pem(self.authority.certificate), begun):
            self.assertRaises(CredentialsRefused, load_revocation_lists, content)
