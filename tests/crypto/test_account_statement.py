"""Account statements: one encoding, one signer, and nothing else is accepted."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels, limits, primitives
from e2ee.crypto.account_statement import HYBRID_CHAINS, common_features, statement_hash, verify_statement
from e2ee.crypto.own_device import sign_statement
from e2ee.crypto.primitives import sha256
from e2ee.errors import CryptoError, KeyRefused, SignatureRefused
from tests.crypto.mutations import flipped, resized
from tests.crypto.people import ALICE, BOB, NOW, person


class Statements(SynchronousTestCase):
    def setUp(self) -> None:
        self.own = person(ALICE).own

    def signed(self, body: bytes) -> bytes:
        """These bytes, correctly signed by the account key."""
        return body + self.own.account_secret.sign(labels.ACCOUNT_STATEMENT, body)

    def test_what_was_signed_comes_back(self) -> None:
        statement = verify_statement(self.own.signed_statement)
        self.assertEqual(statement, self.own.statement)
        self.assertEqual((statement.address, statement.generation), (ALICE, NOW))
        self.assertEqual(statement.features, (HYBRID_CHAINS,))

    def test_the_layout(self) -> None:
        statement, body = self.own.statement, self.own.signed_statement[:-64]
        expected = (
            b"\x01\x01"
            + statement.account_key.raw
            + b"\x0c+15550100101"
            + NOW.to_bytes(8, "big")
            + b"\x01\x01\x00\x01\x01"
            + statement.device
            + statement.device_signing_key.raw
            + statement.device_key.raw
        )
        self.assertEqual(body, expected)

    def test_features_are_kept_ascending_up_to_64_of_them(self) -> None:
        for features in ((), (1,), (1, 2, 65535), tuple(range(64))):
            signed = sign_statement(self.own.account_secret, replace(self.own.statement, features=features))
            self.assertEqual(verify_statement(signed).features, features)
            self.assertLessEqual(len(signed), limits.STATEMENT_BYTES)
        for wrong in ((2, 1), (1, 1), tuple(range(65)), (65536,), (-1,)):
            statement = replace(self.own.statement, features=wrong)
            self.assertRaises(ValueError, sign_statement, self.own.account_secret, statement)

    def test_features_out_of_order_or_twice_are_refused_even_if_signed(self) -> None:
        two = replace(self.own.statement, features=(1, 2)).encode()
        for wrong in (b"\x02\x00\x02\x00\x01", b"\x02\x00\x01\x00\x01"):
            body = two.replace(b"\x02\x00\x01\x00\x02", wrong)
            self.assertNotEqual(body, two)
            self.assertRaises(SignatureRefused, verify_statement, self.signed(body))

    def test_generations_stay_below_2_to_53(self) -> None:
        last = sign_statement(self.own.account_secret, replace(self.own.statement, generation=2**53 - 1))
        self.assertEqual(verify_statement(last).generation, 2**53 - 1)
        too_high = replace(self.own.statement, generation=2**53)
        self.assertRaises(ValueError, sign_statement, self.own.account_secret, too_high)
        body = self.own.statement.encode().replace(NOW.to_bytes(8, "big"), (2**53).to_bytes(8, "big"))
        self.assertRaises(SignatureRefused, verify_statement, self.signed(body))

    def test_no_changed_byte_is_accepted(self) -> None:
        for changed in (*flipped(self.own.signed_statement), *resized(self.own.signed_statement)):
            self.assertRaises((SignatureRefused, KeyRefused), verify_statement, changed)

    def test_something_behind_the_device_is_refused_even_if_signed(self) -> None:
        longer = self.signed(self.own.statement.encode() + b"\0")
        self.assertRaises(SignatureRefused, verify_statement, longer)

    def test_two_devices_or_none_are_refused_even_if_signed(self) -> None:
        body = self.own.statement.encode()
        at = body.index(self.own.device) - 1
        for count in (0, 2):
            changed = body[:at] + bytes((count,)) + body[at + 1 :]
            self.assertRaises(SignatureRefused, verify_statement, self.signed(changed))

    def test_an_unknown_suite_is_refused_even_if_signed(self) -> None:
        body = self.own.statement.encode()
        at = body.index(self.own.device) - 5
        self.assertEqual(body[at], 1)
        self.assertRaises(KeyRefused, verify_statement, self.signed(body[:at] + b"\x03" + body[at + 1 :]))

    def test_bad_device_keys_are_refused_even_if_signed(self) -> None:
        statement = self.own.statement
        identity, zero = (1).to_bytes(32, "little"), bytes(32)
        for good, bad in ((statement.device_signing_key.raw, identity), (statement.device_key.raw, zero)):
            self.assertRaises(
                KeyRefused, verify_statement, self.signed(statement.encode().replace(good, bad))
            )

    def test_a_small_order_account_key_is_refused_though_its_signature_verifies(self) -> None:
        identity = (1).to_bytes(32, "little")
        body = self.own.statement.encode().replace(self.own.statement.account_key.raw, identity)
        self.assertRaises(KeyRefused, verify_statement, body + identity + bytes(32))

    def test_a_number_has_its_one_form_even_if_signed(self) -> None:
        body = self.own.statement.encode()
        for number in (b"15550100101+", b"+05550100101", b"+1555010010\xb2", b"+1555010010x"):
            changed = body.replace(ALICE.encode(), number)
            self.assertRaises(SignatureRefused, verify_statement, self.signed(changed))

    def test_the_same_bytes_are_verified_once_and_no_refusal_is_remembered(self) -> None:
        signed = person(ALICE, "not seen before").own.signed_statement
        verified: list[bytes] = []

        def counted(public: primitives.Ed25519Public, message: bytes, signature: bytes) -> None:
            verified.append(signature)
            ed25519_verify(public, message, signature)

        ed25519_verify = primitives.ed25519_verify
        self.patch(primitives, "ed25519_verify", counted)
        self.assertEqual(verify_statement(signed), verify_statement(bytes(bytearray(signed))))
        self.assertEqual(len(verified), 1)
        forged = signed[:-64] + bytes(64)
        for _ in range(2):
            self.assertRaises(SignatureRefused, verify_statement, forged)
        self.assertEqual(len(verified), 3)

    def test_another_account_key_cannot_sign_it(self) -> None:
        bob = person(BOB).own
        self.assertRaises(ValueError, sign_statement, bob.account_secret, self.own.statement)
        body = self.own.statement.encode()
        forged = body + bob.account_secret.sign(labels.ACCOUNT_STATEMENT, body)
        self.assertRaises(SignatureRefused, verify_statement, forged)

    def test_a_signature_of_another_context_does_not_count(self) -> None:
        body = self.own.statement.encode()
        other = body + self.own.account_secret.sign(labels.REGISTRATION_BY_ACCOUNT, body)
        self.assertRaises(SignatureRefused, verify_statement, other)

    def test_the_hash_is_that_of_the_signed_bytes(self) -> None:
        self.assertEqual(statement_hash(self.own.signed_statement), sha256(self.own.signed_statement))

    def test_common_features(self) -> None:
        one, other = (replace(self.own.statement, features=each) for each in ((1, 3, 5), (2, 3, 5, 8)))
        self.assertEqual(common_features(one, other), (3, 5))

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=600))
    def test_random_bytes_are_refused_and_nothing_worse(self, noise: bytes) -> None:
        self.assertRaises(CryptoError, verify_statement, noise)
        self.assertRaises(CryptoError, verify_statement, self.own.signed_statement[:2] + noise)
