"""Sessions: two people write to each other, and nothing that was touched is opened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits, primitives, sealing
from e2ee.crypto.content import Text, decode_content, encode_content
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.own_device import sign_statement
from e2ee.crypto.session import Session, accept_session, peek
from e2ee.errors import EncodingRefused, OpenFailed
from e2ee.ids import MessageId
from tests.crypto.mutations import flipped, resized
from tests.crypto.people import ALICE, BOB, MALLORY, NOW, begun, established, person


class Conversation(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = person(ALICE), person(BOB)

    def test_the_first_message_begins_a_session_on_the_other_side(self) -> None:
        ours, envelope = begun(self.alice, self.bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
        theirs, content = accept_session(self.bob.own, envelope, self.bob.secrets, NOW)
        self.assertEqual(content, b"hello")
        self.assertEqual(theirs.session_id, ours.session_id)
        self.assertEqual(theirs.their_statement, self.alice.own.signed_statement)
        self.assertEqual(ours.their_statement, self.bob.own.signed_statement)
        self.assertEqual(theirs.their_statement_hash, self.alice.own.statement_hash)
        self.assertEqual((ours.initiator, theirs.initiator), (True, False))
        self.assertEqual((ours.opened_any, theirs.opened_any), (False, True))
        self.assertEqual(theirs.own_generation, self.bob.own.generation)

    def test_it_works_without_one_time_keys_and_with_the_last_resort_key(self) -> None:
        for one_time in (True, False):
            for kem_one_time in (True, False):
                bob = person(BOB, one_time=one_time, kem_one_time=kem_one_time)
                _, envelope = begun(self.alice, bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
                _, content = accept_session(bob.own, envelope, bob.secrets, NOW)
                self.assertEqual(content, b"hello")

    def test_a_look_at_a_first_message_names_the_prekeys(self) -> None:
        ours, envelope = begun(self.alice, self.bob).seal(b"hello", NOW, self.alice.entropy, encapsulate)
        view = peek(envelope)
        assert view.handshake is not None
        self.assertEqual(view.session_id, ours.session_id)
        handshake = view.handshake
        named = handshake.signed_prekey_id, handshake.kem_prekey_id, handshake.one_time_id
        self.assertEqual(named, (7, 8, 9))
        self.assertTrue(handshake.kem_one_time)
        self.assertEqual(handshake.signed_statement, self.alice.own.signed_statement)

    def test_the_handshake_is_carried_until_the_first_answer(self) -> None:
        ours = begun(self.alice, self.bob)
        ours, first = ours.seal(b"1", NOW, self.alice.entropy, encapsulate)
        ours, second = ours.seal(b"2", NOW, self.alice.entropy, encapsulate)
        first_view, second_view = peek(first), peek(second)
        self.assertIsNotNone(first_view.handshake)
        self.assertEqual(first_view, second_view)
        theirs, _ = accept_session(self.bob.own, first, self.bob.secrets, NOW)
        theirs, content = theirs.open(second, NOW)
        self.assertEqual(content, b"2")
        theirs, answer = theirs.seal(b"3", NOW, self.bob.entropy, encapsulate)
        self.assertIsNone(peek(answer).handshake)
        ours, content = ours.open(answer, NOW)
        self.assertEqual((content, ours.opened_any), (b"3", True))
        ours, later = ours.seal(b"4", NOW, self.alice.entropy, encapsulate)
        self.assertIsNone(peek(later).handshake)
        self.assertEqual(theirs.open(later, NOW)[1], b"4")

    def test_a_session_from_the_vault_parses_a_private_key_only_for_a_turn(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        parsed: list[bytes] = []

        def counted(raw: bytes) -> primitives.X25519Secret:
            parsed.append(raw)
            return x25519_secret(raw)

        x25519_secret = primitives.x25519_secret
        self.patch(primitives, "x25519_secret", counted)
        ours, envelope = Session.decode(ours.encode()).seal(b"1", NOW, self.alice.entropy, encapsulate)
        turned = len(parsed)
        ours, later = Session.decode(ours.encode()).seal(b"2", NOW, self.alice.entropy, encapsulate)
        self.assertEqual(len(parsed), turned)
        theirs, _ = Session.decode(theirs.encode()).open(envelope, NOW)
        self.assertEqual(len(parsed), turned + 1)
        _, content = Session.decode(theirs.encode()).open(later, NOW)
        self.assertEqual((content, len(parsed)), (b"2", turned + 1))

    def test_any_of_the_first_messages_can_begin_the_session(self) -> None:
        ours = begun(self.alice, self.bob)
        envelopes = []
        for number in range(5):
            ours, envelope = ours.seal(b"%d" % number, NOW, self.alice.entropy, encapsulate)
            envelopes.append(envelope)
        theirs, content = accept_session(self.bob.own, envelopes[3], self.bob.secrets, NOW)
        self.assertEqual(content, b"3")
        for number in (4, 0, 2, 1):
            theirs, content = theirs.open(envelopes[number], NOW)
            self.assertEqual(content, b"%d" % number)

    def test_handshakes_that_cross_are_two_sessions_that_both_work(self) -> None:
        ours, from_alice = begun(self.alice, self.bob).seal(b"a", NOW, self.alice.entropy, encapsulate)
        theirs, from_bob = begun(self.bob, self.alice).seal(b"b", NOW, self.bob.entropy, encapsulate)
        at_bob, content = accept_session(self.bob.own, from_alice, self.bob.secrets, NOW)
        self.assertEqual(content, b"a")
        at_alice, content = accept_session(self.alice.own, from_bob, self.alice.secrets, NOW)
        self.assertEqual(content, b"b")
        self.assertNotEqual(ours.session_id, theirs.session_id)
        _, answer = at_alice.seal(b"on bob's", NOW, self.alice.entropy, encapsulate)
        self.assertEqual(theirs.open(answer, NOW)[1], b"on bob's")
        _, answer = at_bob.seal(b"on alice's", NOW, self.bob.entropy, encapsulate)
        self.assertEqual(ours.open(answer, NOW)[1], b"on alice's")

    def test_1000_messages_in_a_row(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        for number in range(1000):
            ours, envelope = ours.seal(b"%d" % number, NOW, self.alice.entropy, encapsulate)
            theirs, content = theirs.open(envelope, NOW)
            self.assertEqual(content, b"%d" % number)

    def test_1000_messages_that_all_arrive_in_another_order(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        envelopes = []
        for number in range(1000):
            ours, envelope = ours.seal(b"%d" % number, NOW, self.alice.entropy, encapsulate)
            envelopes.append((number, envelope))
        random.Random(1).shuffle(envelopes)
        for number, envelope in envelopes:
            theirs, content = theirs.open(envelope, NOW)
            self.assertEqual(content, b"%d" % number)

    def test_a_repeat_is_refused_and_changes_nothing(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        ours, envelope = ours.seal(b"once", NOW, self.alice.entropy, encapsulate)
        theirs, _ = theirs.open(envelope, NOW)
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)

    def test_a_text_of_64_kib_fits_even_with_a_handshake(self) -> None:
        text = Text(MessageId(bytes(16)), NOW, 0, NOW, NOW, None, 1, "x" * limits.TEXT_BYTES)
        ours = begun(self.alice, self.bob)
        _, envelope = ours.seal(encode_content(text), NOW, self.alice.entropy, encapsulate)
        self.assertLessEqual(len(envelope), limits.ENVELOPE_BYTES)
        _, content = accept_session(self.bob.own, envelope, self.bob.secrets, NOW)
        self.assertEqual(decode_content(content), text)

    def test_the_longest_content_and_not_one_byte_more(self) -> None:
        ours = begun(self.alice, self.bob)
        longest = b"x" * limits.CONTENT_BYTES
        _, envelope = ours.seal(longest, NOW, self.alice.entropy, encapsulate)
        self.assertLessEqual(len(envelope), limits.ENVELOPE_BYTES)
        self.assertEqual(accept_session(self.bob.own, envelope, self.bob.secrets, NOW)[1], longest)
        self.assertRaises(ValueError, ours.seal, longest + b"x", NOW, self.alice.entropy, encapsulate)

    def test_texts_of_similar_length_have_envelopes_of_the_same_length(self) -> None:
        ours, _ = established(self.alice, self.bob)
        sealed = [ours.seal(b"x" * size, NOW, self.alice.entropy, encapsulate) for size in range(1, 250, 31)]
        sizes = {len(envelope) for _, envelope in sealed}
        self.assertEqual(len(sizes), 1)

    def test_a_state_used_twice_never_makes_the_same_bytes(self) -> None:
        """A restored copy: the IV is fresh, and part of the keys."""
        ours, _ = established(self.alice, self.bob)
        ours, _ = ours.seal(b"before", NOW, self.alice.entropy, encapsulate)
        _, one = ours.seal(b"same", NOW, self.alice.entropy, encapsulate)
        _, other = ours.seal(b"same", NOW, self.alice.entropy, encapsulate)
        self.assertEqual(one[:52], other[:52])
        self.assertNotEqual(one[52:68], other[52:68])
        blocks = {one[at : at + 16] for at in range(68, len(one), 16)}
        self.assertFalse(blocks & {other[at : at + 16] for at in range(68, len(other), 16)})


class Tampering(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = person(ALICE), person(BOB)

    def test_no_changed_byte_of_a_later_message_is_opened(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        _, envelope = ours.seal(b"content", NOW, self.alice.entropy, encapsulate)
        before = theirs.encode()
        for changed in (*flipped(envelope), *resized(envelope)):
            self.assertRaises(OpenFailed, theirs.open, changed, NOW)
        self.assertEqual(theirs.encode(), before)
        self.assertEqual(theirs.open(envelope, NOW)[1], b"content")

    def test_no_bit_of_the_head_can_be_turned_over(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        _, envelope = ours.seal(b"content", NOW, self.alice.entropy, encapsulate)
        for bit in range(68 * 8):
            changed = bytearray(envelope)
            changed[bit // 8] ^= 1 << bit % 8
            self.assertRaises(OpenFailed, theirs.open, bytes(changed), NOW)

    def test_no_changed_byte_of_a_first_message_is_opened(self) -> None:
        _, envelope = begun(self.alice, self.bob).seal(b"content", NOW, self.alice.entropy, encapsulate)
        handshake_end = len(envelope) - 320
        for whole in (*_sampled(envelope, handshake_end), *resized(envelope)):
            self.assertRaises(OpenFailed, accept_session, self.bob.own, whole, self.bob.secrets, NOW)
        accept_session(self.bob.own, envelope, self.bob.secrets, NOW)

    def test_no_changed_byte_of_a_repeated_handshake_is_opened(self) -> None:
        ours, first = begun(self.alice, self.bob).seal(b"1", NOW, self.alice.entropy, encapsulate)
        _, second = ours.seal(b"2", NOW, self.alice.entropy, encapsulate)
        theirs, _ = accept_session(self.bob.own, first, self.bob.secrets, NOW)
        for changed in flipped(second, step=7):
            self.assertRaises(OpenFailed, theirs.open, changed, NOW)
        theirs.open(second, NOW)

    def test_a_first_message_without_its_handshake_is_refused(self) -> None:
        ours, first = begun(self.alice, self.bob).seal(b"1", NOW, self.alice.entropy, encapsulate)
        length = int.from_bytes(first[52:54], "big")
        stripped = first[:1] + b"\x02" + first[2:52] + first[54 + length :]
        theirs, _ = accept_session(self.bob.own, first, self.bob.secrets, NOW)
        _, second = ours.seal(b"2", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, theirs.open, stripped, NOW)
        self.assertRaises(OpenFailed, accept_session, self.bob.own, stripped, self.bob.secrets, NOW)
        without = second[:1] + b"\x02" + second[2:52] + second[54 + length :]
        self.assertRaises(OpenFailed, theirs.open, without, NOW)

    def test_a_message_sent_back_to_its_sender_is_refused(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        for session, entropy in ((ours, self.alice.entropy), (theirs, self.bob.entropy)):
            advanced, envelope = session.seal(b"mine", NOW, entropy, encapsulate)
            self.assertRaises(OpenFailed, advanced.open, envelope, NOW)

    def test_the_direction_is_authenticated(self) -> None:
        """With the right key, number and data, but sealed as by the other side."""
        ours, theirs = established(self.alice, self.bob)
        as_recipient = ours._replace(initiator=False)
        _, envelope = as_recipient.seal(b"swapped", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)

    def test_other_associated_data_is_refused(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        other = ours._replace(associated=ours.associated.replace(ALICE.encode(), MALLORY.encode()))
        _, envelope = other.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)

    def test_a_recipient_never_sends_a_handshake(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        _, envelope = theirs._replace(handshake=b"handshake").seal(b"x", NOW, self.bob.entropy, encapsulate)
        self.assertRaises(OpenFailed, ours.open, envelope, NOW)

    def test_the_envelope_of_another_session_is_refused(self) -> None:
        ours, _ = established(self.alice, self.bob)
        _, theirs = established(self.alice, self.bob)
        _, envelope = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)
        self.assertRaises(OpenFailed, theirs.open, envelope[:2] + theirs.session_id + envelope[10:], NOW)

    def test_a_wrong_session_id_is_refused_even_from_the_peer(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        _, envelope = ours._replace(session_id=b"notthis1").seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)
        fresh = begun(self.alice, self.bob)._replace(session_id=b"notthis1")
        _, envelope = fresh.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, accept_session, self.bob.own, envelope, self.bob.secrets, NOW)

    def test_somebody_elses_bundle_or_keys_do_not_open_it(self) -> None:
        mallory = person(MALLORY)
        _, envelope = begun(self.alice, self.bob).seal(b"for bob", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, accept_session, mallory.own, envelope, mallory.secrets, NOW)
        self.assertRaises(OpenFailed, accept_session, mallory.own, envelope, self.bob.secrets, NOW)
        self.assertRaises(OpenFailed, accept_session, self.bob.own, envelope, mallory.secrets, NOW)

    def test_bobs_keys_published_as_somebody_elses_lead_nowhere(self) -> None:
        """Mallory's own statement over Bob's device keys: the session has her number inside."""
        mallory = person(MALLORY)
        stolen = replace(
            mallory.own.statement,
            device_key=self.bob.own.statement.device_key,
            device_signing_key=self.bob.own.statement.device_signing_key,
        )
        signed = sign_statement(mallory.own.account_secret, stolen)
        hers = replace(self.bob, own=replace(self.bob.own, signed_statement=signed, statement=stolen))
        _, envelope = begun(self.alice, hers).seal(b"for mallory", NOW, self.alice.entropy, encapsulate)
        self.assertRaises(OpenFailed, accept_session, self.bob.own, envelope, self.bob.secrets, NOW)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=400), st.sampled_from([b"", b"\x01\x01", b"\x01\x02"]))
    def test_random_bytes_are_refused_and_nothing_worse(self, noise: bytes, head: bytes) -> None:
        alice, bob = person(ALICE), person(BOB)
        session = begun(alice, bob)
        self.assertRaises(OpenFailed, session.open, head + noise, NOW)
        self.assertRaises(OpenFailed, session.open, head + session.session_id + noise, NOW)
        self.assertRaises(OpenFailed, accept_session, bob.own, head + noise, bob.secrets, NOW)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=150), st.integers(0, 2200))
    def test_random_changes_of_a_first_message_are_refused(self, noise: bytes, at: int) -> None:
        alice, bob = person(ALICE), person(BOB)
        _, envelope = begun(alice, bob).seal(b"x", NOW, alice.entropy, encapsulate)
        changed = envelope[:at] + noise + envelope[at + len(noise) :]
        if changed != envelope:
            self.assertRaises(OpenFailed, accept_session, bob.own, changed, bob.secrets, NOW)

    def test_wrong_padding_under_a_right_mac_is_the_same_error(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        patch = self.patch(sealing, "pad", lambda content: bytes(256))
        _, envelope = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        patch.restore()
        self.assertRaises(OpenFailed, theirs.open, envelope, NOW)


class Unanswered(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = person(ALICE), person(BOB)

    def test_messages_count_until_the_next_answer(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        self.assertEqual((ours.sending_unanswered, ours.unanswered_since), (0, None))
        for count in (1, 2, 3):
            ours, envelope = ours.seal(b"x", NOW + count, self.alice.entropy, encapsulate)
            theirs, _ = theirs.open(envelope, NOW)
            self.assertEqual((ours.sending_unanswered, ours.unanswered_since), (count, NOW + 1))
        theirs, answer = theirs.seal(b"answer", NOW, self.bob.entropy, encapsulate)
        ours, _ = ours.open(answer, NOW)
        self.assertEqual((ours.sending_unanswered, ours.unanswered_since), (0, None))

    def test_a_late_message_of_an_older_turn_is_no_answer(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        theirs, late = theirs.seal(b"late", NOW, self.bob.entropy, encapsulate)
        ours, _ = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        ours, _ = ours.open(late, NOW)
        self.assertEqual((ours.sending_unanswered, ours.unanswered_since), (1, NOW))

    def test_a_chain_is_worn_after_1000_messages(self) -> None:
        ours = begun(self.alice, self.bob)
        for _ in range(999):
            ours, _ = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertFalse(ours.is_worn(NOW))
        ours, _ = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertTrue(ours.is_worn(NOW))

    def test_a_chain_is_worn_after_7_days(self) -> None:
        ours, _ = established(self.alice, self.bob)
        self.assertFalse(ours.is_worn(NOW + 8 * limits.DAY_MS))
        ours, _ = ours.seal(b"x", NOW, self.alice.entropy, encapsulate)
        self.assertFalse(ours.is_worn(NOW + 7 * limits.DAY_MS - 1))
        self.assertTrue(ours.is_worn(NOW + 7 * limits.DAY_MS))

    def test_a_handshake_is_worn_7_days_after_it_was_begun(self) -> None:
        """Though nothing was sealed: the other side may not have the prekeys any more."""
        ours = begun(self.alice, self.bob)
        self.assertFalse(ours.is_worn(NOW + 7 * limits.DAY_MS - 1))
        self.assertTrue(ours.is_worn(NOW + 7 * limits.DAY_MS))
        ours, _ = ours.seal(b"x", NOW + limits.DAY_MS, self.alice.entropy, encapsulate)
        self.assertTrue(ours.is_worn(NOW + 7 * limits.DAY_MS))

    def test_a_chain_of_a_clock_that_was_fast_is_worn_when_it_is_put_right(self) -> None:
        ours, _ = established(self.alice, self.bob)
        ours, _ = ours.seal(b"x", NOW + 30 * limits.DAY_MS, self.alice.entropy, encapsulate)
        self.assertTrue(ours.is_worn(NOW))
        self.assertFalse(ours.is_worn(NOW + 23 * limits.DAY_MS + 1))


class SkippedKeys(SynchronousTestCase):
    def test_old_ones_go_with_the_next_step(self) -> None:
        alice, bob = person(ALICE), person(BOB)
        ours, theirs = established(alice, bob)
        ours, early = ours.seal(b"early", NOW, alice.entropy, encapsulate)
        ours, late = ours.seal(b"late", NOW, alice.entropy, encapsulate)
        theirs, _ = theirs.open(late, NOW)
        self.assertEqual(len(theirs.ratchet.receiving.skipped), 1)
        too_late = NOW + limits.SKIPPED_MS + 1
        self.assertEqual(theirs.open(early, too_late - 1)[1], b"early")
        self.assertRaises(OpenFailed, theirs.open, early, too_late)
        sent, _ = theirs.seal(b"x", too_late, bob.entropy, encapsulate)
        self.assertEqual(len(sent.ratchet.receiving.skipped), 0)

    def test_a_gap_of_2000_is_opened_and_2001_set_aside(self) -> None:
        alice, bob = person(ALICE), person(BOB)
        ours, theirs = established(alice, bob)
        for _ in range(2000):
            ours, _ = ours.seal(b"lost", NOW, alice.entropy, encapsulate)
        ours, envelope = ours.seal(b"2000", NOW, alice.entropy, encapsulate)
        ours, one_more = ours.seal(b"2001", NOW, alice.entropy, encapsulate)
        self.assertEqual(theirs.open(envelope, NOW)[1], b"2000")
        self.assertRaises(OpenFailed, theirs.open, one_more, NOW)


class Vault(SynchronousTestCase):
    def states(self) -> list[Session]:
        alice, bob = person(ALICE), person(BOB)
        fresh = begun(alice, bob)
        sent, envelope = fresh.seal(b"x", NOW, alice.entropy, encapsulate)
        accepted, _ = accept_session(bob.own, envelope, bob.secrets, NOW)
        return [fresh, sent, accepted, *established(alice, bob)]

    def test_every_state_comes_back(self) -> None:
        for state in self.states():
            self.assertEqual(Session.decode(state.encode()), state)

    def test_a_conversation_goes_on_after_each_restart(self) -> None:
        alice, bob = person(ALICE), person(BOB)
        ours, theirs = established(alice, bob)
        for number in range(5):
            ours = Session.decode(ours.encode())
            ours, envelope = ours.seal(b"%d" % number, NOW, alice.entropy, encapsulate)
            theirs, content = Session.decode(theirs.encode()).open(envelope, NOW)
            self.assertEqual(content, b"%d" % number)
            theirs, envelope = Session.decode(theirs.encode()).seal(b"back", NOW, bob.entropy, encapsulate)
            ours, content = Session.decode(ours.encode()).open(envelope, NOW)
            self.assertEqual(content, b"back")

    def test_other_bytes_are_refused(self) -> None:
        for state in self.states():
            encoded = state.encode()
            for changed in (*resized(encoded), b"\x02" + encoded[1:], encoded[:1] + b"\x02" + encoded[2:]):
                self.assertRaises(EncodingRefused, Session.decode, changed)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=300), st.integers(0, 900))
    def test_random_bytes_are_a_session_in_its_one_encoding_or_refused(self, noise: bytes, at: int) -> None:
        encoded = established(person(ALICE), person(BOB))[0].encode()
        changed = encoded[:at] + noise + encoded[at + len(noise) :]
        try:
            session = Session.decode(changed)
        except EncodingRefused:
            return
        self.assertEqual(session.encode(), changed)

    def test_it_is_small(self) -> None:
        for state in established(person(ALICE), person(BOB)):
            self.assertLess(len(state.encode()), 1024)

    def test_no_repr_shows_a_secret(self) -> None:
        for state in self.states():
            self.assertNotIn(repr(state.ratchet.root_key)[2:-1], repr(state))
            self.assertNotIn(repr(state.associated)[2:-1], repr(state))


def _sampled(envelope: bytes, handshake_end: int) -> Iterator[bytes]:
    """One bit turned over: in each byte of head, statement and tag, here and there in the ciphertexts."""
    places = {*range(320), *range(320, handshake_end, 23), *range(handshake_end, len(envelope), 3)}
    for at in sorted(places | {*range(len(envelope) - 32, len(envelope))}):
        yield envelope[:at] + bytes((envelope[at] ^ (1 << at % 8),)) + envelope[at + 1 :]
