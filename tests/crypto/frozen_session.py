"""A whole session between two people, always the same: how `frozen_session.json` was made.

The entropy is seeded, and recorded as drawn: the private keys in the order of `create_device` and of
the prekeys, then ephemeral key, ratchet keys and IVs. The encapsulations, one of the handshake and one
of an answering chain, are recorded, too, because the library takes no entropy for them. All bytes are
in hexadecimal digits.

Only a new version of the formats may change the file: ``python -m tests.crypto.frozen_session``
writes it anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.content import Content, Text, TokenNotice, decode_content, encode_content
from e2ee.crypto.kem import Encapsulate, encapsulate
from e2ee.crypto.keys import KemKey, RatchetKemKey
from e2ee.crypto.limits import DAY_MS
from e2ee.crypto.own_device import create_device
from e2ee.crypto.prekey_secrets import (
    PreKeySecrets,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.safety_number import safety_number
from e2ee.crypto.session import Session, accept_session, begin_session
from e2ee.ids import ContactToken, MessageId
from tests.crypto.people import ALICE, BOB, NOW, SeededEntropy

PATH = Path(__file__).with_name("frozen_session.json")
SECOND = 1000


class Frozen(TypedDict):
    """What the file holds."""

    about: str
    entropy: dict[str, list[str]]
    encapsulations: list[dict[str, str]]
    published: dict[str, str]
    safety_number: str
    session: dict[str, str]
    envelopes: list[dict[str, str]]
    kept: dict[str, str]


class Recorder:
    """An entropy that remembers what was drawn."""

    def __init__(self, source: Entropy) -> None:
        self._source = source
        self.drawn: list[str] = []

    def __call__(self, size: int) -> bytes:
        piece = self._source(size)
        self.drawn.append(piece.hex())
        return piece


def text(sequence: int, words: str) -> Text:
    """Number `sequence` of one side."""
    identity = MessageId(bytes([sequence]) * MessageId.SIZE)
    return Text(identity, NOW + sequence * SECOND, 0, NOW, NOW, None, sequence, words)


NOTICE = TokenNotice(MessageId(b"n" * 16), NOW + 9 * SECOND, 2, NOW, NOW, ContactToken(b"t" * 16))
STEPS: list[tuple[str, Content | int]] = [
    ("alice", text(1, "the first, with a handshake")),
    ("alice", text(2, "the second, with the same one")),
    ("bob", 1),
    ("bob", 0),
    ("bob", text(1, "an answer")),
    ("bob", text(2, "one that comes late")),
    ("alice", 2),
    ("alice", text(3, "a turn")),
    ("alice", text(4, "one that is lost")),
    ("alice", text(5, "é" * 200)),
    ("bob", 4),
    ("bob", 6),
    ("bob", NOTICE),
    ("alice", 7),
    ("alice", 3),
    ("alice", text(6, "the last")),
    ("bob", 8),
]
"""Who seals which content, or opens which envelope, counted from 0."""
A_DAY_LATER: list[tuple[str, Content | int]] = [
    ("bob", text(3, "with an offer of an ML-KEM key")),
    ("bob", text(4, "with the same one")),
    ("alice", 9),
    ("alice", text(7, "with the answer")),
    ("alice", text(8, "and again")),
    ("bob", 11),
    ("bob", text(5, "a plain turn")),
    ("alice", 13),
    ("bob", 12),
]
"""The same, when another post-quantum secret is due."""
LOST = 5


class Conversation:
    """Both sides, from new keys to the last step."""

    def __init__(self, entropy: dict[str, Entropy], encapsulate: Encapsulate) -> None:
        self.recorders = {name: Recorder(source) for name, source in entropy.items()}
        self.alice = create_device(ALICE, NOW, self.recorders["alice"])
        self.bob = create_device(BOB, NOW, self.recorders["bob"])
        owner, source = self.bob.device_signing_secret, self.recorders["bob"]
        signed, self.signed_prekey = make_signed_prekey(owner, 7, NOW, source)
        kem, self.kem_prekey = make_kem_prekey(owner, 8, NOW, True, source)
        one_time, self.one_time = make_one_time_prekey(9, source)
        self.secrets = PreKeySecrets(signed, kem, one_time)
        self.sessions: dict[str, Session] = {}
        self.envelopes: list[dict[str, str]] = []
        self.encapsulated: list[tuple[bytes, bytes]] = []
        self._encapsulate = encapsulate
        self._begin()

    def _begin(self) -> None:
        one_time = self.one_time.key_id, self.one_time.key.raw
        bundle = verify_bundle(self.bob.signed_statement, self.signed_prekey, self.kem_prekey, one_time)
        alice = begin_session(self.alice, bundle, NOW, self.recorders["alice"], self._recording)
        self.sessions["alice"] = alice

    def _recording(self, key: KemKey | RatchetKemKey) -> tuple[bytes, bytes]:
        self.encapsulated.append(self._encapsulate(key))
        return self.encapsulated[-1]

    def run(self) -> None:
        """All steps; AssertionError if a content does not come back."""
        for now, steps in ((NOW, STEPS), (NOW + DAY_MS, A_DAY_LATER)):
            for who, what in steps:
                if isinstance(what, int):
                    self._open(who, self.envelopes[what], now)
                else:
                    self._seal(who, encode_content(what), now)

    def _seal(self, who: str, content: bytes, now: int) -> None:
        source = self.recorders[who]
        session, envelope = self.sessions[who].seal(content, now, source, self._recording)
        self.sessions[who] = session
        self.envelopes.append({"from": who, "content": content.hex(), "envelope": envelope.hex()})

    def _open(self, who: str, made: dict[str, str], now: int) -> None:
        envelope = bytes.fromhex(made["envelope"])
        if who in self.sessions:
            self.sessions[who], content = self.sessions[who].open(envelope, now)
        else:
            self.sessions[who], content = accept_session(self.bob, envelope, self.secrets, now)
        assert content.hex() == made["content"]
        assert encode_content(decode_content(content)) == content

    def document(self) -> Frozen:
        """The file."""
        return Frozen(
            about="A whole session, byte by byte. How it was made: tests/crypto/frozen_session.py.",
            entropy={name: recorder.drawn for name, recorder in self.recorders.items()},
            encapsulations=[
                {"secret": secret.hex(), "ciphertext": ciphertext.hex()}
                for secret, ciphertext in self.encapsulated
            ],
            published={
                "alice's statement": self.alice.signed_statement.hex(),
                "bob's statement": self.bob.signed_statement.hex(),
                "bob's signed prekey": self.signed_prekey.hex(),
                "bob's KEM prekey": self.kem_prekey.hex(),
                "bob's one-time prekey": self.one_time.key.raw.hex(),
            },
            safety_number=safety_number(
                self.alice.statement.account_key, ALICE, self.bob.statement.account_key, BOB
            ),
            session={
                "id": self.sessions["alice"].session_id.hex(),
                "associated data": self.sessions["alice"].associated.hex(),
            },
            envelopes=self.envelopes,
            kept=self._kept(),
        )

    def _kept(self) -> dict[str, str]:
        """What both vaults hold at the end."""
        assert self.secrets.one_time is not None
        return {
            "alice's device": self.alice.encode().hex(),
            "bob's device": self.bob.encode().hex(),
            "bob's signed prekey": self.secrets.signed.encode().hex(),
            "bob's KEM prekey": self.secrets.kem.encode().hex(),
            "bob's one-time prekey": self.secrets.one_time.encode().hex(),
            "alice's session": self.sessions["alice"].encode().hex(),
            "bob's session": self.sessions["bob"].encode().hex(),
        }


def seeded() -> dict[str, Entropy]:
    """The entropy that the file was made with."""
    return {name: SeededEntropy(f"frozen {name}") for name in ("alice", "bob")}


def load() -> Any:
    """The file as it is."""
    return json.loads(PATH.read_text("utf-8"))


def write() -> None:
    """The file anew, with fresh encapsulations."""
    conversation = Conversation(seeded(), encapsulate)
    conversation.run()
    PATH.write_text(json.dumps(conversation.document(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write()
