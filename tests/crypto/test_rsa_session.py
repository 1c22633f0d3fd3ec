"""Sessions between devices with ML-KEM and with RSA prekeys."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.envelope import decode_envelope
from e2ee.crypto.extension import ANSWER, OFFER
from e2ee.crypto.handshake import initiate, respond
from e2ee.crypto.kem import encapsulate, kem_name
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.prekey_secrets import make_kem_prekey
from e2ee.crypto.session import Session, accept_session, peek
from e2ee.errors import KeyRefused, OpenFailed
from tests.crypto.mutations import flipped
from tests.crypto.people import ALICE, BOB, NOW, Person, begun, person
from tests.crypto.rsa_keys import use_old_rsa_keys


class RsaCase(SynchronousTestCase):
    def setUp(self) -> None:
        use_old_rsa_keys(self)
        self.alice = person(ALICE)
        self.bob = person(BOB, suite=KemSuite.RSA_3072)

    def turn(self, sender: Person, ours: Session, theirs: Session) -> tuple[Session, Session, int | None]:
        ours, envelope = ours.seal(b"content", NOW, sender.entropy, encapsulate)
        theirs, content = theirs.open(envelope, NOW)
        self.assertEqual(content, b"content")
        extension = decode_envelope(envelope).extension
        return ours, theirs, None if extension is None else extension.kind


class Conversations(RsaCase):
    def test_to_an_rsa_device_and_back(self) -> None:
        for kem_one_time in (True, False):
            bob = person(BOB, kem_one_time=kem_one_time, suite=KemSuite.RSA_3072)
            ours, first = begun(self.alice, bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
            handshake = peek(first).handshake
            assert handshake is not None
            self.assertIs(handshake.suite, KemSuite.RSA_3072)
            self.assertEqual(len(handshake.ciphertext), 384)
            theirs, content = accept_session(bob.own, first, bob.secrets, NOW)
            self.assertEqual(content, b"hello")
            theirs, ours, _ = self.turn(bob, theirs, ours)
            self.turn(self.alice, ours, theirs)

    def test_a_session_begun_with_rsa_is_post_quantum_from_the_first_answer_on(self) -> None:
        ours, first = begun(self.alice, self.bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
        extension = decode_envelope(first).extension
        assert extension is not None
        self.assertEqual(extension.kind, OFFER)
        theirs, _ = accept_session(self.bob.own, first, self.bob.secrets, NOW)
        theirs, ours, kind = self.turn(self.bob, theirs, ours)
        self.assertEqual(kind, ANSWER)
        ours, theirs, kind = self.turn(self.alice, ours, theirs)
        self.assertIsNone(kind)

    def test_from_an_rsa_device_the_kem_is_that_of_the_recipient(self) -> None:
        ours, first = begun(self.bob, self.alice).seal(b"hello", NOW, self.bob.entropy, encapsulate)
        handshake = peek(first).handshake
        assert handshake is not None
        self.assertIs(handshake.suite, KemSuite.ML_KEM_1024)
        theirs, content = accept_session(self.alice.own, first, self.alice.secrets, NOW)
        self.assertEqual(content, b"hello")
        theirs, ours, kind = self.turn(self.alice, theirs, ours)
        self.assertIsNone(kind, "the handshake was post-quantum")

    def test_between_two_rsa_devices(self) -> None:
        carol = person(ALICE, suite=KemSuite.RSA_3072)
        _, first = begun(carol, self.bob).seal(b"hello", NOW, carol.entropy, encapsulate)
        self.assertEqual(accept_session(self.bob.own, first, self.bob.secrets, NOW)[1], b"hello")


class Refused(RsaCase):
    def test_no_changed_byte_of_the_ciphertext_is_opened(self) -> None:
        _, first = begun(self.alice, self.bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
        handshake = peek(first).handshake
        assert handshake is not None
        at = first.index(handshake.ciphertext)
        for changed in flipped(handshake.ciphertext, step=5):
            envelope = first[:at] + changed + first[at + 384 :]
            self.assertRaises(OpenFailed, accept_session, self.bob.own, envelope, self.bob.secrets, NOW)
        accept_session(self.bob.own, first, self.bob.secrets, NOW)

    def test_a_failed_decryption_is_refused_no_sooner_than_at_the_mac(self) -> None:
        """`respond` gives a secret all the same: that it is a wrong one shows in nothing but the MAC."""
        ours = initiate(self.alice.own, self.bob.bundle, self.alice.entropy, encapsulate)
        changed = replace(ours.handshake, ciphertext=bytes(384))
        theirs = respond(self.bob.own, changed, self.bob.secrets)
        self.assertNotEqual(theirs.secret, ours.secret)

    def test_prekeys_of_another_kem_than_the_statements_are_refused(self) -> None:
        for suite, owner in ((KemSuite.RSA_3072, self.alice), (KemSuite.ML_KEM_1024, self.bob)):
            signing = owner.own.device_signing_secret
            _, kem = make_kem_prekey(signing, 8, NOW, True, owner.entropy, suite)
            parts = owner.own.signed_statement, owner.signed_prekey, kem, owner.one_time
            self.assertRaises(KeyRefused, verify_bundle, *parts)

    def test_the_suites_of_a_handshake_and_its_prekey_must_agree(self) -> None:
        ours = initiate(self.alice.own, self.bob.bundle, self.alice.entropy, encapsulate)
        other = replace(ours.handshake, suite=KemSuite.ML_KEM_1024)
        self.assertRaises(OpenFailed, respond, self.bob.own, other, self.bob.secrets)

    def test_the_kem_is_named_in_the_transcript(self) -> None:
        self.assertEqual(kem_name(KemSuite.RSA_3072), b"RSA-3072-OAEP-SHA256")
