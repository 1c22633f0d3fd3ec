"""How `docs/vectors/` is made: what somebody needs who writes another client from docs/cryptography.md.

Entropy is seeded. What the library takes no entropy for (encapsulations, RSA-OAEP) is taken from the files as
they are, and anew only with ``python -m tests.crypto.published_vectors --fresh``. Without that,
``python -m tests.crypto.published_vectors`` writes the same bytes again, unless a format has changed.
All bytes are in hexadecimal digits, times in ms since 1970.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from e2ee.crypto import kem_primitives, passcode_proof
from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.certified_identity import CertifiedIdentity, identity_message
from e2ee.crypto.content import Content, Text, TokenNotice, encode_content
from e2ee.crypto.file_chunks import derive_file_keys
from e2ee.crypto.handshake import initiate
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.keys import KemKey, KemSuite, RatchetKemKey
from e2ee.crypto.limits import DAY_MS, FILE_CHUNK_BYTES
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.passcode_store import hash_pin
from e2ee.crypto.prekey_secrets import (
    PreKeySecrets,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.primitives import sha256
from e2ee.crypto.registration_pin import stretch_pin
from e2ee.crypto.safety_number import safety_number
from e2ee.crypto.sealing import padded_size
from e2ee.crypto.session import Session, accept_session, begin_session
from e2ee.crypto.shared_file import SharedFile
from e2ee.ids import ContactToken, MessageId, PasscodeSessionId
from tests.crypto.frozen_session import Recorder
from tests.crypto.people import ALICE, BOB, NOW, SeededEntropy
from tests.crypto.rsa_keys import PRIMES

FOLDER: Final = Path(__file__).parents[2] / "docs" / "vectors"
Encapsulations = list[dict[str, str]]
Steps = list[tuple[int, str, Content]]

PASSCODE, PIN = "271828", "correct horse"
PASSCODE_SESSION, EXPORTER, SALT = bytes(range(16)), bytes(range(32)), bytes(range(100, 116))
SIZES = (0, 1, 255, 256, 257, 511, 512, 2047, 4095, 4096, 4097, 8191, 8192, 65_536)


def text(sequence: int, words: str) -> Text:
    """Number `sequence` of one side."""
    message_id = MessageId(bytes([sequence]) * MessageId.SIZE)
    return Text(message_id, NOW + sequence, sequence - 1, NOW, NOW + 1, None, sequence, words)


NOTICE = TokenNotice(MessageId(b"n" * 16), NOW + 9, 2, NOW, NOW + 1, ContactToken(b"t" * 16))
LONG: Steps = [
    (0, "alice", text(1, "the first, with a handshake")),
    (0, "alice", text(2, "the second, with the same one")),
    (0, "bob", text(1, "an answer")),
    (0, "alice", NOTICE),
    (0, "alice", text(3, "\u00e9" * 300)),
    (DAY_MS, "bob", text(2, "with an offer of an ML-KEM key")),
    (DAY_MS, "alice", text(4, "with the answer")),
    (DAY_MS, "alice", text(5, "and again")),
    (DAY_MS, "bob", text(3, "a plain turn")),
]
SHORT: Steps = [
    (0, "alice", text(1, "with a handshake by RSA, and an offer")),
    (0, "bob", text(1, "with the answer")),
    (0, "alice", text(2, "a plain turn")),
]


class Talk:
    """A session whose envelopes are opened at once; `recorded` has its encapsulations, if not empty."""

    def __init__(self, suite: KemSuite, seed: str, recorded: Encapsulations) -> None:
        self._recorded = iter(recorded)
        self._fresh = not recorded
        self.encapsulations: Encapsulations = []
        self.draws = {name: Recorder(SeededEntropy(f"{seed} {name}")) for name in ("alice", "bob")}
        self.alice = create_device(ALICE, NOW, self.draws["alice"], suite)
        self.bob = create_device(BOB, NOW + 1, self.draws["bob"], suite)
        owner, draw = self.bob.device_signing_secret, self.draws["bob"]
        self.signed, self.signed_prekey = make_signed_prekey(owner, 7, NOW, draw)
        self.kem, self.kem_prekey = make_kem_prekey(owner, 8, NOW, True, draw, suite)
        self.one_time, one_time = make_one_time_prekey(9, draw)
        bundle = verify_bundle(
            self.bob.signed_statement, self.signed_prekey, self.kem_prekey, (9, one_time.key.raw)
        )
        self._before = {name: len(draw.drawn) for name, draw in self.draws.items()}
        begun = begin_session(self.alice, bundle, NOW, self.draws["alice"], self._encapsulate)
        self.sessions = {"alice": begun}
        replay = iter(map(bytes.fromhex, self.draws["alice"].drawn[self._before["alice"] :]))
        taken = self.encapsulations[0]
        known = bytes.fromhex(taken["secret"]), bytes.fromhex(taken["ciphertext"])
        self.secret = initiate(self.alice, bundle, lambda _: next(replay), lambda _: known).secret
        self.messages: list[dict[str, Any]] = []

    def _encapsulate(self, key: KemKey | RatchetKemKey) -> tuple[bytes, bytes]:
        if self._fresh:
            secret, ciphertext = encapsulate(key)
            self.encapsulations.append({"secret": secret.hex(), "ciphertext": ciphertext.hex()})
        else:
            self.encapsulations.append(next(self._recorded))
        last = self.encapsulations[-1]
        return bytes.fromhex(last["secret"]), bytes.fromhex(last["ciphertext"])

    def run(self, steps: Steps) -> None:
        """Seal and open each; AssertionError if one does not come back."""
        for later, who, content in steps:
            now, encoded = NOW + later, encode_content(content)
            session, envelope = self.sessions[who].seal(encoded, now, self.draws[who], self._encapsulate)
            self.sessions[who] = session
            assert self._open("bob" if who == "alice" else "alice", envelope, now) == encoded
            message = {"from": who, "at": now, "content": encoded.hex(), "envelope": envelope.hex()}
            self.messages.append(message)

    def _open(self, who: str, envelope: bytes, now: int) -> bytes:
        known: Session | None = self.sessions.get(who)
        if known is None:
            secrets = PreKeySecrets(self.signed, self.kem, self.one_time)
            self.sessions[who], content = accept_session(self.bob, envelope, secrets, now)
        else:
            self.sessions[who], content = known.open(envelope, now)
        return content

    def document(self, about: str) -> dict[str, Any]:
        """The file."""
        later = {name: draw.drawn[self._before[name] :] for name, draw in self.draws.items()}
        everything = [*later["alice"], *later["bob"]]
        return {
            "about": about,
            "alice": person(self.alice),
            "bob": {
                **person(self.bob),
                "signed prekey": {
                    "id": 7, "secret": self.signed.secret.raw.hex(), "signed": self.signed_prekey.hex()
                },
                "KEM prekey": {"id": 8, "secret": self.kem.secret.raw.hex(), "signed": self.kem_prekey.hex()},
                "one-time prekey": {
                    "id": 9,
                    "secret": self.one_time.secret.raw.hex(),
                    "public": self.one_time.secret.public_raw().hex(),
                },
            },
            "ephemeral secret": later["alice"][0],
            "ratchet secrets": [drawn for drawn in everything[1:] if len(drawn) == 64],
            "ML-KEM-768 seeds": [drawn for drawn in everything if len(drawn) == 128],
            "encapsulations": self.encapsulations,
            "handshake secret": self.secret.hex(),
            "session id": self.sessions["alice"].session_id.hex(),
            "associated data": self.sessions["alice"].associated.hex(),
            "messages": self.messages,
        }  # fmt: skip


def person(own: OwnDevice) -> dict[str, str]:
    """Somebody's private keys, and the statement about them."""
    return {
        "number": str(own.address),
        "account key seed": own.account_secret.raw.hex(),
        "device signing key seed": own.device_signing_secret.raw.hex(),
        "device key secret": own.device_secret.raw.hex(),
        "device id": bytes(own.device).hex(),
        "statement": own.signed_statement.hex(),
    }


