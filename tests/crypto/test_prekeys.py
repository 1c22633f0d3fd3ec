"""Prekeys: signed by their owner for one kind, one id, one time; secrets come back from the vault."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import bundle, labels, limits, primitives
from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.prekey_secrets import (
    KemPreKeySecret,
    OneTimePreKeySecret,
    SignedPreKeySecret,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.prekeys import covered_by_signature, verify_kem_prekey, verify_signed_prekey
from e2ee.crypto.secret_keys import DeviceSigningSecretKey
from e2ee.errors import CryptoError, EncodingRefused, KeyRefused, SignatureRefused
from tests.crypto.mutations import flipped, resized
from tests.crypto.people import ALICE, BOB, NOW, SeededEntropy, person


class Prekeys(SynchronousTestCase):
    def setUp(self) -> None:
        self.entropy = SeededEntropy("prekeys")
        self.owner = DeviceSigningSecretKey.generate(self.entropy)
        self.other = DeviceSigningSecretKey.generate(self.entropy)

    def resigned(self, context: bytes, body: bytes) -> bytes:
        """These bytes, correctly signed by the owner."""
        return body + self.owner.sign(context, covered_by_signature(self.owner.public, body))

    def test_a_signed_prekey_comes_back(self) -> None:
        secret, signed = make_signed_prekey(self.owner, 2**32 - 1, NOW, self.entropy)
        prekey = verify_signed_prekey(signed, self.owner.public)
        self.assertEqual((prekey.key_id, prekey.created_at), (2**32 - 1, NOW))
        self.assertEqual(prekey.key, secret.secret.public)
        self.assertLessEqual(len(signed), limits.SIGNED_PREKEY_BYTES)

    def test_a_kem_prekey_comes_back_as_one_time_or_last_resort(self) -> None:
        for one_time in (True, False):
            secret, signed = make_kem_prekey(self.owner, 0, NOW, one_time, self.entropy)
            prekey = verify_kem_prekey(signed, self.owner.public)
            self.assertEqual((prekey.key_id, prekey.one_time, prekey.created_at), (0, one_time, NOW))
            self.assertEqual(prekey.key, secret.secret.public)
            self.assertLessEqual(len(signed), limits.KEM_PREKEY_BYTES)

    def test_the_same_bytes_are_verified_once_for_one_owner_and_no_refusal_is_remembered(self) -> None:
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        verified: list[bytes] = []

        def counted(public: primitives.Ed25519Public, message: bytes, signature: bytes) -> None:
            verified.append(signature)
            ed25519_verify(public, message, signature)

        ed25519_verify = primitives.ed25519_verify
        self.patch(primitives, "ed25519_verify", counted)
        first = verify_signed_prekey(signed, self.owner.public)
        self.assertEqual(verify_signed_prekey(bytes(bytearray(signed)), self.owner.public), first)
        self.assertEqual(len(verified), 1)
        for _ in range(2):
            self.assertRaises(SignatureRefused, verify_signed_prekey, signed, self.other.public)
        self.assertEqual(len(verified), 3)

    def test_no_changed_byte_is_accepted(self) -> None:
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        for changed in (*flipped(signed), *resized(signed)):
            self.assertRaises(CryptoError, verify_signed_prekey, changed, self.owner.public)
        _, kem = make_kem_prekey(self.owner, 1, NOW, True, self.entropy)
        for changed in (*flipped(kem[:40]), *resized(kem)):
            whole = changed + kem[40:] if len(changed) == 40 else changed
            self.assertRaises(CryptoError, verify_kem_prekey, whole, self.owner.public)
        for changed in flipped(kem, step=13):
            self.assertRaises(CryptoError, verify_kem_prekey, changed, self.owner.public)

    def test_a_last_resort_key_cannot_stand_in_place_of_a_one_time_one(self) -> None:
        _, kem = make_kem_prekey(self.owner, 1, NOW, False, self.entropy)
        self.assertRaises(SignatureRefused, verify_kem_prekey, b"\x03" + kem[1:], self.owner.public)

    def test_a_prekey_belongs_to_one_owner(self) -> None:
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        self.assertRaises(SignatureRefused, verify_signed_prekey, signed, self.other.public)
        _, kem = make_kem_prekey(self.owner, 1, NOW, True, self.entropy)
        self.assertRaises(SignatureRefused, verify_kem_prekey, kem, self.other.public)

    def test_one_kind_does_not_pass_for_the_other(self) -> None:
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        _, kem = make_kem_prekey(self.owner, 1, NOW, True, self.entropy)
        self.assertRaises(SignatureRefused, verify_kem_prekey, signed, self.owner.public)
        self.assertRaises(SignatureRefused, verify_signed_prekey, kem, self.owner.public)

    def test_a_signature_covers_the_owner(self) -> None:
        """Else one device could publish another's prekey under a signature of its own."""
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        body = signed[:-64]
        without_owner = body + self.owner.sign(labels.SIGNED_PREKEY, body)
        self.assertRaises(SignatureRefused, verify_signed_prekey, without_owner, self.owner.public)

    def test_bad_keys_are_refused_even_if_signed(self) -> None:
        head = b"\x02\x01" + bytes(4) + NOW.to_bytes(8, "big")
        low = self.resigned(labels.SIGNED_PREKEY, head + bytes(32))
        self.assertRaises(KeyRefused, verify_signed_prekey, low, self.owner.public)
        head = b"\x03\x01\x01" + bytes(4) + NOW.to_bytes(8, "big")
        for key in (b"\xff" * 1568, bytes(1567), b""):
            bad = self.resigned(labels.KEM_PREKEY, head + len(key).to_bytes(2, "big") + key)
            self.assertRaises(KeyRefused, verify_kem_prekey, bad, self.owner.public)

    def test_an_unknown_suite_type_or_version_is_refused_even_if_signed(self) -> None:
        _, kem = make_kem_prekey(self.owner, 1, NOW, True, self.entropy)
        body = kem[:-64]
        for changed in (b"\x05" + body[1:], body[:1] + b"\x02" + body[2:], body[:2] + b"\x02" + body[3:]):
            signed = self.resigned(labels.KEM_PREKEY, changed)
            self.assertRaises((SignatureRefused, KeyRefused), verify_kem_prekey, signed, self.owner.public)

    def test_a_time_past_2_to_53_or_more_bytes_are_refused_even_if_signed(self) -> None:
        _, signed = make_signed_prekey(self.owner, 1, NOW, self.entropy)
        body = signed[:-64]
        late = body.replace(NOW.to_bytes(8, "big"), (2**53).to_bytes(8, "big"))
        for changed in (late, body + b"\0"):
            resigned = self.resigned(labels.SIGNED_PREKEY, changed)
            self.assertRaises(SignatureRefused, verify_signed_prekey, resigned, self.owner.public)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=300))
    def test_random_bytes_are_refused_and_nothing_worse(self, noise: bytes) -> None:
        owner = self.owner.public
        for source in (noise, b"\x02\x01" + noise, b"\x03\x01\x01" + noise):
            self.assertRaises(CryptoError, verify_signed_prekey, source, owner)
            self.assertRaises(CryptoError, verify_kem_prekey, source, owner)


