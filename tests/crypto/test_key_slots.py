"""Every published key replaced: by a bad one, even correctly signed; by another's; by an older one."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels
from e2ee.crypto.account_statement import verify_statement
from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.prekey_secrets import make_signed_prekey, sign_kem_prekey
from e2ee.crypto.prekeys import (
    SignedPreKey,
    covered_by_signature,
    verify_kem_prekey,
    verify_signed_prekey,
)
from e2ee.crypto.session import accept_session, begin_session
from e2ee.errors import CryptoError, KeyRefused, OpenFailed
from tests.crypto.people import ALICE, BOB, MALLORY, NOW, Person, person
from tests.crypto.rsa_keys import use_old_rsa_keys
from tests.crypto.test_tamper_matrix import BAD_CURVE_KEYS

FIELD = 2**255 - 19
SIGN = 1 << 255
SMALL_ORDER = [
    0,
    1,
    FIELD - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
]
BAD_EDWARDS_KEYS = [
    (number | sign).to_bytes(32, "little")
    for number in (*SMALL_ORDER, FIELD, FIELD + 1, 2**255 - 1)
    for sign in (0, SIGN)
]
"""Of small order with either sign (RFC 8032, section 5.1), or not canonical."""
BAD_LATTICE_KEYS = [b"\xff" * 1568, b"\xff" * 1536 + bytes(32), bytes(1184), bytes(384), b""]
BAD_MODULI = [bytes(384), b"\x80" + bytes(383), b"\x7f" + b"\xff" * 383, b"\xff" * 385, b"\xff" * 1568, b""]


class BadKeys(SynchronousTestCase):
    def setUp(self) -> None:
        use_old_rsa_keys(self)
        self.alice, self.bob = person(ALICE), person(BOB)

    def test_in_a_statement(self) -> None:
        own = self.bob.own
        body, statement = own.statement.encode(), own.statement
        places = [
            (statement.account_key.raw, BAD_EDWARDS_KEYS),
            (statement.device_signing_key.raw, BAD_EDWARDS_KEYS),
            (statement.device_key.raw, BAD_CURVE_KEYS),
        ]
        for genuine, bad in places:
            for raw in bad:
                changed = body.replace(genuine, raw)
                signed = changed + own.account_secret.sign(labels.ACCOUNT_STATEMENT, changed)
                self.assertRaises(KeyRefused, verify_statement, signed)
                self.assertRaises(CryptoError, verify_statement, changed + own.signed_statement[-64:])

    def test_in_a_signed_prekey(self) -> None:
        owner, signed = self.bob.own.statement.device_signing_key, self.bob.signed_prekey
        genuine = self.bob.bundle.signed_prekey.key.raw
        for raw in BAD_CURVE_KEYS:
            body = signed[:-64].replace(genuine, raw)
            signature = self.bob.own.device_signing_secret.sign(
                labels.SIGNED_PREKEY, covered_by_signature(owner, body)
            )
            self.assertRaises(KeyRefused, verify_signed_prekey, body + signature, owner)
            self.assertRaises(CryptoError, verify_signed_prekey, body + signed[-64:], owner)

    def test_in_a_kem_prekey(self) -> None:
        for suite, bad in ((KemSuite.ML_KEM_1024, BAD_LATTICE_KEYS), (KemSuite.RSA_3072, BAD_MODULI)):
            bob = person(BOB, suite=suite)
            owner, signed = bob.own.statement.device_signing_key, bob.kem_prekey
            head = signed[:15]
            for raw in bad:
                body = head + len(raw).to_bytes(2, "big") + raw
                covered = covered_by_signature(owner, body)
                signature = bob.own.device_signing_secret.sign(labels.KEM_PREKEY, covered)
                self.assertRaises(KeyRefused, verify_kem_prekey, body + signature, owner)
            whole = head + signed[15:-64]
            resigned = bob.own.device_signing_secret.sign(
                labels.KEM_PREKEY, covered_by_signature(owner, whole)
            )
            verify_kem_prekey(whole + resigned, owner)

    def test_as_a_one_time_prekey(self) -> None:
        parts = self.bob.own.signed_statement, self.bob.signed_prekey, self.bob.kem_prekey
        for raw in BAD_CURVE_KEYS:
            self.assertRaises(KeyRefused, verify_bundle, *parts, (9, raw))


class OtherKeys(SynchronousTestCase):
    """Keys that are good, and not those of this place: Bob opens nothing, and nothing of his is used up."""

    def setUp(self) -> None:
        use_old_rsa_keys(self)
        self.alice, self.bob, self.mallory = person(ALICE), person(BOB), person(MALLORY)

    def assert_useless(self, served: Person) -> None:
        session = begin_session(self.alice.own, served.bundle, NOW, self.alice.entropy, encapsulate)
        _, envelope = session.seal(b"hello", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, accept_session, self.bob.own, envelope, self.bob.secrets, NOW)
        genuine = begin_session(self.alice.own, self.bob.bundle, NOW, self.alice.entropy, encapsulate)
        _, envelope = genuine.seal(b"hello", NOW, self.alice.entropy, encapsulate)
        accept_session(self.bob.own, envelope, self.bob.secrets, NOW)

    def test_anothers_prekeys_are_refused_for_they_are_not_bobs(self) -> None:
        for stolen in (
            replace(self.bob, signed_prekey=self.mallory.signed_prekey),
            replace(self.bob, kem_prekey=self.mallory.kem_prekey),
        ):
            self.assertRaises(CryptoError, lambda stolen=stolen: stolen.bundle)

    def test_an_older_signed_prekey_under_the_id_of_the_newer(self) -> None:
        owner = self.bob.own.device_signing_secret
        older, _ = make_signed_prekey(owner, 6, NOW - 1, self.bob.entropy)
        body = SignedPreKey(7, older.secret.public, NOW).encode()
        signature = owner.sign(labels.SIGNED_PREKEY, covered_by_signature(owner.public, body))
        self.assert_useless(replace(self.bob, signed_prekey=body + signature))

    def test_a_signed_prekey_with_the_device_key_or_a_one_time_key_in_it(self) -> None:
        owner = self.bob.own.device_signing_secret
        assert self.bob.secrets.one_time is not None
        for raw in (self.bob.own.statement.device_key.raw, self.bob.secrets.one_time.secret.public.raw):
            genuine = self.bob.bundle.signed_prekey.key.raw
            body = self.bob.signed_prekey[:-64].replace(genuine, raw)
            signature = owner.sign(labels.SIGNED_PREKEY, covered_by_signature(owner.public, body))
            self.assert_useless(replace(self.bob, signed_prekey=body + signature))

    def test_a_kem_prekey_with_anothers_key_in_it(self) -> None:
        owner = self.bob.own.device_signing_secret
        _, signed = sign_kem_prekey(owner, 8, NOW, True, self.mallory.secrets.kem.secret)
        self.assert_useless(replace(self.bob, kem_prekey=signed))

    def test_a_one_time_prekey_of_another_or_of_before(self) -> None:
        assert self.mallory.one_time is not None
        for raw in (self.mallory.one_time[1], self.bob.own.statement.device_key.raw):
            self.assert_useless(replace(self.bob, one_time=(9, raw)))

    def test_a_one_time_prekey_that_was_left_out(self) -> None:
        """The server gives none, and says to Bob that it gave one, or the other way round."""
        self.assert_useless(replace(self.bob, one_time=None))

    def test_a_statement_with_anothers_device_key(self) -> None:
        statement = replace(self.bob.own.statement, device_key=self.mallory.own.statement.device_key)
        body = statement.encode()
        signed = body + self.bob.own.account_secret.sign(labels.ACCOUNT_STATEMENT, body)
        own = replace(self.bob.own, statement=statement, signed_statement=signed)
        self.assert_useless(replace(self.bob, own=own))
