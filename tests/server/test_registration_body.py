"""What a registration brings agrees with the proof, is signed for it, and is authenticated first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import sign_statement
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server import registration
from e2ee.store.server.ports import NewAccount
from e2ee.wire.codec import encode
from e2ee.wire.messages import Prove, RefusalCode, RegistrationBody
from tests.crypto.rsa_keys import use_old_rsa_keys
from tests.server.registration_case import RegistrationTestCase
from tests.server.registration_house import ALICE, BOB, Client


class BodyTests(RegistrationTestCase):
    """Everything in the body agrees with the proof, or nothing is stored."""

    def assert_refused(self, change: Callable[[Client, RegistrationBody], RegistrationBody]) -> None:
        client = self.client()
        self.done(client.start())
        body = encode(change(client, client.body()))
        self.assertEqual(self.refused(client.prove(body)), RefusalCode.PROOF_REFUSED)
        self.assertIsNone(self.stored_key())
        # The guess is spent, the code is not.
        self.done(client.with_code(client.code).register())

    def stranger(self, address: Address = ALICE) -> Client:
        return self.house.client(
            PasscodeSessionId(bytes(16)), "000000", address
        )

    def test_a_statement_of_another_account_key_is_refused(self) -> None:
        self.assert_refused(lambda client, body: replace_device(client, self.stranger()).body())

    def test_a_statement_about_another_number_is_refused(self) -> None:
        def change(client: Client, body: RegistrationBody) -> RegistrationBody:
            other = replace(client.device.statement, address=BOB)
            signed = sign_statement(client.device.account_secret, other)
            return structs.replace(body, statement=signed)

        self.assert_refused(change)

    def test_a_statement_with_a_changed_byte_is_refused(self) -> None:
        def change(client: Client, body: RegistrationBody) -> RegistrationBody:
            changed = bytearray(body.statement)
            changed[40] ^= 1
            return structs.replace(body, statement=bytes(changed))

        self.assert_refused(change)

    def test_a_signed_prekey_of_another_device_is_refused(self) -> None:
        self.assert_refused(
            lambda client, body: structs.replace(body, signed_prekey=self.stranger().body().signed_prekey)
        )

    def test_a_kem_prekey_of_another_device_is_refused(self) -> None:
        self.assert_refused(
            lambda client, body: structs.replace(
                body, last_resort_prekey=self.stranger().body().last_resort_prekey
            )
        )

    def test_a_one_time_kem_prekey_is_no_last_resort(self) -> None:
        self.assert_refused(
            lambda client, body: structs.replace(
                body,
                last_resort_prekey=make_kem_prekey(
                    client.device.device_signing_secret, 1, 1000, True, self.house.random.randbytes
                )[1],
            )
        )

    def test_a_kem_prekey_of_another_kem_than_the_statements_is_refused(self) -> None:
        use_old_rsa_keys(self)

        def change(client: Client, body: RegistrationBody) -> RegistrationBody:
            owner, entropy = client.device.device_signing_secret, self.house.random.randbytes
            _, rsa = make_kem_prekey(owner, 1, 1000, False, entropy, KemSuite.RSA_3072)
            return structs.replace(body, last_resort_prekey=rsa)

        self.assert_refused(change)

    def test_prekeys_in_each_others_place_are_refused(self) -> None:
        self.assert_refused(
            lambda client, body: structs.replace(
                body,
                signed_prekey=body.statement[:200],
                last_resort_prekey=make_signed_prekey(
                    client.device.device_signing_secret, 1, 1000, self.house.random.randbytes
                )[1],
            )
        )

    def test_signatures_over_another_connection_are_refused(self) -> None:
        self.assert_refused(lambda client, body: replace(client, exporter=b"y" * 32).body())

    def test_signatures_for_another_session_are_refused(self) -> None:
        self.assert_refused(
            lambda client, body: replace(client, session=PasscodeSessionId(b"?" * 16)).body()
        )

    def test_each_of_the_two_signatures_is_needed(self) -> None:
        self.assert_refused(lambda client, body: structs.replace(body, account_signature=bytes(64)))
        self.done(self.house.accounts.delete(ALICE, 0.0))
        self.assert_refused(lambda client, body: structs.replace(body, device_signature=bytes(64)))
        self.done(self.house.accounts.delete(ALICE, 0.0))
        self.assert_refused(
            lambda client, body: structs.replace(
                body, account_signature=body.device_signature, device_signature=body.account_signature
            )
        )

    def test_what_is_no_body_is_refused(self) -> None:
        first = self.client()
        for body in (b"\xc1", b"\x90", encode(first.body()) + b"\0"):
            client = first.with_code(first.code)
            self.done(client.start())
            self.assertEqual(self.refused(client.prove(body)), RefusalCode.PROOF_REFUSED)

    def test_a_body_is_looked_at_only_after_its_confirmation(self) -> None:
        client = self.client()
        self.done(client.start())
        assert client.attempt is not None
        self.patch_verification_to_fail_the_test()
        prove = Prove(3, encode(client.body()), bytes(32))
        self.assertEqual(self.refused(client.attempt.prove(prove)), RefusalCode.PROOF_REFUSED)

    def patch_verification_to_fail_the_test(self) -> None:
        def never(body: bytes, announced: object) -> NewAccount:
            raise AssertionError("looked at before it was authenticated")

        self.patch(registration, "verified_account", never)


def replace_device(client: Client, other: Client) -> Client:
    """This client's connection with another's keys."""
    return replace(client, device=other.device)
