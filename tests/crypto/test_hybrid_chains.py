"""Hybrid chains by the text of `docs/cryptography.md`: who offers, who answers, and when."""

from __future__ import annotations

from typing import NoReturn

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import chains, limits, ratchet
from e2ee.crypto.encoding import FieldReader
from e2ee.crypto.extension import Extension
from e2ee.crypto.ratchet import Header, Ratchet
from e2ee.crypto.ratchet_codec import encode_ratchet, read_ratchet
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.errors import EncodingRefused, OpenFailed
from tests.crypto.hybrid_sides import ANSWER, OFFER, Side, hybrid_sides, kind
from tests.crypto.mutations import resized
from tests.crypto.people import NOW, SeededEntropy
from tests.crypto.test_ratchet import sides


class HybridCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = hybrid_sides()

    def delivered(self, sender: Side, recipient: Side) -> int | None:
        """Send one message, deliver it, and tell what it carried."""
        header, key = sender.send()
        self.assertEqual(recipient.receive(header), key)
        return kind(header)

    def run_up(self, messages: int) -> None:
        """So many messages from Alice to Bob; it is Bob's turn then."""
        for _ in range(messages):
            self.delivered(self.alice, self.bob)

    def later(self, milliseconds: int) -> None:
        self.alice.now += milliseconds
        self.bob.now += milliseconds

    def offered(self) -> None:
        """Bob has offered, and Alice knows it."""
        self.run_up(50)
        self.assertEqual(self.delivered(self.bob, self.alice), OFFER)


class Offering(HybridCase):
    def test_a_chain_that_begins_after_50_messages_offers(self) -> None:
        self.run_up(50)
        self.assertEqual(self.delivered(self.bob, self.alice), OFFER)

    def test_not_after_49(self) -> None:
        self.run_up(49)
        self.assertIsNone(self.delivered(self.bob, self.alice))
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER)

    def test_both_directions_count(self) -> None:
        self.run_up(20)
        for _ in range(29):
            self.delivered(self.bob, self.alice)
        self.assertIsNone(self.delivered(self.alice, self.bob))
        self.assertEqual(self.delivered(self.bob, self.alice), OFFER)

    def test_after_24_hours_and_not_a_millisecond_earlier(self) -> None:
        self.run_up(1)
        self.later(limits.DAY_MS - 1)
        self.assertIsNone(self.delivered(self.bob, self.alice))
        self.later(1)
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER)

    def test_a_chain_keeps_its_kind(self) -> None:
        """What was begun plain stays plain, however long it gets."""
        self.run_up(120)
        self.assertIsNone(self.delivered(self.alice, self.bob))

    def test_the_first_8_messages_carry_the_key_and_no_other(self) -> None:
        self.run_up(50)
        headers = [self.bob.send()[0] for _ in range(12)]
        self.assertEqual([kind(header) for header in headers], [OFFER] * 8 + [None] * 4)
        self.assertEqual(len({header.extension for header in headers[:8]}), 1)

    def test_after_rsa_at_once(self) -> None:
        self.alice, self.bob = hybrid_sides(due=True)
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER)
        self.assertEqual(self.delivered(self.bob, self.alice), ANSWER)
        self.assertIsNone(self.delivered(self.alice, self.bob))

    def test_after_rsa_the_recipient_offers_if_the_initiators_offer_was_lost(self) -> None:
        self.alice, self.bob = hybrid_sides(due=True)
        for _ in range(8):
            self.alice.send()
        self.assertIsNone(self.delivered(self.alice, self.bob))
        self.assertEqual(self.delivered(self.bob, self.alice), OFFER)
        self.assertEqual(self.delivered(self.alice, self.bob), ANSWER)

    def test_an_offer_that_was_lost_is_followed_by_a_plain_answer_and_a_new_offer(self) -> None:
        self.run_up(50)
        for _ in range(8):
            self.assertEqual(kind(self.bob.send()[0]), OFFER)
        self.assertIsNone(self.delivered(self.bob, self.alice))
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER, "Alice has counted as many")
        self.assertEqual(self.delivered(self.bob, self.alice), ANSWER)


