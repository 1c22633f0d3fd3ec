"""Every signature in every slot: it is accepted in its own and refused in all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.account_statement import verify_statement
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.crypto.prekeys import verify_kem_prekey, verify_signed_prekey
from e2ee.crypto.signing import verify_login, verify_registration
from e2ee.errors import CryptoError, SignatureRefused
from e2ee.ids import PasscodeSessionId
from tests.crypto.mutations import flipped
from tests.crypto.people import ALICE, BOB, NOW, SeededEntropy
from tests.crypto.rsa_keys import use_old_rsa_keys

SESSION, OTHER_SESSION = PasscodeSessionId(b"s" * 16), PasscodeSessionId(b"t" * 16)
EXPORTER, OTHER_EXPORTER = b"e" * 32, b"f" * 32


@dataclass(frozen=True)
class Slot:
    """A place for a signature: the one that belongs there, and the check of any."""

    name: str
    genuine: bytes
    check: Callable[[bytes], object]


def slots(own: OwnDevice, seed: str) -> list[Slot]:
    """Every signature that a device makes, some of them twice with other contents."""
    entropy, owner = SeededEntropy(seed), own.device_signing_secret
    found = [_appended("statement", own.signed_statement, verify_statement)]
    for key_id, at in ((1, NOW), (2, NOW), (1, NOW + 1)):
        _, signed = make_signed_prekey(owner, key_id, at, entropy)
        check = _by(verify_signed_prekey, own)
        found.append(_appended(f"signed prekey {key_id} of {at}", signed, check))
    for suite in KemSuite:
        for one_time in (True, False):
            _, signed = make_kem_prekey(owner, 1, NOW, one_time, entropy, suite)
            found.append(_appended(f"{suite.name} {one_time}", signed, _by(verify_kem_prekey, own)))
    for exporter, session in ((EXPORTER, SESSION), (OTHER_EXPORTER, SESSION), (EXPORTER, OTHER_SESSION)):
        found += _registrations(own, exporter, session)
    for exporter in (EXPORTER, OTHER_EXPORTER):
        found.append(_login(own, exporter))
    return found


def _login(own: OwnDevice, exporter: bytes) -> Slot:
    key, statement_hash = own.statement.device_signing_key, own.statement_hash
    return Slot(
        "login",
        own.sign_login(exporter),
        lambda raw: verify_login(key, exporter, own.address, own.device, statement_hash, raw),
    )


def _appended(name: str, signed: bytes, verify: Callable[[bytes], object]) -> Slot:
    """A structure with its signature behind it."""
    return Slot(name, signed[-64:], lambda signature: verify(signed[:-64] + signature))


def _by(verify: Callable[..., object], own: OwnDevice) -> Callable[[bytes], object]:
    return lambda signed: verify(signed, own.statement.device_signing_key)


def _registrations(own: OwnDevice, exporter: bytes, session: PasscodeSessionId) -> list[Slot]:
    by_account, by_device = own.sign_registration(exporter, session)
    place = own.statement.account_key, own.statement.device_signing_key, exporter, session
    return [
        Slot("account's", by_account, lambda signature: verify_registration(*place, signature, by_device)),
        Slot("device's", by_device, lambda signature: verify_registration(*place, by_account, signature)),
    ]


class SignatureSlots(SynchronousTestCase):
    def setUp(self) -> None:
        use_old_rsa_keys(self)
        alice = create_device(ALICE, NOW, SeededEntropy("alice"))
        newer = create_device(ALICE, NOW + 1, SeededEntropy("newer"))
        bob = create_device(BOB, NOW, SeededEntropy("bob"))
        self.slots = [slot for own in (alice, newer, bob) for slot in slots(own, own.address)]

    def test_each_is_accepted_in_its_own_place(self) -> None:
        self.assertEqual(len(self.slots), 3 * 16)
        self.assertEqual(len({slot.genuine for slot in self.slots}), len(self.slots))
        for slot in self.slots:
            slot.check(slot.genuine)

    def test_none_is_accepted_in_any_other(self) -> None:
        for slot in self.slots:
            for other in self.slots:
                if other is not slot:
                    self.assertRaises(CryptoError, slot.check, other.genuine)

    def test_no_other_bit_or_length_is_accepted(self) -> None:
        for slot in self.slots[:16]:
            for changed in flipped(slot.genuine):
                self.assertRaises(SignatureRefused, slot.check, changed)
            for size in (0, 32, 63):
                self.assertRaises(CryptoError, slot.check, slot.genuine[:size])
            self.assertRaises(CryptoError, slot.check, slot.genuine + b"\0")
            self.assertRaises(CryptoError, slot.check, bytes(64))
