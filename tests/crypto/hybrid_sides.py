"""Two ends of a ratchet with hybrid chains, for tests."""

from __future__ import annotations

from e2ee.crypto.extension import ANSWER, OFFER
from e2ee.crypto.kem import Encapsulate, encapsulate
from e2ee.crypto.ratchet import Header, Ratchet
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from tests.crypto.people import NOW, SeededEntropy

Sent = tuple[Header, bytes]


class Side:
    """One end, with a state and a clock; `receive` keeps the state, as after a right MAC."""

    def __init__(
        self, state: Ratchet, entropy: SeededEntropy, encapsulate: Encapsulate = encapsulate
    ) -> None:
        self.state = state
        self.entropy = entropy
        self.encapsulate = encapsulate
        self.now = NOW

    def send(self) -> Sent:
        self.state, header, key = self.state.send(self.now, self.entropy, self.encapsulate)
        return header, key

    def receive(self, header: Header) -> bytes:
        self.state, key = self.state.receive(header, self.now)
        return key


def hybrid_sides(seed: str = "hybrid", *, due: bool = False) -> tuple[Side, Side]:
    """Initiator and recipient with a common secret; nothing sent yet. `due`: as after RSA."""
    entropy = SeededEntropy(seed)
    prekey = RatchetSecretKey.generate(entropy)
    secret = entropy(32)
    offer = RatchetKemSecretKey.generate(entropy) if due else None
    begin = Ratchet.begin(secret, prekey.public, RatchetSecretKey.generate(entropy))
    wait = Ratchet.wait(secret, prekey)
    return (
        Side(begin.made_hybrid(NOW, due=due, offer=offer), SeededEntropy(seed + "i")),
        Side(wait.made_hybrid(NOW, due=due), SeededEntropy(seed + "r")),
    )


def kind(header: Header) -> int | None:
    """OFFER, ANSWER or None."""
    return None if header.extension is None else header.extension.kind


__all__ = ["ANSWER", "OFFER", "Sent", "Side", "hybrid_sides", "kind"]
