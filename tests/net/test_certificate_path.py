"""Whose certificate leads to a trusted authority, and what is said of one that does not."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.authority import Authority
from e2ee.net.certificate_path import Trusted, check_path, check_subject, load_chain, numbers_of
from e2ee.net.x509 import CredentialsRefused, key_usage
from tests.net.authorities import DAY, NOW, TestAuthority, der, p256, tel, trusting

ALICE, BOB = "+15550100101", "+15550100102"
SECOND = datetime.timedelta(seconds=1)


class PathCase(SynchronousTestCase):
    """An authority and a key of Bob's."""

    def setUp(self) -> None:
        self.authority = TestAuthority()
        self.key = p256()
        self.trusted = trusting(self.authority)

    def check(
        self, *chain: x509.Certificate, trusted: Trusted | None = None, now: datetime.datetime = NOW
    ) -> Authority:
        loaded = load_chain([der(one) for one in chain])
        check_subject(loaded[0], BOB, now)
        return check_path(loaded, trusted or self.trusted, now)

    def refused(self, part: str, *chain: x509.Certificate, **other: Any) -> None:
        refusal = self.assertRaises(CredentialsRefused, self.check, *chain, **other)
        self.assertIn(part, str(refusal))

    def bob(self, authority: TestAuthority | None = None, **wrong: Any) -> x509.Certificate:
        return (authority or self.authority).issue(BOB, self.key, **wrong)


class PathTests(PathCase):
    """RFC 5280, section 6, by the library's verifier."""

    def test_a_certificate_of_a_trusted_authority(self) -> None:
        found = self.check(self.bob())
        self.assertEqual((found.name, found.certificate), ("Our company", self.authority.certificate))

    def test_without_an_authority_nothing_is_believed(self) -> None:
        self.refused("no certification authority is trusted", self.bob(), trusted=Trusted())

    def test_another_authority_of_the_same_name(self) -> None:
        self.refused("does not lead to a trusted", self.bob(TestAuthority()))

    def test_the_right_one_of_several_of_one_name(self) -> None:
        other = TestAuthority()
        found = self.check(self.bob(), trusted=trusting(other, self.authority))
        self.assertEqual(found.certificate, self.authority.certificate)

    def test_over_an_intermediate_that_comes_along(self) -> None:
        below = TestAuthority("Department", self.authority)
        self.assertEqual(self.check(self.bob(below), below.certificate).name, "Our company")
        self.refused("does not lead to", self.bob(below))

    def test_three_intermediates_are_enough_and_four_are_too_many(self) -> None:
        above = self.authority
        chain: list[x509.Certificate] = []
        for count in range(1, 5):
            above = TestAuthority(f"Department {count}", above)
            chain.insert(0, above.certificate)
            if count == 3:
                self.check(self.bob(above), *chain)
        self.refused("does not lead to", self.bob(above), *chain)

    def test_an_intermediate_may_be_what_is_trusted(self) -> None:
        below = TestAuthority("Department", self.authority)
        self.assertEqual(self.check(self.bob(below), trusted=trusting(below)).name, "Department")

    def test_a_person_is_no_authority(self) -> None:
        person = TestAuthority("Mallory", self.authority)
        person.certificate = self.authority.issue(ALICE, person.key)
        person.name = person.certificate.subject
        self.refused("does not lead to", self.bob(person), person.certificate)

    def test_an_authority_without_the_right_to_issue_below_it(self) -> None:
        last = TestAuthority("Last", path_length=0)
        below = TestAuthority("Department", last)
        self.refused("does not lead to", self.bob(below), below.certificate, trusted=trusting(last))

    def test_an_authority_is_no_person(self) -> None:
        self.refused("does not lead to", self.bob(ca=True))

    def test_a_self_signed_one_is_not_its_own_authority(self) -> None:
        self.refused("does not lead to", self.bob(TestAuthority("A person", key=self.key)))

    def test_an_unknown_critical_extension(self) -> None:
        strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
        self.refused("does not lead to", self.bob(more=[strange]))

    def test_weak_keys_of_authorities(self) -> None:
        weak = TestAuthority("Weak", self.authority, key=rsa.generate_private_key(65537, 1024))
        self.refused("does not lead to", self.bob(weak), weak.certificate)

    def test_a_signature_that_was_changed(self) -> None:
        changed = bytearray(der(self.bob()))
        changed[-1] ^= 1
        certificate = x509.load_der_x509_certificate(bytes(changed))
        self.refused("does not lead to", certificate)