class Answering(HybridCase):
    def test_the_next_chain_answers_in_every_message(self) -> None:
        self.offered()
        for _ in range(30):
            self.assertEqual(self.delivered(self.alice, self.bob), ANSWER)

    def test_any_message_of_the_answering_chain_can_be_the_first(self) -> None:
        self.offered()
        sent = [self.alice.send() for _ in range(4)]
        for header, key in (sent[2], sent[3], sent[0], sent[1]):
            self.assertEqual(self.bob.receive(header), key)
        self.assertIsNone(self.delivered(self.bob, self.alice))

    def test_the_root_key_has_the_secret_of_the_offered_key(self) -> None:
        self.offered()
        offer = self.bob.state.sending.offer
        assert offer is not None
        before = self.alice.state
        header, _ = self.alice.send()
        own = self.alice.state.sending.own
        assert own is not None
        assert before.receiving.theirs is not None
        assert header.extension is not None
        agreed = own.exchange(before.receiving.theirs)
        secret = offer.decapsulate(header.extension.value)
        expected, _ = chains.hybrid_root_step(
            before.root_key, agreed, secret, offer.public_raw, header.extension.value
        )
        self.assertEqual(self.alice.state.root_key, expected)
        self.bob.receive(header)
        self.assertEqual(self.bob.state.root_key, expected)

    def test_answering_goes_before_offering(self) -> None:
        self.run_up(60)
        self.later(limits.DAY_MS)
        self.assertEqual(self.delivered(self.bob, self.alice), OFFER)
        self.assertEqual(self.delivered(self.alice, self.bob), ANSWER)
        self.assertIsNone(self.alice.state.sending.offer)

    def test_both_count_anew_from_the_answer(self) -> None:
        self.offered()
        self.later(1000)
        self.delivered(self.alice, self.bob)
        for side in (self.alice, self.bob):
            self.assertEqual((side.state.messages, side.state.since), (1, NOW + 1000))
        for _ in range(48):
            self.delivered(self.alice, self.bob)
        self.assertIsNone(self.delivered(self.bob, self.alice))
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER)

    def test_an_offer_in_a_late_message_counts_until_our_turn(self) -> None:
        self.run_up(50)
        early = [self.bob.send() for _ in range(9)]
        self.alice.receive(early[8][0])
        self.alice.receive(early[3][0])
        self.assertEqual(self.delivered(self.alice, self.bob), ANSWER)

    def test_an_offer_is_kept_while_late_messages_without_one_come(self) -> None:
        self.run_up(50)
        sent = [self.bob.send() for _ in range(11)]
        for number in (0, 10, 8, 9):
            self.alice.receive(sent[number][0])
        self.alice.state = self.alice.state.forgetting_old(NOW + limits.SKIPPED_MS + 1)
        self.assertEqual(self.delivered(self.alice, self.bob), ANSWER)

    def test_one_that_comes_after_our_turn_does_not(self) -> None:
        self.run_up(40)
        self.delivered(self.bob, self.alice)
        for _ in range(10):
            self.delivered(self.alice, self.bob)
        early = [self.bob.send() for _ in range(9)]
        self.assertEqual(kind(early[0][0]), OFFER)
        self.alice.receive(early[8][0])
        self.delivered(self.alice, self.bob)
        self.alice.receive(early[0][0])
        self.assertIsNone(self.alice.state.receiving.offer)

    def test_an_offer_of_an_ended_chain_is_not_answered(self) -> None:
        """Its private half is gone with the ratchet key beside it."""
        self.run_up(50)
        late = self.bob.send()[0]
        for _ in range(8):
            self.bob.send()
        self.delivered(self.bob, self.alice)
        self.assertEqual(self.delivered(self.alice, self.bob), OFFER)
        self.assertEqual(self.delivered(self.bob, self.alice), ANSWER)
        self.alice.receive(late)
        self.assertIsNone(self.alice.state.receiving.offer)
        self.assertIsNone(self.delivered(self.alice, self.bob))

    def test_the_kem_key_goes_with_its_ratchet_key(self) -> None:
        self.offered()
        self.assertIsNotNone(self.bob.state.sending.offer)
        self.delivered(self.alice, self.bob)
        self.assertEqual((self.bob.state.sending.own, self.bob.state.sending.offer), (None, None))

    def test_a_new_secret_heals_against_whoever_computes_every_diffie_hellman(self) -> None:
        """He has a state of Bob's and all of his later X25519 keys; the KEM key is made behind his back."""
        self.run_up(50)
        copied = self.bob.state
        self.delivered(self.bob, self.alice)
        stolen = copied.send(NOW, SeededEntropy("another"), self.bob.encapsulate)[0]
        self.assertIsNotNone(self.bob.state.sending.own)
        stolen = stolen._replace(sending=stolen.sending._replace(own=self.bob.state.sending.own))
        header, key = self.alice.send()
        self.assertNotEqual(stolen.receive(header, NOW)[1], key)
        self.assertEqual(self.bob.receive(header), key)


