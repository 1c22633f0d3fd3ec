"""docs/vectors/: the product makes them, and a client written from the text opens them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels
from tests.crypto import published_vectors as published
from tests.crypto import stranger, stranger_spake2
from tests.crypto.stranger import Refused, hexadecimal, len1, sha256

DOCUMENT = Path(published.FOLDER).parent / "cryptography.md"
SESSIONS = ("session-ml-kem.json", "session-rsa.json")


class ProductTests(SynchronousTestCase):
    """What the files say is what the product does."""

    def test_each_file_is_made_again_byte_by_byte(self) -> None:
        for name, make in published.FILES.items():
            before = published.load(name)
            made = json.dumps(make(before), indent=1, ensure_ascii=True) + "\n"
            self.assertEqual(made, (published.FOLDER / name).read_text("utf-8"), name)

    def test_there_is_no_file_that_nobody_makes(self) -> None:
        self.assertEqual({path.name for path in published.FOLDER.iterdir()}, set(published.FILES))

    def test_every_label_stands_in_the_text(self) -> None:
        text = DOCUMENT.read_text("utf-8")
        for name, label in vars(labels).items():
            if isinstance(label, bytes) and name.isupper():
                self.assertTrue(f"`{label.decode()}`" in text, f"{label!r} is not in docs/cryptography.md")


class StrangerTests(SynchronousTestCase):
    """Somebody who has the text and the library alone."""

    def test_nothing_of_the_product_is_used(self) -> None:
        for module in (stranger, stranger_spake2):
            tree = ast.parse(Path(module.__file__ or "").read_text("utf-8"))
            imported = [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
            imported += [one.name for node in plain for one in node.names]
            self.assertGreater(len(imported), 2)
            self.assertEqual([one for one in imported if one.startswith(("e2ee", "spake2"))], [])

    def test_every_envelope_of_a_session_is_opened(self) -> None:
        for name in SESSIONS:
            vectors = published.load(name)
            opened = list(stranger.open_all(vectors))
            wanted = [(one["from"], hexadecimal(one["content"])) for one in vectors["messages"]]
            self.assertEqual(opened, wanted, name)
            for _, content in opened:
                self.assertIn(stranger.read_content(content)["type"], (1, 2))

    def test_both_kinds_of_extension_are_among_them(self) -> None:
        for name in SESSIONS:
            kinds = set()
            for one in published.load(name)["messages"]:
                envelope = hexadecimal(one["envelope"])
                kinds.add(envelope[52:53] if envelope[50:52] != b"\0\0" else b"")
            self.assertEqual(kinds, {b"", b"\1", b"\2"}, name)

    def test_handshakes_agree(self) -> None:
        for name in SESSIONS:
            vectors = published.load(name)
            envelope = hexadecimal(vectors["messages"][0]["envelope"])
            extension = int.from_bytes(envelope[50:52], "big")
            begin = 54 + extension
            size = int.from_bytes(envelope[52 + extension : begin], "big")
            agreed = stranger.respond(vectors, envelope[begin : begin + size])
            self.assertEqual(agreed.secret.hex(), vectors["handshake secret"])
            self.assertEqual(agreed.session_id.hex(), vectors["session id"])
            self.assertEqual(agreed.associated.hex(), vectors["associated data"])

    def test_a_changed_byte_is_not_opened(self) -> None:
        """So that it is known that the stranger checks."""
        vectors = published.load(SESSIONS[0])
        envelope = bytearray(hexadecimal(vectors["messages"][0]["envelope"]))
        envelope[-40] ^= 1
        vectors["messages"][0]["envelope"] = bytes(envelope).hex()
        self.assertRaises(Refused, list, stranger.open_all(vectors))

    def test_prekeys_and_their_ids(self) -> None:
        for name, kem in zip(SESSIONS, (1, 2), strict=True):
            bob = published.load(name)["bob"]
            owner = stranger.read_statement(hexadecimal(bob["statement"]))["device signing key"]
            signed = stranger.read_signed_prekey(hexadecimal(bob["signed prekey"]["signed"]), owner)
            self.assertEqual(signed, (7, stranger.public_of(hexadecimal(bob["signed prekey"]["secret"]))))
            found = stranger.read_kem_prekey(hexadecimal(bob["KEM prekey"]["signed"]), owner)
            self.assertEqual(found[:3], (True, kem, 8))


class AccountTests(SynchronousTestCase):
    """account.json, by the text."""

    def setUp(self) -> None:
        self.file = published.load("account.json")
        self.alice, self.bob = (
            stranger.read_statement(hexadecimal(self.file[one]["statement"])) for one in ("alice", "bob")
        )

    def bytes_of(self, name: str) -> bytes:
        return hexadecimal(self.file[name])

    def test_statements(self) -> None:
        self.assertEqual(self.alice["number"].decode(), self.file["alice"]["number"])
        self.assertEqual((self.alice["KEM"], self.alice["features"]), (1, [1]))
        changed = bytearray(hexadecimal(self.file["alice"]["statement"]))
        changed[40] ^= 1
        self.assertRaises(Refused, stranger.read_statement, bytes(changed))

    def test_registration_and_login(self) -> None:
        account, signing = self.alice["account key"], self.alice["device signing key"]
        exporter = len1(self.bytes_of("exporter"))
        message = exporter + self.bytes_of("passcode session") + account + signing
        by_account, by_device = (
            self.bytes_of(f"registration by alice's {key}") for key in ("account key", "device signing key")
        )
        stranger.check_signature(account, b"e2ee/1 registration, account key", message, by_account)
        stranger.check_signature(signing, b"e2ee/1 registration, device signing key", message, by_device)
        statement_hash = sha256(hexadecimal(self.file["alice"]["statement"]))
        login = exporter + len1(self.alice["number"]) + self.alice["device id"] + len1(statement_hash)
        by_login = self.bytes_of("login by alice's device signing key")
        stranger.check_signature(signing, b"e2ee/1 login, client's device signing key", login, by_login)

    def test_the_safety_number_from_both_sides(self) -> None:
        people = [(one["account key"], one["number"]) for one in (self.alice, self.bob)]
        for order in (people, people[::-1]):
            self.assertEqual(stranger.safety_number(*order), self.file["safety number"])

    def test_padded_sizes(self) -> None:
        self.assertEqual(
            [[size, stranger.padded_size(size)] for size, _ in self.file["padded sizes"]],
            self.file["padded sizes"],
        )

    def test_the_identity(self) -> None:
        encoded = self.bytes_of("identity of alice, as if bob's account key were a certificate's")
        chain, signature = stranger.read_identity(encoded)
        self.assertEqual(len(chain), 2)
        message = len1(self.alice["number"]) + self.alice["account key"]
        stranger.check_signature(self.bob["account key"], b"e2ee/1 X.509 identity", message, signature)


class PasscodeTests(SynchronousTestCase):
    """passcode.json, by the text: SPAKE2 on whole numbers."""

    def setUp(self) -> None:
        self.file = published.load("passcode.json")

    def bytes_of(self, name: str) -> bytes:
        return hexadecimal(self.file[name])

    def test_m_and_n_are_what_their_seeds_lead_to(self) -> None:
        self.assertEqual(stranger_spake2.nobodys(b"M"), stranger_spake2.M)
        self.assertEqual(stranger_spake2.nobodys(b"N"), stranger_spake2.N)

    def test_the_run_and_its_confirmations(self) -> None:
        code = self.file["passcode"].encode()
        x, y = self.bytes_of("randomness of the client"), self.bytes_of("randomness of the server")
        a, b = stranger_spake2.message(b"A", code, x), stranger_spake2.message(b"B", code, y)
        self.assertEqual((a, b), (self.bytes_of("A"), self.bytes_of("B")))
        identity = [
            b"\x01", self.bytes_of("passcode session"), self.file["number"].encode(),
            self.bytes_of("account key"), self.bytes_of("exporter"),
        ]  # fmt: skip
        kc, ks = stranger_spake2.confirmation_keys(code, identity, a, b, x)
        self.assertEqual((kc, ks), (self.bytes_of("Kc"), self.bytes_of("Ks")))
        body, outcome = self.bytes_of("body"), self.bytes_of("outcome")
        confirm = stranger_spake2.confirm
        self.assertEqual(confirm(kc, body), self.bytes_of("client's confirmation"))
        self.assertEqual(confirm(ks, body, outcome), self.bytes_of("server's confirmation"))
        self.assertEqual(confirm(kc, self.pin_step()), self.bytes_of("client's confirmation of the PIN"))

    def pin_step(self) -> bytes:
        hashes = sha256(self.bytes_of("body")) + sha256(self.bytes_of("outcome"))
        return len1(b"e2ee/1 registration PIN, proven in a run") + hashes + self.bytes_of("stretched PIN")

    def test_the_pin(self) -> None:
        number = self.file["number"].encode()
        stretched: Any = stranger.stretch_pin(self.file["PIN"], self.bytes_of("salt"), number)
        self.assertEqual(stretched, self.bytes_of("stretched PIN"))
        at_rest = sha256(b"e2ee/1 registration PIN at rest" + stretched)
        self.assertEqual(at_rest, self.bytes_of("stretched PIN at rest"))


class FileTests(SynchronousTestCase):
    """file.json, by the text."""

    def test_a_file_and_what_brings_it(self) -> None:
        vectors = published.load("file.json")
        content = stranger.read_content(hexadecimal(vectors["content"]))
        self.assertEqual((content["text"], content["name"]), ("as promised", vectors["name"]))
        for name in ("file id", "capability", "key", "digest"):
            self.assertEqual(content[name].hex(), vectors[name])
        whole = bytes(range(251)) * 300
        self.assertEqual((len(whole), sha256(whole)), (content["size"], content["digest"]))
        self.assertEqual(len(vectors["sealed chunks"]), 2)
        for index, one in enumerate(vectors["sealed chunks"]):
            chunk = whole[index * 65536 :][:65536]
            sealed = stranger.seal_file_chunk(content, index, chunk, hexadecimal(one["IV"]))
            self.assertEqual((sealed[-32:].hex(), sha256(sealed).hex()), (one["tag"], one["SHA-256 of all"]))
