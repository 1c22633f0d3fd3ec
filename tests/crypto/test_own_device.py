"""The own device signs for this connection, this number and this device only."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.account_statement import verify_statement
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.signing import verify_login, verify_registration
from e2ee.errors import EncodingRefused, SignatureRefused
from e2ee.ids import Address, DeviceId, PasscodeSessionId
from tests.crypto.mutations import resized
from tests.crypto.people import ALICE, BOB, NOW, SeededEntropy, person

EXPORTER = b"E" * 32
SESSION = PasscodeSessionId(b"S" * 16)


class Login(SynchronousTestCase):
    def setUp(self) -> None:
        self.own = person(ALICE).own

    def verify(
        self,
        signature: bytes,
        exporter: bytes = EXPORTER,
        address: Address = ALICE,
        device: DeviceId | None = None,
        hashed: bytes | None = None,
    ) -> None:
        statement = self.own.statement
        verify_login(
            statement.device_signing_key,
            exporter,
            address,
            device or statement.device,
            hashed or self.own.statement_hash,
            signature,
        )

    def test_it_verifies_on_its_own_connection(self) -> None:
        self.verify(self.own.sign_login(EXPORTER))

    def test_it_covers_exporter_number_device_and_statement(self) -> None:
        signature = self.own.sign_login(EXPORTER)
        self.assertRaises(SignatureRefused, self.verify, signature, exporter=b"F" * 32)
        self.assertRaises(SignatureRefused, self.verify, signature, address=BOB)
        self.assertRaises(SignatureRefused, self.verify, signature, device=DeviceId(b"12345678"))
        self.assertRaises(SignatureRefused, self.verify, signature, hashed=b"h" * 32)

    def test_another_device_cannot_make_it(self) -> None:
        self.assertRaises(SignatureRefused, self.verify, person(BOB).own.sign_login(EXPORTER))

    def test_a_signature_of_a_registration_is_no_login(self) -> None:
        for signature in self.own.sign_registration(EXPORTER, SESSION):
            self.assertRaises(SignatureRefused, self.verify, signature)


class Registration(SynchronousTestCase):
    def setUp(self) -> None:
        self.own = person(ALICE).own
        statement = self.own.statement
        self.keys = statement.account_key, statement.device_signing_key

    def test_both_signatures_verify_on_their_connection_and_session(self) -> None:
        verify_registration(*self.keys, EXPORTER, SESSION, *self.own.sign_registration(EXPORTER, SESSION))

    def test_they_cover_exporter_and_session(self) -> None:
        signatures = self.own.sign_registration(EXPORTER, SESSION)
        for exporter, session in ((b"F" * 32, SESSION), (EXPORTER, PasscodeSessionId(b"T" * 16))):
            self.assertRaises(
                SignatureRefused, verify_registration, *self.keys, exporter, session, *signatures
            )

    def test_each_key_signs_for_itself(self) -> None:
        account, device = self.own.sign_registration(EXPORTER, SESSION)
        for signatures in ((device, account), (account, account), (device, device)):
            self.assertRaises(
                SignatureRefused, verify_registration, *self.keys, EXPORTER, SESSION, *signatures
            )

    def test_they_name_both_keys(self) -> None:
        """A key that signed beside another cannot be registered with a third."""
        bob = person(BOB).own
        account, _ = self.own.sign_registration(EXPORTER, SESSION)
        _, device = bob.sign_registration(EXPORTER, SESSION)
        keys = self.keys[0], bob.statement.device_signing_key
        self.assertRaises(SignatureRefused, verify_registration, *keys, EXPORTER, SESSION, account, device)


class Vault(SynchronousTestCase):
    def test_a_new_device_has_its_statement(self) -> None:
        own = create_device(ALICE, NOW, SeededEntropy("new"))
        self.assertEqual(verify_statement(own.signed_statement), own.statement)
        self.assertEqual((own.address, own.generation), (ALICE, NOW))
        self.assertEqual(own.device, own.statement.device)

    def test_each_device_has_keys_and_an_id_of_its_own(self) -> None:
        one, other = (create_device(ALICE, NOW, SeededEntropy(seed)) for seed in ("1", "2"))
        self.assertNotEqual(one.device, other.device)
        self.assertNotEqual(one.statement.account_key, other.statement.account_key)

    def test_it_comes_back_from_the_vault(self) -> None:
        own = person(ALICE).own
        self.assertEqual(OwnDevice.decode(own.encode()), own)

    def test_other_bytes_are_refused(self) -> None:
        encoded = person(ALICE).own.encode()
        for changed in (*resized(encoded), b"\x02" + encoded[1:]):
            self.assertRaises(EncodingRefused, OwnDevice.decode, changed)

    def test_keys_that_do_not_belong_to_the_statement_are_refused(self) -> None:
        encoded = person(ALICE).own.encode()
        for at in (1, 33, 65, 120):
            changed = encoded[:at] + bytes((encoded[at] ^ 0x10,)) + encoded[at + 1 :]
            self.assertRaises(EncodingRefused, OwnDevice.decode, changed)

    def test_no_repr_shows_a_secret(self) -> None:
        own = person(ALICE).own
        for secret in (own.account_secret, own.device_signing_secret, own.device_secret):
            self.assertNotIn(repr(secret.raw)[2:-1], repr(own))
            self.assertNotIn(secret.raw.hex(), repr(own))