class ValidityTests(PathCase):
    """From its first to its last second, of every certificate on the way."""

    def test_the_certificate(self) -> None:
        bob = self.bob(begins=NOW, ends=NOW + DAY)
        self.check(bob)
        self.check(bob, now=NOW + DAY)
        self.refused("not valid before 2023-11-14 22:13 UTC", bob, now=NOW - SECOND)
        self.refused("expired at 2023-11-15 22:13 UTC", bob, now=NOW + DAY + SECOND)

    def test_the_authority(self) -> None:
        authority = TestAuthority(ends=NOW + DAY)
        trusted = trusting(authority)
        self.check(self.bob(authority), trusted=trusted, now=NOW + DAY)
        self.refused("does not lead to", self.bob(authority), trusted=trusted, now=NOW + DAY + SECOND)

    def test_an_intermediate(self) -> None:
        below = TestAuthority("Department", self.authority, ends=NOW + DAY)
        self.refused("does not lead to", self.bob(below), below.certificate, now=NOW + DAY + SECOND)

    def test_of_two_ways_the_valid_one(self) -> None:
        key = p256()
        old = TestAuthority("Department", self.authority, key=key, ends=NOW)
        new = TestAuthority("Department", self.authority, key=key)
        self.check(self.bob(new), old.certificate, new.certificate, now=NOW + DAY)