class Refused(HybridCase):
    def setUp(self) -> None:
        super().setUp()
        self.offered()
        self.answer, self.key = self.alice.send()

    def test_a_changed_answer_gives_another_key(self) -> None:
        extension = self.answer.extension
        assert extension is not None
        for at in range(0, len(extension.value), 97):
            value = bytearray(extension.value)
            value[at] ^= 1
            changed = self.answer._replace(extension=Extension(ANSWER, bytes(value)))
            self.assertNotEqual(self.bob.state.receive(changed, NOW)[1], self.key)
        self.assertEqual(self.bob.receive(self.answer), self.key)

    def test_a_removed_answer_gives_another_key(self) -> None:
        changed = self.answer._replace(extension=None)
        self.assertNotEqual(self.bob.state.receive(changed, NOW)[1], self.key)

    def test_an_answer_to_another_key_gives_another_key(self) -> None:
        other = RatchetKemSecretKey.generate(SeededEntropy("other"))
        assert self.bob.state.sending.offer is not None
        state = self.bob.state._replace(sending=self.bob.state.sending._replace(offer=other))
        self.assertNotEqual(state.receive(self.answer, NOW)[1], self.key)

    def test_an_answer_that_nobody_asked_for_is_refused_before_computing_with_it(self) -> None:
        def never(*_: object) -> NoReturn:
            raise AssertionError("computed before it was refused")

        self.bob.receive(self.answer)
        self.bob.send()
        new = RatchetSecretKey.generate(SeededEntropy("new")).public.raw
        for name in ("root_step", "hybrid_root_step", "skip"):
            self.patch(ratchet, name, never)
        self.assertRaises(OpenFailed, self.bob.receive, Header(new, 0, 0, self.answer.extension))

    def test_a_key_that_fails_the_checks_of_fips_203(self) -> None:
        self.bob.receive(self.answer)
        before = self.bob.state
        header = self.alice.send()[0]
        bad = header._replace(extension=Extension(OFFER, b"\xff" * 1184))
        self.assertRaises(OpenFailed, self.bob.receive, bad)
        self.assertIs(self.bob.state, before)
        self.bob.receive(header)


class Plain(SynchronousTestCase):
    """A ratchet whose sides do not both have the feature."""

    def test_it_never_offers(self) -> None:
        alice, bob = sides()
        for _ in range(60):
            bob.receive(alice.send()[0])
        state, header, _ = bob.state.send(NOW + 2 * limits.DAY_MS, bob.entropy, self.never)
        self.assertIsNone(header.extension)
        self.assertIsNone(state.sending.offer)

    def never(self, _: object) -> NoReturn:
        raise AssertionError("a plain ratchet encapsulates nothing")

    def test_it_refuses_extensions(self) -> None:
        alice, bob = sides()
        header, key = alice.send()
        public = RatchetKemSecretKey.generate(SeededEntropy("kem")).public_raw
        for extension in (Extension(OFFER, public), Extension(ANSWER, bytes(1088))):
            self.assertRaises(OpenFailed, bob.receive, header._replace(extension=extension))
        self.assertEqual(bob.receive(header), key)


class Vault(HybridCase):
    def states(self) -> list[Ratchet]:
        """Waiting for an answer, waiting to answer, answering, answered."""
        self.offered()
        found = [self.bob.state, self.alice.state]
        header = self.alice.send()[0]
        found.append(self.alice.state)
        self.bob.receive(header)
        return [*found, self.bob.state, *(side.state for side in hybrid_sides(due=True))]

    def test_every_state_comes_back(self) -> None:
        for state in self.states():
            self.assertEqual(_decoded(encode_ratchet(state)), state)

    def test_a_key_from_the_vault_opens_the_answer(self) -> None:
        self.offered()
        header, key = self.alice.send()
        self.assertEqual(_decoded(encode_ratchet(self.bob.state)).receive(header, NOW)[1], key)

    def test_other_bytes_are_refused(self) -> None:
        for state in self.states():
            for changed in resized(encode_ratchet(state)):
                self.assertRaises(EncodingRefused, _decoded, changed)

    def test_what_cannot_be_is_refused(self) -> None:
        waits, answers, answering, *_ = self.states()
        both = waits.sending._replace(answer=bytes(1088))
        impossible = [
            waits._replace(since=None),
            answers._replace(since=None),
            answering._replace(since=None),
            waits._replace(sending=both),
            answers._replace(sending=answers.sending._replace(answer=bytes(1088))),
            answers._replace(sending=answers.sending._replace(offer=waits.sending.offer)),
            waits._replace(receiving=waits.receiving._replace(offer=answers.receiving.offer)),
        ]
        for state in impossible:
            self.assertRaises(EncodingRefused, _decoded, encode_ratchet(state))

    def test_no_repr_shows_a_secret(self) -> None:
        for state in self.states():
            offer = state.sending.offer
            secrets = [state.root_key, offer.raw if offer else state.root_key]
            for secret in secrets:
                self.assertNotIn(repr(secret)[2:-1], repr(state))


def _decoded(encoded: bytes) -> Ratchet:
    reader = FieldReader(encoded)
    state = read_ratchet(reader)
    reader.end()
    return state
