"""Our ratchet against an independent one: the same keys and IVs give the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.ratchet import Ratchet
from e2ee.crypto.secret_keys import RatchetSecretKey
from e2ee.crypto.session import Session
from e2ee.errors import OpenFailed
from tests.crypto.independent import Beginning, Refused, Seeds, Theirs
from tests.crypto.people import NOW, SeededEntropy

CONVERSATIONS = 150
STEPS = 12
IV_BYTES = 16


class Side(Protocol):
    """One side of a session, of either implementation."""

    def seal(self, content: bytes) -> bytes:
        """The next envelope."""

    def open(self, envelope: bytes) -> bytes:
        """The content, or Refused."""


class Ours:
    """One side of a session of `e2ee.crypto`, its handshake already done."""

    def __init__(self, beginning: Beginning, initiator: bool, seeds: Seeds) -> None:
        self._seeds = seeds
        prekey = RatchetSecretKey(beginning.prekey_secret)
        if initiator:
            own = RatchetSecretKey.generate(self._entropy)
            ratchet = Ratchet.begin(beginning.secret, RatchetKey(beginning.prekey), own)
        else:
            ratchet = Ratchet.wait(beginning.secret, prekey)
        self._session = Session(
            session_id=beginning.session_id,
            initiator=initiator,
            associated=beginning.associated,
            their_statement=b"",
            own_generation=NOW,
            handshake=beginning.handshake if initiator else None,
            opened_any=False,
            unanswered_since=None,
            ratchet=ratchet,
        )

    def seal(self, content: bytes) -> bytes:
        self._session, envelope = self._session.seal(content, NOW, self._entropy, encapsulate)
        return envelope

    def open(self, envelope: bytes) -> bytes:
        before = self._session.encode()
        try:
            self._session, content = self._session.open(envelope, NOW)
        except OpenFailed:
            if self._session.encode() != before:
                raise AssertionError("a refused envelope changed the session") from None
            raise Refused from None
        return content

    def _entropy(self, size: int) -> bytes:
        return self._seeds.iv() if size == IV_BYTES else self._seeds.key()


class Pairing(NamedTuple):
    """Who begins, and who answers."""

    initiator: Callable[[Beginning, bool, Seeds], Side]
    recipient: Callable[[Beginning, bool, Seeds], Side]


PAIRINGS = [Pairing(Ours, Ours), Pairing(Ours, Theirs), Pairing(Theirs, Ours), Pairing(Theirs, Theirs)]


def beginning(seed: str) -> Beginning:
    """What a handshake would have left on both sides."""
    entropy = SeededEntropy(seed)
    prekey = RatchetSecretKey.generate(entropy)
    return Beginning(
        secret=entropy(32),
        session_id=entropy(8),
        associated=entropy(107),
        handshake=entropy(60),
        prekey_secret=prekey.raw,
        prekey=prekey.public.raw,
    )


class Network:
    """Two sides and what is under way between them; what happens is decided by a seed alone.

    `record` has every envelope that was made and every content that was opened, in order.
    """

    def __init__(self, seed: str, pairing: Pairing, *, hostile: bool) -> None:
        begin = beginning(seed)
        self._sides = [
            pairing.initiator(begin, True, Seeds(seed + "initiator")),
            pairing.recipient(begin, False, Seeds(seed + "recipient")),
        ]
        self._random = random.Random(seed)
        self._hostile = hostile
        self._under_way: list[list[bytes]] = [[], []]
        self._opened: list[list[bytes]] = [[], []]
        self._may_send = [True, False]
        self.record: list[tuple[str, int, bytes]] = []
        self.refused = 0

    def run(self) -> None:
        """Bursts in both directions, then everything that was not lost is delivered."""
        for _ in range(STEPS):
            side = self._random.randrange(2)
            if self._may_send[side]:
                self._burst(side)
            self._deliver(1 - side, self._random.randrange(5))
        for side in (0, 1):
            self._deliver(side, len(self._under_way[side]))

    def _burst(self, sender: int) -> None:
        for _ in range(self._random.choice((1, 1, 1, 1, 2, 3, 7, 20))):
            content = self._random.randbytes(self._random.choice((1, 40, 255, 256, 700, 5000)))
            envelope = self._sides[sender].seal(content)
            self.record.append(("made", sender, envelope))
            if self._random.random() < 0.9:
                self._under_way[1 - sender].append(envelope)

    def _deliver(self, recipient: int, count: int) -> None:
        waiting = self._under_way[recipient]
        for _ in range(min(count, len(waiting))):
            out_of_order = self._random.random() < 0.4
            envelope = waiting.pop(self._random.randrange(len(waiting)) if out_of_order else 0)
            if self._hostile:
                self._attack(recipient, envelope)
            self.record.append(("opened", recipient, self._sides[recipient].open(envelope)))
            self._opened[recipient].append(envelope)
            self._may_send[recipient] = True

    def _attack(self, recipient: int, genuine: bytes) -> None:
        """First a changed copy, or one that was opened before."""
        attempt = self._changed(genuine)
        if self._opened[recipient] and self._random.random() < 0.3:
            attempt = self._random.choice(self._opened[recipient])
        try:
            self._sides[recipient].open(attempt)
        except Refused:
            self.refused += 1
        else:
            raise AssertionError("a changed or repeated envelope was opened")

    def _changed(self, envelope: bytes) -> bytes:
        """One bit turned over: half of the time in the head, where the ratchet reads."""
        at = self._random.randrange(52 if self._random.random() < 0.5 else len(envelope))
        bit = 1 << self._random.randrange(8)
        return envelope[:at] + bytes([envelope[at] ^ bit]) + envelope[at + 1 :]


def networks(kind: str, count: int, *, hostile: bool) -> Iterator[list[Network]]:
    """The same conversation in all four pairings, for many seeds."""
    for number in range(count):
        yield [Network(f"{kind} {number}", pairing, hostile=hostile) for pairing in PAIRINGS]


class IndependentRatchet(SynchronousTestCase):
    def test_all_pairings_make_the_same_bytes_with_bursts_loss_and_reordering(self) -> None:
        turns = 0
        for conversation in networks("peaceful", CONVERSATIONS, hostile=False):
            for network in conversation:
                network.run()
                self.assertEqual(network.record, conversation[0].record)
            turns += len({envelope[10:42] for what, _, envelope in conversation[0].record if what == "made"})
        self.assertGreater(turns, 3 * CONVERSATIONS, "the conversations go to and fro")

    def test_they_converse_under_tampering_and_replay(self) -> None:
        refused = 0
        for conversation in networks("hostile", CONVERSATIONS // 3, hostile=True):
            for network in conversation:
                network.run()
                self.assertEqual(network.record, conversation[0].record)
                self.assertEqual(network.refused, conversation[0].refused)
            refused += conversation[0].refused
        self.assertGreater(refused, CONVERSATIONS)
