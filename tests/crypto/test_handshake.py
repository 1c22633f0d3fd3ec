"""PQXDH: both sides agree on everything, or on nothing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels
from e2ee.crypto.bundle import VerifiedBundle
from e2ee.crypto.handshake import Agreement, Handshake, initiate, respond
from e2ee.crypto.kem import decapsulate, encapsulate
from e2ee.crypto.keys import KemKey, OneTimePreKeyPublic, RatchetKemKey
from e2ee.crypto.own_device import sign_statement
from e2ee.crypto.prekey_secrets import (
    PreKeySecrets,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.prekeys import OneTimePreKey
from e2ee.crypto.primitives import hkdf, sha256
from e2ee.crypto.secret_keys import DeviceSecretKey, EphemeralSecretKey, KemSecretKey
from e2ee.errors import OpenFailed
from tests.crypto import vectors
from tests.crypto.mutations import flipped, resized
from tests.crypto.people import ALICE, BOB, MALLORY, NOW, Person, SeededEntropy, person


def agreed(alice: Person, bob: Person, bundle: VerifiedBundle | None = None) -> Agreement:
    """Alice's side of a handshake with Bob."""
    return initiate(alice.own, bundle or bob.bundle, alice.entropy, encapsulate)


class Agreements(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice = person(ALICE)

    def test_both_sides_agree_with_and_without_one_time_keys(self) -> None:
        for one_time in (True, False):
            for kem_one_time in (True, False):
                bob = person(BOB, one_time=one_time, kem_one_time=kem_one_time)
                ours = agreed(self.alice, bob)
                theirs = respond(bob.own, Handshake.decode(ours.handshake.encode()), bob.secrets)
                self.assertEqual(ours, theirs)
                self.assertEqual(ours.handshake.one_time_id is not None, one_time)
                self.assertEqual(ours.handshake.kem_one_time, kem_one_time)

    def test_every_handshake_has_another_secret(self) -> None:
        bob = person(BOB)
        handshakes = [agreed(self.alice, bob) for _ in range(3)]
        self.assertEqual(len({each.secret for each in handshakes}), 3)
        self.assertEqual(len({each.session_id for each in handshakes}), 3)

    def test_the_associated_data_names_both_in_their_roles(self) -> None:
        bob = person(BOB)
        label = labels.SESSION_ASSOCIATED_DATA
        expected = bytes((len(label),)) + label
        for own in (self.alice.own, bob.own):
            expected += b"\x0c" + own.address.encode() + own.device + own.statement.account_key.raw
        self.assertEqual(agreed(self.alice, bob).associated, expected)

    def test_no_repr_shows_the_secret(self) -> None:
        ours = agreed(self.alice, person(BOB))
        self.assertNotIn(repr(ours.secret)[2:-1], repr(ours))


class ByTheSpecification(SynchronousTestCase):
    """The derivation written out once more, from the text and not from the code."""

    def test_secret_and_session_id(self) -> None:
        for one_time in (True, False):
            for kem_one_time in (True, False):
                self.check(person(BOB, one_time=one_time, kem_one_time=kem_one_time))

    def check(self, bob: Person) -> None:
        alice, shadow = person(ALICE), person(ALICE)
        ephemeral = EphemeralSecretKey.generate(shadow.entropy)
        ours = agreed(alice, bob)
        handshake, bundle, own = ours.handshake, bob.bundle, alice.own
        self.assertEqual(handshake.ephemeral_key, ephemeral.public)
        secrets = [
            own.device_secret.exchange(bundle.signed_prekey.key),
            ephemeral.exchange(bundle.statement.device_key),
            ephemeral.exchange(bundle.signed_prekey.key),
        ]
        one_time = b"\0"
        if bundle.one_time is not None:
            secrets.append(ephemeral.exchange(bundle.one_time.key))
            one_time = b"\1" + (9).to_bytes(4, "big") + bundle.one_time.key.raw
        secrets.append(decapsulate(bob.secrets.kem.secret, handshake.ciphertext))
        transcript = b"\x1be2ee/1 handshake transcript"
        transcript += b"\x0c+15550100101" + b"\x0c+15550100102"
        for signed in (own.signed_statement, bob.own.signed_statement):
            transcript += len(signed).to_bytes(2, "big") + signed
        transcript += b"\1\0\1" + own.statement.device_key.raw + bundle.statement.device_key.raw
        transcript += ephemeral.public.raw + (7).to_bytes(4, "big") + bundle.signed_prekey.key.raw + one_time
        transcript += b"\x01" + b"\x0bML-KEM-1024" + bytes((bundle.kem_prekey.one_time,))
        transcript += (8).to_bytes(4, "big") + b"\x06\x20" + bundle.kem_prekey.key.raw
        transcript += b"\x06\x20" + handshake.ciphertext
        mode = bytes((1, bundle.kem_prekey.one_time, bundle.one_time is not None))
        info = b"e2ee/1 handshake secret" + mode + sha256(transcript)
        self.assertEqual(ours.secret, hkdf(bytes(32), b"\xff" * 32 + b"".join(secrets), info, 32))
        self.assertEqual(ours.session_id, sha256(transcript)[:8])


class Disagreements(SynchronousTestCase):
    """Whatever differs between both sides gives two different secrets, or OpenFailed."""

    def setUp(self) -> None:
        self.alice, self.bob = person(ALICE), person(BOB)
        self.ours = agreed(self.alice, self.bob)

    def differs(self, handshake: Handshake, secrets: PreKeySecrets | None = None) -> None:
        try:
            theirs = respond(self.bob.own, handshake, secrets or self.bob.secrets)
        except OpenFailed:
            return
        self.assertNotEqual(theirs.secret, self.ours.secret)
        self.assertNotEqual(theirs.session_id, self.ours.session_id)

    def test_no_changed_byte_leads_to_the_same_secret(self) -> None:
        encoded = self.ours.handshake.encode()
        changed = [*flipped(encoded[:300]), *flipped(encoded[300:], step=29)]
        for piece in changed:
            whole = piece + encoded[300:] if len(piece) == 300 else encoded[:300] + piece
            try:
                handshake = Handshake.decode(whole)
            except OpenFailed:
                continue
            self.differs(handshake)

    def test_the_statement_of_another_is_refused_or_gives_another_secret(self) -> None:
        mallory = person(MALLORY).own
        self.differs(replace(self.ours.handshake, signed_statement=mallory.signed_statement))

    def test_another_number_under_the_same_keys(self) -> None:
        """Mallory publishes Alice's device keys as her own: the numbers are in the transcript."""
        mallory = person(MALLORY).own
        stolen = replace(mallory.statement, device_key=self.alice.own.statement.device_key)
        signed = sign_statement(mallory.account_secret, stolen)
        self.differs(replace(self.ours.handshake, signed_statement=signed))

    def test_a_newer_statement_of_the_recipient(self) -> None:
        newer = replace(self.bob.own.statement, generation=NOW + 1)
        signed = sign_statement(self.bob.own.account_secret, newer)
        own = replace(self.bob.own, statement=newer, signed_statement=signed)
        theirs = respond(own, self.ours.handshake, self.bob.secrets)
        self.assertNotEqual(theirs.secret, self.ours.secret)

    def test_different_features_of_both(self) -> None:
        with_features = [
            replace(own.statement, features=features)
            for own, features in ((self.alice.own, (1, 2)), (self.bob.own, (2, 3)))
        ]
        alice, bob = (
            replace(own, statement=statement, signed_statement=sign_statement(own.account_secret, statement))
            for own, statement in zip((self.alice.own, self.bob.own), with_features, strict=True)
        )
        bundle = replace(self.bob.bundle, statement=bob.statement, signed_statement=bob.signed_statement)
        ours = initiate(alice, bundle, self.alice.entropy, encapsulate)
        self.assertEqual(respond(bob, ours.handshake, self.bob.secrets), ours)

    def test_secrets_under_other_ids_or_of_another_kind_are_refused(self) -> None:
        secrets, handshake = self.bob.secrets, self.ours.handshake
        assert secrets.one_time is not None
        for wrong in (
            replace(secrets, signed=replace(secrets.signed, key_id=70)),
            replace(secrets, kem=replace(secrets.kem, key_id=70)),
            replace(secrets, kem=replace(secrets.kem, one_time=False)),
            replace(secrets, one_time=replace(secrets.one_time, key_id=70)),
            replace(secrets, one_time=None),
        ):
            self.assertRaises(OpenFailed, respond, self.bob.own, handshake, wrong)
        without = replace(handshake, one_time_id=None)
        self.assertRaises(OpenFailed, respond, self.bob.own, without, secrets)

    def test_secrets_with_the_right_ids_and_other_keys_give_another_secret(self) -> None:
        entropy = SeededEntropy("other")
        owner = self.bob.own.device_signing_secret
        secrets = self.bob.secrets
        signed, _ = make_signed_prekey(owner, 7, NOW, entropy)
        kem, _ = make_kem_prekey(owner, 8, NOW, True, entropy)
        one_time, _ = make_one_time_prekey(9, entropy)
        for wrong in (
            replace(secrets, signed=signed),
            replace(secrets, kem=kem),
            replace(secrets, one_time=one_time),
        ):
            self.differs(self.ours.handshake, wrong)

    def test_a_substituted_one_time_key_gives_another_secret(self) -> None:
        other = OneTimePreKeyPublic(person(MALLORY).own.statement.device_key.raw)
        bundle = replace(self.bob.bundle, one_time=OneTimePreKey(9, other))
        ours = agreed(self.alice, self.bob, bundle)
        self.assertNotEqual(respond(self.bob.own, ours.handshake, self.bob.secrets).secret, ours.secret)

    def test_somebody_without_the_initiators_device_key_does_not_get_the_secret(self) -> None:
        forged = replace(self.alice.own, device_secret=DeviceSecretKey(b"\x42" * 32))
        ours = initiate(forged, self.bob.bundle, self.alice.entropy, encapsulate)
        self.assertNotEqual(respond(self.bob.own, ours.handshake, self.bob.secrets).secret, ours.secret)

    def test_a_kem_secret_that_was_reencapsulated_to_another_key_is_bound(self) -> None:
        """The same KEM secret under another ciphertext gives another session secret."""

        def fixed(key: KemKey | RatchetKemKey) -> tuple[bytes, bytes]:
            return b"s" * 32, encapsulate(key)[1]

        one, other = (
            initiate(self.alice.own, self.bob.bundle, SeededEntropy("same"), fixed) for _ in range(2)
        )
        self.assertEqual(one.handshake.ephemeral_key, other.handshake.ephemeral_key)
        self.assertNotEqual(one.secret, other.secret)

    def test_a_ciphertext_of_another_length_is_refused(self) -> None:
        for size in (0, 1567, 1569):
            handshake = replace(self.ours.handshake, ciphertext=bytes(size))
            self.assertRaises(OpenFailed, respond, self.bob.own, handshake, self.bob.secrets)


class Encoding(SynchronousTestCase):
    def setUp(self) -> None:
        alice = person(ALICE)
        self.handshake = agreed(alice, person(BOB)).handshake

    def test_it_comes_back(self) -> None:
        for handshake in (self.handshake, replace(self.handshake, one_time_id=None)):
            self.assertEqual(Handshake.decode(handshake.encode()), handshake)

    def test_other_lengths_are_refused(self) -> None:
        for changed in resized(self.handshake.encode()):
            self.assertRaises(OpenFailed, Handshake.decode, changed)

    def test_a_statement_longer_than_its_limit_is_refused(self) -> None:
        Handshake.decode(replace(self.handshake, signed_statement=bytes(512)).encode())
        longer = replace(self.handshake, signed_statement=bytes(513)).encode()
        self.assertRaises(OpenFailed, Handshake.decode, longer)

    @settings(deadline=None, max_examples=150)
    @given(st.binary(max_size=200))
    def test_random_bytes_are_refused_and_nothing_worse(self, noise: bytes) -> None:
        for source in (noise, b"\0\x04stmt" + b"\x09" + bytes(31) + noise):
            try:
                handshake = Handshake.decode(source)
            except OpenFailed:
                continue
            self.assertEqual(handshake.encode(), source)


class Frozen(SynchronousTestCase):
    """A handshake with a published KEM answer: its result must never change."""

    def test_the_secret_of_a_fixed_handshake(self) -> None:
        record = next(vectors.records("asymmetric/MLKEM/kat_MLKEM_1024.rsp", "count"))
        alice, bob = person(ALICE), person(BOB)
        kem_secret = KemSecretKey(bob.bundle.kem_prekey.suite, bytes.fromhex(record["d"] + record["z"]))
        kem_prekey = replace(bob.bundle.kem_prekey, key=kem_secret.public)
        bundle = replace(bob.bundle, kem_prekey=kem_prekey)
        answer = bytes.fromhex(record["ss"]), bytes.fromhex(record["ct"])
        ours = initiate(alice.own, bundle, alice.entropy, lambda _: answer)
        secrets = replace(bob.secrets, kem=replace(bob.secrets.kem, secret=kem_secret))
        self.assertEqual(respond(bob.own, ours.handshake, secrets), ours)
        self.assertEqual(ours.session_id.hex(), SESSION_ID)
        self.assertEqual(ours.secret.hex(), SECRET)


SESSION_ID = "70b1e011fca0902f"
SECRET = "25affcdb6ee8914669f11ec0298252d589b6819dde412ebc52f294b677121a52"
