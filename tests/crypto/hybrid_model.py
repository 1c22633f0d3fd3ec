"""A network between two people whose sessions have hybrid chains, driven by a seed.

It loses, delays, reorders, repeats and changes envelopes; some networks lose every message that carries
an offer, or the first ones of each answering chain. What was made once must be opened once, with its
own content, and nothing else may be opened or change a state.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from e2ee.crypto.envelope import Envelope, decode_envelope, encode_head
from e2ee.crypto.extension import ANSWER, OFFER, Extension
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.session import Session, accept_session
from e2ee.errors import OpenFailed
from tests.crypto.people import ALICE, BOB, NOW, Person, begun, person

MESSAGES = 400
"""Of one network: far fewer than skipped keys are kept."""
HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True)
class Weather:
    """Parts of 1: how much is lost; of offers; of the first messages of answering chains."""

    lost: float = 0.05
    offers_lost: float = 0.05
    first_answers_lost: float = 0.05
    out_of_order: float = 0.3
    attacked: float = 0.4


WEATHERS = [
    Weather(lost=0.0, offers_lost=0.0, first_answers_lost=0.0, out_of_order=0.0, attacked=0.0),
    Weather(),
    Weather(lost=0.4, out_of_order=0.7),
    Weather(offers_lost=0.9),
    Weather(first_answers_lost=0.9),
    Weather(lost=0.2, offers_lost=0.7, first_answers_lost=0.7, out_of_order=0.8, attacked=1.0),
]


class Disagreement(AssertionError):
    """The two sides do not agree, or something was opened that must not be."""


class Network:
    """Two sides and what is under way between them. `counts` tells what has happened."""

    def __init__(self, seed: int, weather: Weather, people: tuple[Person, Person] | None = None) -> None:
        self._random = random.Random(seed)
        self._weather = weather
        self._people = people or (person(ALICE), person(BOB))
        self._now = NOW
        self._sessions: list[Session | None] = [begun(*self._people), None]
        self._under_way: list[list[tuple[bytes, bytes]]] = [[], []]
        self._opened: list[list[bytes]] = [[], []]
        self._extensions: list[Extension] = []
        self.counts: Counter[str] = Counter()

    def run(self, messages: int = MESSAGES) -> None:
        """Bursts in both directions, then everything that was not lost is delivered; Disagreement."""
        while self.counts["made"] < messages:
            side = self._random.randrange(2)
            session = self._sessions[side]
            if session is not None and (session.initiator or session.opened_any):
                self._burst(side)
            self._deliver(1 - side, self._random.randrange(12))
            self._now += self._random.choice((0, 1, 1000, HOUR_MS // 4, HOUR_MS))
        for side in (0, 1, 0, 1):
            self._deliver(side, len(self._under_way[side]))
        self._agree_at_the_end()

    # --- sending ------------------------------------------------------------------------------

    def _burst(self, sender: int) -> None:
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 5, 12, 25))):
            content = b"%d of %d" % (self.counts["made"], sender)
            session = self._session(sender)
            entropy = self._people[sender].entropy
            session, envelope = session.seal(content, self._now, entropy, encapsulate)
            self._sessions[sender] = self._perhaps_through_the_vault(session)
            self.counts["made"] += 1
            if not self._is_lost(decode_envelope(envelope)):
                self._under_way[1 - sender].append((envelope, content))

    def _is_lost(self, parts: Envelope) -> bool:
        chance, what = self._weather.lost, "lost"
        if parts.extension is not None:
            self._extensions = [*self._extensions[-5:], parts.extension]
            if parts.extension.kind == OFFER:
                chance, what = self._weather.offers_lost, "offers lost"
            elif parts.number < 3:
                chance, what = self._weather.first_answers_lost, "first answers lost"
            self.counts["offers" if parts.extension.kind == OFFER else "answers"] += 1
        lost = self._random.random() < chance
        self.counts[what] += lost
        return lost

    # --- receiving ----------------------------------------------------------------------------

    def _deliver(self, recipient: int, count: int) -> None:
        waiting = self._under_way[recipient]
        for _ in range(min(count, len(waiting))):
            jumps = self._random.random() < self._weather.out_of_order
            envelope, content = waiting.pop(self._random.randrange(len(waiting)) if jumps else 0)
            if self._random.random() < self._weather.attacked:
                self._attack(recipient, envelope)
            if self._open(recipient, envelope) != content:
                raise Disagreement("another content than was sealed")
            self._opened[recipient].append(envelope)
            self.counts["opened"] += 1
            self._compare(recipient)

    def _open(self, recipient: int, envelope: bytes) -> bytes:
        session = self._sessions[recipient]
        if session is None:
            bob = self._people[recipient]
            session, content = accept_session(bob.own, envelope, bob.secrets, self._now)
        else:
            since = session.ratchet.since
            session, content = session.open(envelope, self._now)
            parts = decode_envelope(envelope)
            if session.ratchet.since != since:
                self.counts["steps"] += 1
                self.counts["steps by a later message"] += parts.number > 0
        self._sessions[recipient] = self._perhaps_through_the_vault(session)
        return content

    def _compare(self, recipient: int) -> None:
        """Both have the same root where the recipient has all turns of the sender."""
        theirs, ours = self._session(recipient).ratchet, self._session(1 - recipient).ratchet
        newest = theirs.receiving.theirs
        in_step = newest is not None and newest.raw == ours.sending.public and theirs.sending.chain is None
        if in_step and ours.sending.chain is not None:
            self.counts["compared"] += 1
            if theirs.root_key != ours.root_key:
                raise Disagreement("two root keys")

    # --- attacks ------------------------------------------------------------------------------

    def _attack(self, recipient: int, genuine: bytes) -> None:
        kind = self._random.choice(("bit", "bit", "head", "repeat", "extension"))
        attempt = genuine
        if kind == "repeat" and self._opened[recipient]:
            attempt = self._random.choice(self._opened[recipient])
        elif kind == "extension":
            attempt = self._with_another_extension(genuine)
        if attempt == genuine:
            attempt = self._with_a_bit_changed(genuine, 52 if kind == "head" else len(genuine))
        session = self._sessions[recipient]
        before = None if session is None else session.encode()
        try:
            self._open(recipient, attempt)
        except OpenFailed:
            session = self._sessions[recipient]
            if (None if session is None else session.encode()) != before:
                raise Disagreement("a refused envelope changed a state") from None
            self.counts["refused"] += 1
        else:
            raise Disagreement(f"opened after an attack: {kind}")

    def _with_a_bit_changed(self, envelope: bytes, limit: int) -> bytes:
        at, bit = self._random.randrange(limit), 1 << self._random.randrange(8)
        return envelope[:at] + bytes((envelope[at] ^ bit,)) + envelope[at + 1 :]

    def _with_another_extension(self, envelope: bytes) -> bytes:
        """Without its extension, or with one of another message."""
        parts = decode_envelope(envelope)
        others = [None, *self._extensions]
        other = self._random.choice(others)
        place = parts.session_id, parts.ratchet_key, parts.previous, parts.number
        return encode_head(*place, other, parts.handshake) + parts.iv + parts.ciphertext + parts.tag

    # --- both sides ---------------------------------------------------------------------------

    def _session(self, side: int) -> Session:
        session = self._sessions[side]
        if session is None:
            raise Disagreement("a session that has not begun")
        return session

    def _perhaps_through_the_vault(self, session: Session) -> Session:
        if self._random.random() < 0.2:
            return Session.decode(session.encode())
        return session

    def _agree_at_the_end(self) -> None:
        """A few undisturbed turns: both still understand each other, and take a step more."""
        calm = Weather(0.0, 0.0, 0.0, 0.0, 0.0)
        self._weather = calm
        steps, self._now = self.counts["steps"], self._now + 24 * HOUR_MS
        if self._sessions[1] is None:
            self._burst(0)
            self._deliver(1, len(self._under_way[1]))
        for side in (1, 0, 1, 0, 1):
            self._burst(side)
            self._deliver(1 - side, len(self._under_way[1 - side]))
        if self.counts["steps"] == steps:
            raise Disagreement("no post-quantum step in a calm network")


__all__ = ["ANSWER", "MESSAGES", "WEATHERS", "Disagreement", "Network", "Weather"]
