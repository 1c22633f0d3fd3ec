"""A recorded session: no byte of any format changes unnoticed, and what was kept stays readable."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.envelope import decode_envelope
from e2ee.crypto.extension import ANSWER, OFFER
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.prekey_secrets import KemPreKeySecret, OneTimePreKeySecret, PreKeySecrets, SignedPreKeySecret
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.session import Session, accept_session
from tests.crypto.frozen_session import LOST, Conversation, load, seeded
from tests.crypto.people import NOW


def replayed(drawn: list[str]) -> Entropy:
    """The recorded pieces, one for each draw."""
    pieces: Iterator[bytes] = map(bytes.fromhex, drawn)

    def draw(size: int) -> bytes:
        piece = next(pieces)
        assert len(piece) == size
        return piece

    return draw


class FrozenSession(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = load()
        self.kept = {name: bytes.fromhex(value) for name, value in self.file["kept"].items()}
        self.envelopes = [bytes.fromhex(each["envelope"]) for each in self.file["envelopes"]]
        self.contents = [bytes.fromhex(each["content"]) for each in self.file["envelopes"]]

    def test_the_same_entropy_and_encapsulation_give_the_same_bytes(self) -> None:
        encapsulated = iter([
            (bytes.fromhex(each["secret"]), bytes.fromhex(each["ciphertext"]))
            for each in self.file["encapsulations"]
        ])
        entropy = {name: replayed(drawn) for name, drawn in self.file["entropy"].items()}
        conversation = Conversation(entropy, lambda _: next(encapsulated))
        conversation.run()
        again = conversation.document()
        for part, value in again.items():
            self.assertEqual(value, self.file[part], part)
        self.assertEqual(set(again), set(self.file))

    def test_the_recorded_entropy_is_the_seeded_one(self) -> None:
        source = seeded()
        for name, drawn in self.file["entropy"].items():
            self.assertEqual([source[name](len(piece) // 2).hex() for piece in drawn], drawn)

    def test_what_was_kept_has_one_encoding(self) -> None:
        for name in ("alice's session", "bob's session"):
            self.assertEqual(Session.decode(self.kept[name]).encode(), self.kept[name])
        for name in ("alice's device", "bob's device"):
            self.assertEqual(OwnDevice.decode(self.kept[name]).encode(), self.kept[name])

    def test_the_kept_prekeys_open_the_first_message(self) -> None:
        secrets = PreKeySecrets(
            SignedPreKeySecret.decode(self.kept["bob's signed prekey"]),
            KemPreKeySecret.decode(self.kept["bob's KEM prekey"]),
            OneTimePreKeySecret.decode(self.kept["bob's one-time prekey"]),
        )
        bob = OwnDevice.decode(self.kept["bob's device"])
        for number in (0, 1):
            _, content = accept_session(bob, self.envelopes[number], secrets, NOW)
            self.assertEqual(content, self.contents[number])

    def test_it_has_an_offer_and_its_answer(self) -> None:
        kinds = [decode_envelope(envelope).extension for envelope in self.envelopes]
        self.assertEqual([each.kind for each in kinds if each], [OFFER, OFFER, ANSWER, ANSWER])

    def test_the_kept_session_still_opens_what_was_lost(self) -> None:
        session = Session.decode(self.kept["bob's session"])
        self.assertEqual(session.open(self.envelopes[LOST], NOW)[1], self.contents[LOST])
