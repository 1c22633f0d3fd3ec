"""The encoding of X.509 identities: docs/cryptography.md, "X.509 identities"."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits
from e2ee.crypto.certified_identity import CertifiedIdentity, identity_message
from e2ee.crypto.own_device import create_device
from e2ee.errors import EncodingRefused
from tests.crypto.people import ALICE, BOB, SeededEntropy


class CertifiedIdentityTests(SynchronousTestCase):
    """One encoding, within its bounds."""

    def test_byte_by_byte(self) -> None:
        encoded = CertifiedIdentity((b"own", b"above"), b"signature").encode()
        self.assertEqual(encoded, b"\x05\x01\x02\x00\x03own\x00\x05above\x00\x09signature")
        decoded = CertifiedIdentity.decode(encoded)
        self.assertEqual((decoded.chain, decoded.signature), ((b"own", b"above"), b"signature"))

    def test_both_sides_of_each_bound(self) -> None:
        one = (b"c",)
        CertifiedIdentity(one * limits.IDENTITY_CERTIFICATES, b"s").encode()
        room = limits.IDENTITY_BYTES - len(CertifiedIdentity(one, b"s").encode()) + 1
        longest = CertifiedIdentity((b"c" * room,), b"s").encode()
        self.assertEqual(len(longest), limits.IDENTITY_BYTES)
        CertifiedIdentity.decode(longest)
        for wrong in (
            CertifiedIdentity(one * (limits.IDENTITY_CERTIFICATES + 1), b"s"),
            CertifiedIdentity((), b"s"),
            CertifiedIdentity((b"",), b"s"),
            CertifiedIdentity(one, b""),
            CertifiedIdentity((b"c" * (room + 1),), b"s"),
        ):
            self.assertRaises(ValueError, wrong.encode)

    def test_anything_else_is_refused(self) -> None:
        genuine = CertifiedIdentity((b"own",), b"signature").encode()
        for wrong in (
            b"", genuine[:-1], genuine + b"\0", b"\x04" + genuine[1:], b"\x05\x02" + genuine[2:],
            b"\x05\x01\x00\x00\x01s", b"\x05\x01\x05" + b"\x00\x01c" * 5 + b"\x00\x01s",
            b"\x05\x01\x01\x00\x00\x00\x01s", b"\x05\x01\x01\x00\x01c\x00\x00",
            CertifiedIdentity((b"c",), b"s" * 9).encode() + bytes(limits.IDENTITY_BYTES),
        ):  # fmt: skip
            self.assertRaises(EncodingRefused, CertifiedIdentity.decode, wrong)

    def test_what_is_decoded_is_encoded_in_the_same_way(self) -> None:
        @settings(deadline=None, max_examples=200)
        @given(st.binary(max_size=40).map(lambda rest: b"\x05\x01" + rest))
        def attempt(encoded: bytes) -> None:
            try:
                found = CertifiedIdentity.decode(encoded)
            except EncodingRefused:
                return
            self.assertEqual(found.encode(), encoded)

        attempt()

    def test_label_number_and_account_key_are_signed(self) -> None:
        key = create_device(ALICE, 1, SeededEntropy("identity")).statement.account_key
        self.assertEqual(
            identity_message(ALICE, key),
            b"\x15e2ee/1 X.509 identity" + bytes((len(ALICE),)) + ALICE.encode() + key.raw,
        )
        self.assertNotEqual(identity_message(BOB, key), identity_message(ALICE, key))
