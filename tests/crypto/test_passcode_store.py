"""Passcodes at rest open only with the key, for their session and number; of a PIN there is a hash."""

from __future__ import annotations

import hashlib
import random

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.passcode_store import derive_code_key, hash_invite, hash_pin, open_code, seal_code
from e2ee.errors import OpenFailed
from e2ee.ids import Address, PasscodeSessionId

KEY = derive_code_key(b"s" * 32)
SESSION = PasscodeSessionId(b"1" * 16)
ADDRESS = Address("+15550100101")


class PasscodeStoreTests(SynchronousTestCase):
    def sealed(self, code: str = "004711", seed: int = 1) -> bytes:
        return seal_code(KEY, SESSION, ADDRESS, code, random.Random(seed).randbytes)

    def test_a_sealed_code_opens(self) -> None:
        self.assertEqual(open_code(KEY, SESSION, ADDRESS, self.sealed()), "004711")

    def test_the_code_is_not_in_what_is_stored(self) -> None:
        self.assertNotIn(b"004711", self.sealed())

    def test_equal_codes_look_different(self) -> None:
        self.assertNotEqual(self.sealed(seed=1), self.sealed(seed=2))

    def test_another_key_session_or_number_opens_nothing(self) -> None:
        for key, session, address in (
            (derive_code_key(b"t" * 32), SESSION, ADDRESS),
            (KEY, PasscodeSessionId(b"2" * 16), ADDRESS),
            (KEY, SESSION, Address("+15550100102")),
        ):
            self.assertRaises(OpenFailed, open_code, key, session, address, self.sealed())

    def test_changed_or_cut_bytes_open_nothing(self) -> None:
        sealed = self.sealed()
        for index in range(len(sealed)):
            changed = sealed[:index] + bytes((sealed[index] ^ 1,)) + sealed[index + 1 :]
            self.assertRaises(OpenFailed, open_code, KEY, SESSION, ADDRESS, changed)
            self.assertRaises(OpenFailed, open_code, KEY, SESSION, ADDRESS, sealed[:index])

    def test_a_pin_is_kept_as_a_labelled_hash(self) -> None:
        stretched = b"p" * 32
        labelled = b"e2ee/1 registration PIN at rest" + stretched
        self.assertEqual(hash_pin(stretched), hashlib.sha256(labelled).digest())
        self.assertNotEqual(hash_pin(stretched), hash_pin(b"q" * 32))

    def test_an_invite_is_kept_as_a_labelled_hash(self) -> None:
        invite = b"i" * 16
        self.assertEqual(hash_invite(invite), hashlib.sha256(b"e2ee/1 invite at rest" + invite).digest())
        self.assertNotEqual(hash_invite(invite), hash_pin(invite))

    def test_the_key_is_not_the_servers_secret(self) -> None:
        self.assertNotEqual(derive_code_key(b"s" * 32), b"s" * 32)
        self.assertEqual(len(KEY), 32)
