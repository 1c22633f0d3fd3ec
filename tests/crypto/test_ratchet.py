"""The Double Ratchet by itself: order, loss, limits, and refusal before computation."""

from __future__ import annotations

import random
from typing import NoReturn

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits, ratchet
from e2ee.crypto.encoding import FieldReader
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.ratchet import Header, Ratchet
from e2ee.crypto.ratchet_codec import encode_ratchet, read_ratchet
from e2ee.crypto.secret_keys import RatchetSecretKey
from e2ee.errors import EncodingRefused, OpenFailed
from tests.crypto.mutations import resized
from tests.crypto.people import NOW, SeededEntropy

Sent = tuple[Header, bytes]


class Side:
    """One end, with a state that advances; `receive` keeps the state, as after a right MAC."""

    def __init__(self, state: Ratchet, entropy: SeededEntropy) -> None:
        self.state = state
        self.entropy = entropy

    def send(self) -> Sent:
        self.state, header, key = self.state.send(NOW, self.entropy, encapsulate)
        return header, key

    def receive(self, header: Header, now: int = NOW) -> bytes:
        self.state, key = self.state.receive(header, now)
        return key


def sides(seed: str = "ratchet") -> tuple[Side, Side]:
    """Initiator and recipient with a common secret; nothing sent yet."""
    entropy = SeededEntropy(seed)
    prekey = RatchetSecretKey.generate(entropy)
    secret = entropy(32)
    begin = Ratchet.begin(secret, prekey.public, RatchetSecretKey.generate(entropy))
    initiator = Side(begin, SeededEntropy(seed + "i"))
    return initiator, Side(Ratchet.wait(secret, prekey), SeededEntropy(seed + "r"))


