"""Every bit, every tag length, every swap: refused with the one error, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits
from e2ee.crypto.envelope import decode_envelope
from e2ee.crypto.extension import ANSWER, OFFER
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.own_device import create_device
from e2ee.crypto.secret_keys import RatchetSecretKey
from e2ee.crypto.session import Session, accept_session, peek
from e2ee.errors import OpenFailed
from e2ee.ids import DeviceId
from tests.crypto.people import ALICE, BOB, MALLORY, NOW, Person, SeededEntropy, begun, established, person

TAG_BYTES = 32
RATCHET_KEY = slice(10, 42)
FIELD = 2**255 - 19
BAD_CURVE_KEYS = [
    *(number.to_bytes(32, "little") for number in (0, 1, FIELD - 1, FIELD, FIELD + 1, FIELD + 9, 2**255 - 1)),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (9 + 2**255).to_bytes(32, "little"),
]
"""Of low order (RFC 7748, section 6.1, and curve25519's authors), or not canonical."""


def bits(original: bytes) -> Iterator[bytes]:
    """The original with each of its bits turned over."""
    for bit in range(8 * len(original)):
        changed = bytearray(original)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def tags(original: bytes) -> Iterator[bytes]:
    """With a tag of every other length up to twice its own: cut, or longer."""
    body, tag = original[:-TAG_BYTES], original[-TAG_BYTES:]
    for size in range(TAG_BYTES):
        yield body + tag[:size]
    for size in range(1, TAG_BYTES + 1):
        yield original + tag[:size]
        yield original + bytes(size)


def cut(original: bytes) -> Iterator[bytes]:
    """Cut at every place, from both ends; a block less or more inside."""
    for size in range(len(original)):
        yield original[:size]
        if size:
            yield original[size:]
    body, tag = original[:-TAG_BYTES], original[-TAG_BYTES:]
    yield body[:-16] + tag
    yield body + body[-16:] + tag
    yield body + bytes(16) + tag


class Matrix(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice, self.bob = person(ALICE), person(BOB)

    def seal(self, session: Session, sender: Person, content: bytes = b"genuine") -> tuple[Session, bytes]:
        return session.seal(content, NOW, sender.entropy, encapsulate)

    def refused_by(self, session: Session, genuine: bytes, attempts: Iterable[bytes]) -> int:
        """Every attempt is refused, the state is the same to the byte, and the genuine message opens."""
        before, count = session.encode(), 0
        for attempt in attempts:
            self.assertRaises(OpenFailed, session.open, attempt, NOW)
            count += 1
        self.assertEqual(session.encode(), before)
        session.open(genuine, NOW)
        return count

    def refused_at_first(self, genuine: bytes, attempts: Iterable[bytes]) -> int:
        """The same of a recipient who has no session yet. His keys are frozen values: none is used up."""
        secrets = self.bob.secrets
        parts = [part for part in (secrets.signed, secrets.kem, secrets.one_time) if part is not None]
        before, count = [part.encode() for part in parts], 0
        for attempt in attempts:
            self.assertRaises(OpenFailed, accept_session, self.bob.own, attempt, self.bob.secrets, NOW)
            count += 1
        self.assertEqual([part.encode() for part in parts], before)
        _, content = accept_session(self.bob.own, genuine, self.bob.secrets, NOW)
        self.assertEqual(content, b"genuine")
        return count


class EveryBit(Matrix):
    def test_of_a_first_envelope(self) -> None:
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        self.assertEqual(self.refused_at_first(first, bits(first)), 8 * len(first))

    def test_of_a_second_one_with_the_same_handshake(self) -> None:
        ours, first = self.seal(begun(self.alice, self.bob), self.alice)
        _, second = self.seal(ours, self.alice)
        theirs, _ = accept_session(self.bob.own, first, self.bob.secrets, NOW)
        self.refused_by(theirs, second, bits(second))

    def test_of_a_later_envelope_that_begins_a_chain_and_of_one_within_it(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        ours, turn = self.seal(ours, self.alice)
        _, within = self.seal(ours, self.alice)
        self.assertEqual(self.refused_by(theirs, turn, bits(turn)), 8 * len(turn))
        theirs, _ = theirs.open(turn, NOW)
        self.refused_by(theirs, within, bits(within))

    def test_of_a_late_one_whose_key_was_kept(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        ours, late = self.seal(ours, self.alice)
        _, early = self.seal(ours, self.alice)
        theirs, _ = theirs.open(early, NOW)
        self.refused_by(theirs, late, bits(late))

    def test_of_an_offer_and_of_its_answer(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        later = NOW + limits.DAY_MS
        ours, offer = ours.seal(b"genuine", later, self.alice.entropy, encapsulate)
        self.assertEqual(kind(offer), OFFER)
        self.refused_by(theirs, offer, bits(offer))
        theirs, _ = theirs.open(offer, NOW)
        _, answer = self.seal(theirs, self.bob)
        self.assertEqual(kind(answer), ANSWER)
        self.refused_by(ours, answer, bits(answer))


class EveryLength(Matrix):
    def test_of_the_tag_and_of_the_whole_in_a_first_envelope(self) -> None:
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        self.refused_at_first(first, tags(first))
        self.refused_at_first(first, cut(first))

    def test_of_the_tag_and_of_the_whole_in_a_later_envelope(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        _, envelope = self.seal(ours, self.alice)
        self.refused_by(theirs, envelope, tags(envelope))
        self.refused_by(theirs, envelope, cut(envelope))

    def test_an_empty_one(self) -> None:
        _, theirs = established(self.alice, self.bob)
        self.assertRaises(OpenFailed, theirs.open, b"", NOW)


class Swapped(Matrix):
    """A genuine envelope in a place that it was not made for."""

    def test_between_people(self) -> None:
        mallory = person(MALLORY)
        ours, theirs = established(self.alice, self.bob)
        hers, at_mallory = established(self.alice, mallory)
        _, for_bob = self.seal(ours, self.alice)
        _, for_mallory = self.seal(hers, self.alice)
        for session, genuine, other in ((theirs, for_bob, for_mallory), (at_mallory, for_mallory, for_bob)):
            renamed = other[:2] + session.session_id + other[10:]
            self.refused_by(session, genuine, [other, renamed])

    def test_between_devices_of_one_account(self) -> None:
        """Another device with all the same keys: its id is in transcript and associated data."""
        statement = replace(self.bob.own.statement, device=DeviceId(b"another!"))
        twin = replace(self.bob.own, statement=statement)
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        self.assertRaises(OpenFailed, accept_session, twin, first, self.bob.secrets, NOW)
        ours, theirs = established(self.alice, self.bob)
        _, envelope = self.seal(ours, self.alice)
        other = theirs.associated.replace(self.bob.own.device, b"another!")
        self.assertRaises(OpenFailed, theirs._replace(associated=other).open, envelope, NOW)
        theirs.open(envelope, NOW)

    def test_between_directions(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        sent, from_alice = self.seal(ours, self.alice)
        answered, from_bob = self.seal(theirs, self.bob)
        self.assertRaises(OpenFailed, sent.open, from_alice, NOW)
        self.assertRaises(OpenFailed, answered.open, from_bob, NOW)
        turned = theirs._replace(initiator=True)
        self.assertRaises(OpenFailed, turned.open, from_alice, NOW)
        self.refused_by(theirs, from_alice, [from_bob])

    def test_between_messages(self) -> None:
        """Head, IV, ciphertext and tag of two messages of one chain, in every mixture."""
        ours, theirs = established(self.alice, self.bob)
        ours, one = self.seal(ours, self.alice)
        _, other = self.seal(ours, self.alice)
        cuts = [0, 52, 68, len(one) - TAG_BYTES, len(one)]
        pieces = [(one[a:b], other[a:b]) for a, b in pairwise(cuts)]
        mixtures = [
            b"".join(piece[mask >> number & 1] for number, piece in enumerate(pieces)) for mask in range(16)
        ]
        self.assertEqual((mixtures[0], mixtures[15]), (one, other))
        self.refused_by(theirs, one, mixtures[1:15])

    def test_between_handshakes(self) -> None:
        """The handshake of one session before the rest of another."""
        _, one = self.seal(begun(self.alice, self.bob), self.alice)
        _, other = self.seal(begun(self.alice, self.bob), self.alice)
        end = 54 + int.from_bytes(one[52:54], "big")
        self.assertEqual(len(one), len(other))
        mixed = [one[:52] + other[52:end] + one[end:], other[:52] + one[52:end] + other[end:]]
        mixed += [one[:end] + other[end:], one[:10] + other[10:52] + one[52:]]
        self.refused_at_first(one, mixed)


class Keys(Matrix):
    """Every public key of an envelope in turn replaced by one that is bad, another's, or an older one."""

    def others(self) -> list[bytes]:
        return [person(MALLORY).own.statement.device_key.raw, self.bob.secrets.signed.secret.public.raw]

    def test_the_ratchet_key_of_a_first_envelope(self) -> None:
        _, older = self.seal(begun(self.alice, self.bob), self.alice)
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        wrong = [*BAD_CURVE_KEYS, *self.others(), older[RATCHET_KEY]]
        self.refused_at_first(first, [first[:10] + raw + first[42:] for raw in wrong])

    def test_the_ratchet_key_of_a_later_envelope(self) -> None:
        ours, theirs = established(self.alice, self.bob)
        ours, earlier = self.seal(ours, self.alice)
        theirs, _ = theirs.open(earlier, NOW)
        theirs, answer = self.seal(theirs, self.bob)
        ours, _ = ours.open(answer, NOW)
        _, envelope = self.seal(ours, self.alice)
        wrong = [*BAD_CURVE_KEYS, *self.others(), earlier[RATCHET_KEY], answer[RATCHET_KEY]]
        self.refused_by(theirs, envelope, [envelope[:10] + raw + envelope[42:] for raw in wrong])

    def test_the_ephemeral_key_of_a_handshake(self) -> None:
        _, older = self.seal(begun(self.alice, self.bob), self.alice)
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        own, before = ephemeral(first), ephemeral(older)
        wrong = [*BAD_CURVE_KEYS, *self.others(), before, self.alice.own.statement.device_key.raw]
        self.refused_at_first(first, [first.replace(own, raw) for raw in wrong])

    def test_the_statement_of_a_handshake(self) -> None:
        """Another's, an older one of the same account, and one of another account key for the number."""
        _, first = self.seal(begun(self.alice, self.bob), self.alice)
        own = self.alice.own.signed_statement
        older = create_device(ALICE, NOW - 1, SeededEntropy("older")).signed_statement
        wrong = [older, self.bob.own.signed_statement, person(ALICE, "x").own.signed_statement]
        self.refused_at_first(first, [first.replace(own, other) for other in wrong])

    def test_a_ratchet_key_with_its_own_private_half_is_no_turn_of_the_other_side(self) -> None:
        """Somebody who makes a key, but has no root key."""
        ours, theirs = established(self.alice, self.bob)
        _, genuine = self.seal(ours, self.alice)
        forged = RatchetSecretKey.generate(SeededEntropy("forged"))
        self.assertIsInstance(forged.public, RatchetKey)
        attempt = genuine[:10] + forged.public_raw() + genuine[42:]
        self.refused_by(theirs, genuine, [attempt])


def kind(envelope: bytes) -> int | None:
    extension = decode_envelope(envelope).extension
    return None if extension is None else extension.kind


def ephemeral(envelope: bytes) -> bytes:
    handshake = peek(envelope).handshake
    assert handshake is not None
    return handshake.ephemeral_key.raw