def by_mlkem(before: dict[str, Any]) -> dict[str, Any]:
    """A session begun with ML-KEM-1024, with a post-quantum step after a day."""
    talk = Talk(KemSuite.ML_KEM_1024, "vectors", before.get("encapsulations", []))
    talk.run(LONG)
    return talk.document("A session begun with ML-KEM-1024: docs/cryptography.md, sections 1 to 4.")


def by_rsa(before: dict[str, Any]) -> dict[str, Any]:
    """A session begun with RSA, whose first chain offers."""
    kept: Callable[[], bytes] = kem_primitives.rsa_generate
    kem_primitives.rsa_generate = lambda: PRIMES[0]
    try:
        talk = Talk(KemSuite.RSA_3072, "RSA vectors", before.get("encapsulations", []))
    finally:
        kem_primitives.rsa_generate = kept
    talk.run(SHORT)
    return talk.document("A session begun with RSA-3072: docs/cryptography.md, sections 1 to 4.")


def account(before: dict[str, Any]) -> dict[str, Any]:
    """Signatures, the safety number, padding, and an X.509 identity whose certificate is only bytes here."""
    alice, bob = (create_device(one, NOW, SeededEntropy(f"account {one}")) for one in (ALICE, BOB))
    session = PasscodeSessionId(PASSCODE_SESSION)
    by_account, by_device = alice.sign_registration(EXPORTER, session)
    certificate = b"a certificate in DER"
    signature = bob.account_secret.parsed.sign(identity_message(ALICE, alice.statement.account_key))
    return {
        "about": "Signatures, safety number, padding, identity: docs/cryptography.md, sections 1, 4 and 5.",
        "alice": person(alice),
        "bob": person(bob),
        "exporter": EXPORTER.hex(),
        "passcode session": PASSCODE_SESSION.hex(),
        "registration by alice's account key": by_account.hex(),
        "registration by alice's device signing key": by_device.hex(),
        "login by alice's device signing key": alice.sign_login(EXPORTER).hex(),
        "safety number": safety_number(alice.statement.account_key, ALICE, bob.statement.account_key, BOB),
        "padded sizes": [[size, padded_size(size)] for size in SIZES],
        "identity of alice, as if bob's account key were a certificate's": CertifiedIdentity(
            (certificate, certificate), signature
        ).encode().hex(),
    }  # fmt: skip