class InOrder(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = sides()

    def delivered(self, sender: Side, recipient: Side) -> Header:
        header, key = sender.send()
        self.assertEqual(recipient.receive(header), key)
        return header

    def test_messages_in_turn(self) -> None:
        for _ in range(5):
            self.delivered(self.alice, self.bob)
            self.delivered(self.alice, self.bob)
            self.delivered(self.bob, self.alice)

    def test_every_message_has_a_key_of_its_own(self) -> None:
        keys = []
        for sender, recipient in [(self.alice, self.bob), (self.bob, self.alice)] * 20:
            for _ in range(3):
                header, key = sender.send()
                recipient.receive(header)
                keys.append(key)
        self.assertEqual(len(set(keys)), len(keys))

    def test_a_turn_has_a_new_ratchet_key_and_says_how_long_the_chain_before_was(self) -> None:
        first = [self.delivered(self.alice, self.bob) for _ in range(3)]
        self.assertEqual([(header.previous, header.number) for header in first], [(0, 0), (0, 1), (0, 2)])
        self.assertEqual(len({header.ratchet_key for header in first}), 1)
        self.assertEqual(self.delivered(self.bob, self.alice)[1:3], (0, 0))
        second = self.delivered(self.alice, self.bob)
        self.assertEqual(second[1:3], (3, 0))
        self.assertNotEqual(second.ratchet_key, first[0].ratchet_key)

    def test_the_length_of_a_chain_survives_a_turn_without_messages_in_between(self) -> None:
        self.delivered(self.alice, self.bob)
        self.delivered(self.bob, self.alice)
        self.delivered(self.bob, self.alice)
        self.delivered(self.alice, self.bob)
        self.assertEqual(self.delivered(self.bob, self.alice)[1:3], (2, 0))

    def test_a_recipient_cannot_send_first(self) -> None:
        self.assertRaises(ValueError, self.bob.send)

    def test_the_old_private_key_is_gone_when_their_new_one_came(self) -> None:
        self.delivered(self.alice, self.bob)
        self.assertIsNone(self.bob.state.sending.own)

    def test_a_new_secret_heals(self) -> None:
        """Whoever copied a state is out again after a turn of both sides."""
        self.delivered(self.alice, self.bob)
        copied = self.bob.state
        self.delivered(self.bob, self.alice)
        self.delivered(self.alice, self.bob)
        header, _ = self.alice.send()
        self.assertRaises(OpenFailed, copied.receive, header, NOW)

    def test_the_last_number_of_a_chain(self) -> None:
        chain = self.alice.state.sending.chain
        assert chain is not None
        last = chain._replace(number=2**31 - 1)
        self.alice.state = self.alice.state._replace(sending=self.alice.state.sending._replace(chain=last))
        self.assertEqual(self.alice.send()[0].number, 2**31 - 1)
        self.assertRaises(ValueError, self.alice.send)


class OutOfOrder(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = sides()

    def test_messages_of_one_chain_in_reverse(self) -> None:
        sent = [self.alice.send() for _ in range(10)]
        for header, key in reversed(sent):
            self.assertEqual(self.bob.receive(header), key)
        self.assertEqual(len(self.bob.state.receiving.skipped), 0)

    def test_messages_of_an_ended_chain(self) -> None:
        late = [self.alice.send() for _ in range(3)]
        self.bob.receive(late[0][0])
        self.alice.receive(self.bob.send()[0])
        header, key = self.alice.send()
        self.assertEqual(self.bob.receive(header), key)
        self.assertEqual(len(self.bob.state.receiving.skipped), 2)
        for header, key in late[1:]:
            self.assertEqual(self.bob.receive(header), key)

    def test_a_whole_chain_that_was_never_seen(self) -> None:
        """Their second chain is skipped over by the header of the third."""
        self.bob.receive(self.alice.send()[0])
        self.alice.receive(self.bob.send()[0])
        lost = self.alice.send()
        self.assertEqual(self.bob.receive(lost[0]), lost[1])

    def test_a_repeated_message_is_refused_everywhere(self) -> None:
        first, skipped, third = (self.alice.send()[0] for _ in range(3))
        for header in (first, third, skipped):
            self.bob.receive(header)
        for header in (first, skipped, third):
            self.assertRaises(OpenFailed, self.bob.receive, header)
        self.alice.receive(self.bob.send()[0])
        self.bob.receive(self.alice.send()[0])
        for header in (first, skipped, third):
            self.assertRaises(OpenFailed, self.bob.receive, header)

    def test_a_failed_step_changes_nothing(self) -> None:
        header, key = self.alice.send()
        self.bob.receive(self.alice.send()[0])
        before = self.bob.state
        for wrong in (Header(header.ratchet_key, 0, 1), Header(b"\xff" * 32, 0, 0), Header(bytes(32), 0, 0)):
            self.assertRaises(OpenFailed, self.bob.receive, wrong)
        self.assertIs(self.bob.state, before)
        self.assertEqual(self.bob.receive(header), key)


class SkipLimits(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = sides()

    def test_a_gap_of_2000_and_not_one_more(self) -> None:
        header = self.alice.send()[0]
        state, _ = self.bob.state.receive(header._replace(number=2000), NOW)
        self.assertEqual(len(state.receiving.skipped), 2000)
        self.assertRaises(OpenFailed, self.bob.receive, header._replace(number=2001))

    def test_the_same_within_a_chain(self) -> None:
        header = self.alice.send()[0]
        self.bob.receive(header)
        self.bob.state.receive(header._replace(number=2001), NOW)
        self.assertRaises(OpenFailed, self.bob.receive, header._replace(number=2002))

    def test_both_gaps_are_counted_together(self) -> None:
        self.bob.receive(self.alice.send()[0])
        self.alice.receive(self.bob.send()[0])
        header = self.alice.send()[0]
        for previous, number in ((2001, 0), (1001, 1000), (1, 2000), (0, 2000)):
            self.bob.state.receive(header._replace(previous=previous, number=number), NOW)
        for previous, number in ((2002, 0), (1001, 1001), (1, 2001), (2001, 1), (2**31 - 1, 2**31 - 1)):
            self.assertRaises(
                OpenFailed, self.bob.receive, header._replace(previous=previous, number=number)
            )

    def test_2000_are_stored_and_the_oldest_go_first(self) -> None:
        sent = [self.alice.send() for _ in range(2003)]
        self.bob.receive(sent[1][0])
        self.bob.receive(sent[2002][0])
        self.assertEqual(len(self.bob.state.receiving.skipped), 2000)
        self.assertRaises(OpenFailed, self.bob.receive, sent[0][0])
        self.assertEqual(self.bob.receive(sent[2][0]), sent[2][1])

    def test_31_days_and_not_a_millisecond_more(self) -> None:
        early, late = self.alice.send(), self.alice.send()
        self.bob.receive(late[0])
        limit = NOW + limits.SKIPPED_MS
        self.assertEqual(self.bob.state.receive(early[0], limit)[1], early[1])
        self.assertRaises(OpenFailed, self.bob.receive, early[0], limit + 1)

    def test_old_ones_are_forgotten(self) -> None:
        self.alice.send()
        self.bob.receive(self.alice.send()[0])
        self.assertEqual(len(self.bob.state.forgetting_old(NOW + limits.SKIPPED_MS).receiving.skipped), 1)
        forgotten = self.bob.state.forgetting_old(NOW + limits.SKIPPED_MS + 1)
        self.assertEqual(len(forgotten.receiving.skipped), 0)


class BeforeComputation(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = sides()
        self.bob.receive(self.alice.send()[0])
        self.answer = self.bob.send()[0]
        self.alice.receive(self.answer)
        self.bob.receive(self.alice.send()[0])
        self.bob.send()

    def refused_cheaply(self, side: Side, header: Header) -> None:
        def never(*_: object) -> NoReturn:
            raise AssertionError("computed before it was refused")

        patches = [self.patch(ratchet, name, never) for name in ("root_step", "skip")]
        patches.append(self.patch(RatchetSecretKey, "exchange", never))
        self.assertRaises(OpenFailed, side.receive, header)
        for patch in patches:
            patch.restore()

    def test_an_own_ratchet_key(self) -> None:
        self.refused_cheaply(self.bob, Header(self.bob.state.sending.public, 0, 5))

    def test_a_retired_ratchet_key(self) -> None:
        for retired in self.bob.state.receiving.retired:
            self.refused_cheaply(self.bob, Header(retired, 0, 5))
        self.assertEqual(len(self.bob.state.receiving.retired), 1)

    def test_the_signed_prekey_as_their_ratchet_key(self) -> None:
        alice, _ = sides()
        theirs = alice.state.receiving.theirs
        assert theirs is not None
        self.refused_cheaply(alice, Header(theirs.raw, 0, 0))

    def test_numbers_from_2_to_31(self) -> None:
        key = RatchetSecretKey.generate(SeededEntropy("new")).public.raw
        self.refused_cheaply(self.bob, Header(key, 0, 2**31))
        self.refused_cheaply(self.bob, Header(key, 2**31, 0))
        header = self.alice.send()[0]
        self.refused_cheaply(self.bob, header._replace(previous=2**31))
        self.bob.receive(header)

    def test_a_gap_that_is_too_wide(self) -> None:
        key = RatchetSecretKey.generate(SeededEntropy("new")).public.raw
        self.refused_cheaply(self.bob, Header(key, 0, 2001))

    def test_keys_that_are_not_canonical_or_of_low_order(self) -> None:
        for raw in (b"\xff" * 32, (2**255 - 19 + 9).to_bytes(32, "little"), bytes(32), b"", b"\x09" * 31):
            self.refused_cheaply(self.bob, Header(raw, 0, 0))

    def test_a_new_key_while_they_have_not_seen_ours(self) -> None:
        self.alice.receive(self.bob.send()[0])
        key = RatchetSecretKey.generate(SeededEntropy("new")).public.raw
        self.refused_cheaply(self.alice, Header(key, 0, 0))

    def test_a_bounded_number_of_retired_keys_is_remembered(self) -> None:
        for _ in range(limits.RETIRED_RATCHET_KEYS + 5):
            self.alice.receive(self.bob.send()[0])
            self.bob.receive(self.alice.send()[0])
        self.assertEqual(len(self.bob.state.receiving.retired), limits.RETIRED_RATCHET_KEYS)


class Model(SynchronousTestCase):
    """A network that loses, reorders and repeats; states that go through the vault at any time."""

    def test_whatever_arrives_once_has_the_right_key_and_nothing_else_has_one(self) -> None:
        for seed in range(6):
            self.run_model(random.Random(seed))

    def run_model(self, chance: random.Random) -> None:
        both = dict(zip("ab", sides(str(chance.random())), strict=True))
        waiting: dict[str, list[Sent]] = {"a": [], "b": []}
        opened: set[Header] = set()
        can_send = {"a"}
        for _ in range(600):
            who = chance.choice("ab")
            if chance.random() < 0.5 and who in can_send:
                waiting["b" if who == "a" else "a"].append(both[who].send())
            elif waiting[who]:
                header, key = waiting[who][chance.randrange(len(waiting[who]))]
                self.check(both[who], header, key, opened)
                can_send.add(who)
                if chance.random() < 0.6:
                    waiting[who].remove((header, key))
            if chance.random() < 0.1:
                both[who].state = _through_the_vault(both[who].state)
        self.assertGreater(len(opened), 100)

    def check(self, side: Side, header: Header, key: bytes, opened: set[Header]) -> None:
        if header in opened:
            self.assertRaises(OpenFailed, side.receive, header)
        else:
            self.assertEqual(side.receive(header), key)
            opened.add(header)


class Vault(SynchronousTestCase):
    def states(self) -> list[Ratchet]:
        """One of every shape: fresh, one-sided, with skipped keys, waiting for its turn."""
        alice, bob = sides()
        found = [alice.state, bob.state]
        for _ in range(3):
            alice.send()
        bob.receive(alice.send()[0])
        found.append(bob.state)
        alice.receive(bob.send()[0])
        alice.send()
        bob.receive(alice.send()[0])
        return [*found, alice.state, bob.state]

    def test_every_state_comes_back(self) -> None:
        for state in self.states():
            self.assertEqual(_through_the_vault(state), state)

    def test_other_bytes_are_refused(self) -> None:
        for state in self.states():
            for changed in resized(encode_ratchet(state)):
                self.assertRaises(EncodingRefused, _decoded, changed)

    def test_what_cannot_be_is_refused(self) -> None:
        state = self.states()[-1]
        many = state.receiving._replace(retired=(b"k" * 32,) * (limits.RETIRED_RATCHET_KEYS + 1))
        keyless = state.receiving._replace(theirs=None)
        for receiving in (many, keyless):
            encoded = encode_ratchet(state._replace(receiving=receiving))
            self.assertRaises(EncodingRefused, _decoded, encoded)

    def test_no_repr_shows_a_secret(self) -> None:
        for state in self.states():
            secrets = [state.root_key]
            secrets += [chain.key for chain in (state.sending.chain, state.receiving.chain) if chain]
            secrets += [state.sending.own.raw] if state.sending.own else []
            for secret in secrets:
                self.assertNotIn(repr(secret)[2:-1], repr(state))


def _decoded(encoded: bytes) -> Ratchet:
    reader = FieldReader(encoded)
    state = read_ratchet(reader)
    reader.end()
    return state


def _through_the_vault(state: Ratchet) -> Ratchet:
    return _decoded(encode_ratchet(state))
