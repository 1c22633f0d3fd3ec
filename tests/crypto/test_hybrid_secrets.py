"""What an eavesdropper opens who has recorded everything, and gets some of the secrets later.

He has a state that leaked before an answer: root key and chain, as broken handshake keys or a stolen
vault give them. With all private X25519 keys of both sides (a quantum computer), or with all ML-KEM
keys (a broken ML-KEM), he opens nothing from the answer on; with both of them everything, so that these
tests could fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.chains import Chain, hybrid_root_step, root_step
from e2ee.crypto.envelope import Envelope, decode_envelope
from e2ee.crypto.extension import ANSWER, OFFER
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.sealing import open_sealed
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.crypto.session import Session, accept_session
from e2ee.errors import OpenFailed
from tests.crypto.people import ALICE, BOB, NOW, begun, person

TURNS = 40
MESSAGES = 4
"""In each turn."""
_UNKNOWN = bytes(32)


@dataclass
class Turn:
    """One sending chain: its envelopes, the state that it began with, and what was in it."""

    parts: list[Envelope]
    root_key: bytes
    chain: Chain

    @property
    def kind(self) -> int | None:
        extension = self.parts[0].extension
        return None if extension is None else extension.kind


@dataclass
class Recording:
    """Everything that went over the wire, and every secret that both sides ever had."""

    associated: bytes
    turns: list[Turn] = field(default_factory=list)
    curve_keys: dict[bytes, RatchetSecretKey] = field(default_factory=dict)
    kem_keys: dict[bytes, RatchetKemSecretKey] = field(default_factory=dict)

    def note(self, session: Session, envelopes: list[bytes]) -> None:
        """A turn, by the sender's state after its first message."""
        root_key, sending = session.ratchet.root_key, session.ratchet.sending
        assert sending.own is not None
        self.curve_keys[sending.public] = sending.own
        if sending.offer is not None:
            self.kem_keys[sending.offer.public_raw] = sending.offer
        assert sending.chain is not None
        self.turns.append(Turn([decode_envelope(each) for each in envelopes], root_key, sending.chain))


def recorded() -> Recording:
    """Alice and Bob take turns, Alice first."""
    people = person(ALICE), person(BOB)
    began = begun(*people)
    recording = Recording(began.associated)
    sides: list[Session | None] = [began, None]
    for turn in range(TURNS):
        who = turn % 2
        session, envelopes = sides[who], []
        assert session is not None
        first: Session | None = None
        for number in range(MESSAGES):
            session, envelope = session.seal(b"%d" % number, NOW, people[who].entropy, encapsulate)
            first = first or session
            envelopes.append(envelope)
        sides[who] = session
        for envelope in envelopes:
            other = sides[1 - who]
            if other is None:
                other, _ = accept_session(people[1].own, envelope, people[1].secrets, NOW)
            else:
                other, _ = other.open(envelope, NOW)
            sides[1 - who] = other
        assert first is not None
        recording.note(first, envelopes)
    return recording


class Eavesdropper:
    """Follows a recording from the state of one turn, as far as his secrets go."""

    def __init__(self, recording: Recording, *, curve: bool, kem: bool) -> None:
        self._recording = recording
        self._curve = recording.curve_keys if curve else {}
        self._kem = recording.kem_keys if kem else {}

    def opened(self, begin: int) -> list[int]:
        """The turns that he opens, from this one on, whose state leaked."""
        leaked = self._recording.turns[begin]
        root_key, found = leaked.root_key, []
        if self._opens(begin, leaked.chain, leaked.parts[1]):
            found.append(begin)
        for number in range(begin + 1, len(self._recording.turns)):
            turn = self._recording.turns[number]
            steps = self._steps(root_key, number)
            for candidate, chain in steps:
                if self._opens(number, chain, turn.parts[0]):
                    root_key = candidate
                    found.append(number)
                    break
            else:
                root_key = steps[0][0]
        return found

    def _steps(self, root_key: bytes, number: int) -> list[tuple[bytes, Chain]]:
        """What he can derive: with what he has, and with nothing in the place of what he has not."""
        before, turn = self._recording.turns[number - 1], self._recording.turns[number]
        agreed = _UNKNOWN
        if own := self._curve.get(turn.parts[0].ratchet_key):
            agreed = own.exchange(RatchetKey(before.parts[0].ratchet_key))
        steps = [root_step(root_key, agreed)]
        if turn.kind == ANSWER:
            offer, answer = before.parts[0].extension, turn.parts[0].extension
            assert offer is not None
            assert answer is not None
            secret = _UNKNOWN
            if key := self._kem.get(offer.value):
                secret = key.decapsulate(answer.value)
            steps.insert(0, hybrid_root_step(root_key, agreed, secret, offer.value, answer.value))
        return steps

    def _opens(self, number: int, chain: Chain, parts: Envelope) -> bool:
        key, _ = chain.step()
        associated = self._recording.associated + bytes([number % 2])
        try:
            open_sealed(key, parts.iv, associated, parts.covered, parts.ciphertext, parts.tag)
        except OpenFailed:
            return False
        return True


class RecordedTraffic(SynchronousTestCase):
    recording: Recording

    def setUp(self) -> None:
        self.recording = recorded()
        kinds = [turn.kind for turn in self.recording.turns]
        self.answers = [number for number, kind in enumerate(kinds) if kind == ANSWER]
        self.assertEqual([kinds[number - 1] for number in self.answers], [OFFER] * len(self.answers))
        self.assertGreaterEqual(len(self.answers), 2)
        self.assertEqual([kind for kind, _ in groupby(kinds)], [None, OFFER, ANSWER] * 2 + [None])

    def test_with_all_secrets_everything_is_opened(self) -> None:
        for begin in (0, self.answers[0] - 1, self.answers[0]):
            opened = Eavesdropper(self.recording, curve=True, kem=True).opened(begin)
            self.assertEqual(opened, list(range(begin, TURNS)))

    def test_with_all_x25519_keys_everything_before_the_answer_and_nothing_after(self) -> None:
        """After the handshake's keys leaked, and against a quantum computer."""
        opened = Eavesdropper(self.recording, curve=True, kem=False).opened(0)
        self.assertEqual(opened, list(range(self.answers[0])))

    def test_from_the_offering_state_x25519_alone_opens_nothing_of_the_answer(self) -> None:
        for answer in self.answers:
            opened = Eavesdropper(self.recording, curve=True, kem=False).opened(answer - 1)
            self.assertEqual(opened, [answer - 1])

    def test_from_the_offering_state_ml_kem_alone_opens_nothing_of_the_answer(self) -> None:
        for answer in self.answers:
            opened = Eavesdropper(self.recording, curve=False, kem=True).opened(answer - 1)
            self.assertEqual(opened, [answer - 1])

    def test_with_neither_nothing(self) -> None:
        opened = Eavesdropper(self.recording, curve=False, kem=False).opened(0)
        self.assertEqual(opened, [0])