class Secrets(SynchronousTestCase):
    def test_secrets_come_back_from_the_vault(self) -> None:
        entropy = SeededEntropy("secrets")
        owner = DeviceSigningSecretKey.generate(entropy)
        signed, _ = make_signed_prekey(owner, 5, NOW, entropy)
        kem, _ = make_kem_prekey(owner, 6, NOW, True, entropy)
        one, _ = make_one_time_prekey(7, entropy)
        self.assertEqual(SignedPreKeySecret.decode(signed.encode()), signed)
        self.assertEqual(KemPreKeySecret.decode(kem.encode()), kem)
        self.assertEqual(OneTimePreKeySecret.decode(one.encode()), one)

    def test_other_bytes_are_refused(self) -> None:
        entropy = SeededEntropy("secrets")
        owner = DeviceSigningSecretKey.generate(entropy)
        kinds = (
            (SignedPreKeySecret.decode, make_signed_prekey(owner, 5, NOW, entropy)[0].encode()),
            (KemPreKeySecret.decode, make_kem_prekey(owner, 6, NOW, True, entropy)[0].encode()),
            (OneTimePreKeySecret.decode, make_one_time_prekey(7, entropy)[0].encode()),
        )
        for decode, encoded in kinds:
            for changed in (*resized(encoded), b"\x09" + encoded[1:], encoded[:1] + b"\x09" + encoded[2:]):
                self.assertRaises(EncodingRefused, decode, changed)

    def test_no_repr_shows_a_secret(self) -> None:
        secrets = person(ALICE).secrets
        self.assertIsNotNone(secrets.one_time)
        for raw in (secrets.signed.secret.raw, secrets.kem.secret.raw):
            self.assertNotIn(repr(raw)[2:-1], repr(secrets))


class Bundles(SynchronousTestCase):
    def test_a_bundle_is_what_was_published(self) -> None:
        bob = person(BOB)
        served = bob.bundle
        self.assertEqual(served.statement, bob.own.statement)
        self.assertEqual(served.signed_prekey.key, bob.secrets.signed.secret.public)
        self.assertEqual(served.kem_prekey.key, bob.secrets.kem.secret.public)
        assert served.one_time is not None
        assert bob.secrets.one_time is not None
        self.assertEqual(served.one_time.key, bob.secrets.one_time.secret.public)

    def test_it_may_come_without_a_one_time_key(self) -> None:
        self.assertIsNone(person(BOB, one_time=False).bundle.one_time)

    def test_prekeys_of_somebody_else_are_refused(self) -> None:
        alice, bob = person(ALICE), person(BOB)
        statement = bob.own.signed_statement
        mixed = (
            (statement, alice.signed_prekey, bob.kem_prekey),
            (statement, bob.signed_prekey, alice.kem_prekey),
            (alice.own.signed_statement, bob.signed_prekey, bob.kem_prekey),
        )
        for parts in mixed:
            self.assertRaises(SignatureRefused, verify_bundle, *parts, None)

    def test_a_kem_prekey_of_another_suite_than_the_statement_is_refused(self) -> None:
        bob = person(BOB)
        other = replace(bob.own.statement, suite=cast(KemSuite, 2))
        self.patch(bundle, "verify_statement", lambda signed: other)
        parts = bob.own.signed_statement, bob.signed_prekey, bob.kem_prekey
        self.assertRaises(KeyRefused, verify_bundle, *parts, None)

    def test_a_bad_one_time_key_is_refused(self) -> None:
        bob = person(BOB)
        parts = bob.own.signed_statement, bob.signed_prekey, bob.kem_prekey
        for raw in (bytes(32), b"\xff" * 32, b""):
            self.assertRaises(KeyRefused, verify_bundle, *parts, (1, raw))