class SubjectTests(PathCase):
    """For which number, with which key, and what the key is for."""

    def test_another_number(self) -> None:
        self.refused(f"for {ALICE}, not for {BOB}", self.bob(names=tel(ALICE)))
        self.refused(f"for {BOB}0, not for {BOB}", self.bob(names=tel(BOB + "0")))

    def test_one_number_of_several(self) -> None:
        self.check(self.bob(names=tel(ALICE, BOB)))

    def test_numbers_elsewhere_than_in_a_tel_uri_do_not_count(self) -> None:
        other = [x509.DNSName("example.org"), x509.UniformResourceIdentifier(f"sip:{BOB}@example.org")]
        self.refused("for no number", self.bob(names=other))
        self.refused("for no number", self.bob(names=[x509.UniformResourceIdentifier(f"TEL:{BOB}")]))
        self.refused("for no number", self.bob(names=None))

    def test_its_key_must_be_for_signatures(self) -> None:
        self.refused("not for signatures", self.bob(usage=key_usage(ca=True)))
        self.refused("does not lead to", self.bob(usage=None))

    def test_where_it_says_what_for_it_must_be_for_clients(self) -> None:
        self.check(self.bob(extended=None))
        self.check(self.bob(extended=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        self.check(self.bob(extended=both))
        self.refused("not for clients", self.bob(extended=[ExtendedKeyUsageOID.SERVER_AUTH]))

    def test_each_kind_of_key_and_each_that_is_too_weak(self) -> None:
        for key in (
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP521R1()),
            ed25519.Ed25519PrivateKey.generate(),
        ):
            self.check(self.authority.issue(BOB, key))
        for key, part in (
            (rsa.generate_private_key(65537, 1024), "1024 bits"),
            (rsa.generate_private_key(65537, 2040), "2040 bits"),
            (rsa.generate_private_key(3, 2048), "another exponent"),
            (ec.generate_private_key(ec.SECP224R1()), "none of RSA"),
            (ec.generate_private_key(ec.SECP256K1()), "none of RSA"),
        ):
            self.refused(part, self.authority.issue(BOB, key))

    def test_whatever_comes_there_is_a_sentence(self) -> None:
        """Random changes of certificates end as a refusal, never as another error."""
        genuine = self.bob()
        change = st.tuples(st.integers(0, len(der(genuine)) - 1), st.integers(1, 255))

        @settings(deadline=None, max_examples=300)
        @given(st.lists(change, min_size=1, max_size=3))
        def attempt(changes: list[tuple[int, int]]) -> None:
            changed = bytearray(der(genuine))
            for place, bits in changes:
                changed[place] ^= bits
            self.judge(bytes(changed), genuine)

        attempt()

    def test_every_byte_of_another_value_is_a_sentence(self) -> None:
        """What a server could serve: also a version that there is not, an extension twice, a strange name."""
        genuine = self.bob()
        for place in range(len(der(genuine))):
            for bits in (1, 2, 0x80, 0xFF):
                changed = bytearray(der(genuine))
                changed[place] ^= bits
                self.judge(bytes(changed), genuine)

    def judge(self, changed: bytes, genuine: x509.Certificate) -> None:
        """Refused, unless all that is signed and its signature are as they were."""
        try:
            [found] = load_chain([changed])
            check_subject(found, BOB, NOW)
            check_path([found], self.trusted, NOW)
        except CredentialsRefused:
            return
        # The number of unused bits behind the signature is nobody's: it is not signed, and not looked at.
        self.assertEqual(found.tbs_certificate_bytes, genuine.tbs_certificate_bytes)
        self.assertEqual(found.signature, genuine.signature)

    def test_what_is_no_certificate(self) -> None:
        self.assertRaises(CredentialsRefused, load_chain, [b"\x30\x00"])
        self.assertEqual(numbers_of(self.bob(names=None)), ())


class RevocationTests(PathCase):
    """RFC 5280, section 5: lists are checked by hand."""

    def lists(self, *lists: x509.CertificateRevocationList) -> Trusted:
        return trusting(self.authority, lists=lists)

    def test_without_a_list_nothing_is_revoked(self) -> None:
        self.check(self.bob())

    def test_one_that_is_in_the_list(self) -> None:
        bob, other = self.bob(), self.bob()
        trusted = self.lists(self.authority.revoke(bob))
        self.refused("revoked", bob, trusted=trusted)
        self.check(other, trusted=trusted)

    def test_a_list_counts_until_its_end_and_then_nobody_is_believed(self) -> None:
        trusted = self.lists(self.authority.revoke(until=NOW + DAY))
        self.check(self.bob(), trusted=trusted, now=NOW + DAY)
        self.refused("list is not valid any more", self.bob(), trusted=trusted, now=NOW + DAY + SECOND)

    def test_who_is_in_an_outdated_list_stays_revoked(self) -> None:
        bob = self.bob()
        trusted = self.lists(self.authority.revoke(bob, until=NOW))
        self.refused("revoked", bob, trusted=trusted, now=NOW + DAY)

    def test_the_list_of_another_authority_of_the_same_name_does_not_count(self) -> None:
        bob = self.bob()
        self.check(bob, trusted=self.lists(TestAuthority().revoke(bob)))
        self.check(bob, trusted=self.lists(self.authority.revoke(bob, key=p256())))

    def test_a_revoked_intermediate(self) -> None:
        below = TestAuthority("Department", self.authority)
        trusted = self.lists(self.authority.revoke(below.certificate))
        self.refused("revoked", self.bob(below), below.certificate, trusted=trusted)

    def test_a_person_whom_an_intermediate_has_revoked(self) -> None:
        below = TestAuthority("Department", self.authority)
        bob = self.bob(below)
        self.refused("revoked", bob, below.certificate, trusted=self.lists(below.revoke(bob)))

    def test_a_trusted_intermediate_is_looked_up_with_its_issuer(self) -> None:
        below = TestAuthority("Department", self.authority)
        trusted = trusting(below, self.authority, lists=[self.authority.revoke(below.certificate)])
        self.refused("revoked", self.bob(below), trusted=trusted)

    def test_a_list_of_one_who_may_not_sign_lists(self) -> None:
        person = TestAuthority("Person", self.authority)
        person.certificate = self.authority.sign(
            person.name, person.key, ca=True, usage=_only_certificates(), extended=None
        )
        bob = self.bob(person)
        self.check(bob, person.certificate, trusted=self.lists(person.revoke(bob)))


def _only_certificates() -> x509.KeyUsage:
    usage = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    return x509.KeyUsage(key_cert_sign=True, **usage)