def passcode(before: dict[str, Any]) -> dict[str, Any]:
    """A run of SPAKE2 with its confirmations, and a registration PIN."""
    draws = [Recorder(SeededEntropy(f"passcode {side}")) for side in "AB"]
    key = create_device(ALICE, NOW, SeededEntropy("passcode account")).statement.account_key.raw
    identities = passcode_proof.ProofIdentities(PasscodeSessionId(PASSCODE_SESSION), ALICE, key, EXPORTER)
    initiator, a = passcode_proof.initiator(PASSCODE, identities, draws[0])
    b, confirmations = passcode_proof.respond(PASSCODE, identities, a, draws[1])
    assert initiator.finish(b) == confirmations
    body, outcome, stretched = b"a body", b"an outcome", stretch_pin(PIN, ALICE, SALT)
    step = passcode_proof.pin_step(body, outcome, stretched)
    return {
        "about": "Passcode and registration PIN: docs/cryptography.md, section 6.",
        "number": str(ALICE),
        "account key": key.hex(),
        "passcode": PASSCODE,
        "passcode session": PASSCODE_SESSION.hex(),
        "exporter": EXPORTER.hex(),
        "randomness of the client": draws[0].drawn[0],
        "randomness of the server": draws[1].drawn[0],
        "A": a.hex(),
        "B": b.hex(),
        "Kc": confirmations.kc.hex(),
        "Ks": confirmations.ks.hex(),
        "body": body.hex(),
        "outcome": outcome.hex(),
        "client's confirmation": confirmations.client(body).hex(),
        "server's confirmation": confirmations.server(body, outcome).hex(),
        "PIN": PIN,
        "salt": SALT.hex(),
        "stretched PIN": stretched.hex(),
        "client's confirmation of the PIN": confirmations.client(step).hex(),
        "stretched PIN at rest": hash_pin(stretched).hex(),
    }


def file(before: dict[str, Any]) -> dict[str, Any]:
    """A file of two chunks, and the content that brings it. Of a sealed chunk only what is not its middle."""
    whole = bytes(range(251)) * 300
    entropy = Recorder(SeededEntropy("file"))
    file_id, capability, key = entropy(16), entropy(16), entropy(32)
    shared = SharedFile("report.pdf", len(whole), file_id, capability, key, sha256(whole))
    keys = derive_file_keys(key, file_id, len(whole))
    parts = [whole[start : start + FILE_CHUNK_BYTES] for start in range(0, len(whole), FILE_CHUNK_BYTES)]
    sealed = [keys.seal(index, part, entropy) for index, part in enumerate(parts)]
    content = Text(MessageId(b"f" * 16), NOW, 2, NOW, NOW + 1, None, 3, "as promised", file=shared)
    return {
        "about": "A file: docs/cryptography.md, section 4. Its bytes are 0 to 250, 300 times.",
        "content": encode_content(content).hex(),
        "name": shared.name,
        "size": shared.size,
        "file id": file_id.hex(),
        "capability": capability.hex(),
        "key": key.hex(),
        "digest": shared.digest.hex(),
        "sealed chunks": [
            {"IV": one[:16].hex(), "tag": one[-32:].hex(), "SHA-256 of all": sha256(one).hex()}
            for one in sealed
        ],
    }


FILES: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "session-ml-kem.json": by_mlkem,
    "session-rsa.json": by_rsa,
    "account.json": account,
    "passcode.json": passcode,
    "file.json": file,
}
"""Name of a file, and what makes it anew from what it was."""


def load(name: str) -> dict[str, Any]:
    """A file as it is."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return found


def write(*, fresh: bool) -> None:
    """All files."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in FILES.items():
        before = {} if fresh or not (FOLDER / name).exists() else load(name)
        made = json.dumps(make(before), indent=1, ensure_ascii=True)
        (FOLDER / name).write_text(made + "\n", "utf-8")


if __name__ == "__main__":
    write(fresh="--fresh" in sys.argv)
