"""A client that somebody else might have written: from the text of docs/cryptography.md alone.

Straight on, without a class, with the library `cryptography` and nothing of `e2ee`; it reads what
`docs/vectors/` has and checks nothing that a client must check besides signatures and MACs. For tests
and for readers; Refused is the one error.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

KEM_NAMES = {1: b"ML-KEM-1024", 2: b"RSA-3072-OAEP-SHA256"}
Json = dict[str, Any]


class Refused(Exception):
    """A signature, a MAC or an encoding is not as the text says."""


# --- notation -----------------------------------------------------------------------------------


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def len1(value: bytes) -> bytes:
    return number(len(value), 1) + value


def len2(value: bytes) -> bytes:
    return number(len(value), 2) + value


def sha256(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def hkdf(salt: bytes, secret: bytes, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt, info).derive(secret)


def dh(secret: bytes, public: bytes) -> bytes:
    key = x25519.X25519PrivateKey.from_private_bytes(secret)
    return key.exchange(x25519.X25519PublicKey.from_public_bytes(public))


def public_of(secret: bytes) -> bytes:
    return x25519.X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def hexadecimal(value: str) -> bytes:
    return bytes.fromhex(value)


class Reader:
    """Takes fields off the front."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        if len(taken) != size:
            raise Refused
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def end(self) -> None:
        if self.rest:
            raise Refused


# --- 1. keys --------------------------------------------------------------------------------------


def check_signature(key: bytes, label: bytes, message: bytes, signature: bytes) -> None:
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, len1(label) + message)
    except Exception:
        raise Refused from None


def read_statement(signed: bytes) -> Json:
    reader = Reader(signed[:-64])
    if reader.take(2) != b"\x01\x01":
        raise Refused
    found: Json = {"account key": reader.take(32), "number": reader.take(reader.number(1))}
    found["generation"], found["KEM"] = reader.number(8), reader.number(1)
    found["features"] = [reader.number(2) for _ in range(reader.number(1))]
    if reader.take(1) != b"\x01":
        raise Refused
    found["device id"], found["device signing key"] = reader.take(8), reader.take(32)
    found["device key"] = reader.take(32)
    reader.end()
    check_signature(found["account key"], b"e2ee/1 account statement", signed[:-64], signed[-64:])
    return found


def read_signed_prekey(signed: bytes, owner: bytes) -> tuple[int, bytes]:
    """Id and key."""
    check_signature(owner, b"e2ee/1 signed prekey", owner + signed[:-64], signed[-64:])
    reader = Reader(signed[:-64])
    if reader.take(2) != b"\x02\x01":
        raise Refused
    prekey, _ = reader.number(4), reader.number(8)
    key = reader.take(32)
    reader.end()
    return prekey, key


def read_kem_prekey(signed: bytes, owner: bytes) -> tuple[bool, int, int, bytes]:
    """Whether it is a one-time one, which KEM, id and key."""
    check_signature(owner, b"e2ee/1 KEM prekey", owner + signed[:-64], signed[-64:])
    reader = Reader(signed[:-64])
    kind, version, kem = reader.number(1), reader.number(1), reader.number(1)
    if kind not in (3, 4) or version != 1:
        raise Refused
    prekey, _ = reader.number(4), reader.number(8)
    key = reader.take(reader.number(2))
    reader.end()
    return kind == 3, kem, prekey, key


# --- 2. handshake ---------------------------------------------------------------------------------


def kem_secret(kem: int, secret: bytes, key: bytes, ciphertext: bytes) -> bytes:
    if kem == 1:
        return MLKEM1024PrivateKey.from_seed_bytes(secret).decapsulate(ciphertext)
    p, q = int.from_bytes(secret[:192], "big"), int.from_bytes(secret[192:384], "big")
    d = pow(65537, -1, (p - 1) * (q - 1))
    private = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)
    ).private_key()
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), b"\x02" + sha256(key))
    seed = private.decrypt(ciphertext, oaep)
    return hkdf(bytes(32), seed, b"e2ee/1 secret by RSA transport\x02" + sha256(key + ciphertext), 32)


class Agreed(NamedTuple):
    """What comes of a handshake."""

    secret: bytes
    session_id: bytes
    associated: bytes


def respond(vectors: Json, handshake: bytes) -> Agreed:
    """The recipient's side, for the prekeys of the file."""
    bob, reader = vectors["bob"], Reader(handshake)
    signed_i, signed_r = reader.take(reader.number(2)), hexadecimal(bob["statement"])
    initiator, recipient = read_statement(signed_i), read_statement(signed_r)
    ephemeral, signed_id = reader.take(32), reader.take(4)
    kem, kem_one_time, kem_id = reader.take(1), reader.take(1), reader.take(4)
    one_time_id = reader.take(4) if reader.take(1) == b"\x01" else None
    ciphertext = reader.take(reader.number(2))
    reader.end()
    owner = recipient["device signing key"]
    spk = read_signed_prekey(hexadecimal(bob["signed prekey"]["signed"]), owner)[1]
    kem_key = read_kem_prekey(hexadecimal(bob["KEM prekey"]["signed"]), owner)[3]
    spk_secret = hexadecimal(bob["signed prekey"]["secret"])
    agreed = [dh(spk_secret, initiator["device key"])]
    agreed.append(dh(hexadecimal(bob["device key secret"]), ephemeral))
    agreed.append(dh(spk_secret, ephemeral))
    opk = b"\x00"
    if one_time_id is not None:
        agreed.append(dh(hexadecimal(bob["one-time prekey"]["secret"]), ephemeral))
        opk = b"\x01" + one_time_id + hexadecimal(bob["one-time prekey"]["public"])
    agreed.append(kem_secret(kem[0], hexadecimal(bob["KEM prekey"]["secret"]), kem_key, ciphertext))
    common = [one for one in initiator["features"] if one in recipient["features"]]
    transcript = b"".join((
        len1(b"e2ee/1 handshake transcript"), len1(initiator["number"]), len1(recipient["number"]),
        len2(signed_i), len2(signed_r), number(len(common), 1), *(number(one, 2) for one in common),
        initiator["device key"], recipient["device key"], ephemeral, signed_id, spk, opk,
        kem, len1(KEM_NAMES[kem[0]]), kem_one_time, kem_id, len2(kem_key), len2(ciphertext),
    ))  # fmt: skip
    mode = kem + kem_one_time + number(one_time_id is not None, 1)
    info = b"e2ee/1 handshake secret" + mode + sha256(transcript)
    associated = len1(b"e2ee/1 session")
    for one in (initiator, recipient):
        associated += len1(one["number"]) + one["device id"] + one["account key"]
    secret = hkdf(bytes(32), b"\xff" * 32 + b"".join(agreed), info, 32)
    return Agreed(secret, sha256(transcript)[:8], associated)


# --- 3. ratchet -----------------------------------------------------------------------------------


def root_step(root: bytes, agreed: bytes) -> tuple[bytes, bytes]:
    made = hkdf(root, agreed, b"e2ee/1 root step", 64)
    return made[:32], made[32:]


def hybrid_root_step(
    root: bytes, agreed: bytes, secret: bytes, key: bytes, ciphertext: bytes
) -> tuple[bytes, bytes]:
    made = hkdf(root, agreed + secret, b"e2ee/1 hybrid root step" + sha256(key + ciphertext), 64)
    return made[:32], made[32:]


def open_message(chain: bytes, associated: bytes, covered: bytes, body: bytes, tag: bytes) -> bytes:
    iv, ciphertext = body[:16], body[16:]
    keys = HKDFExpand(SHA256(), 64, b"e2ee/1 message keys" + iv).derive(mac(chain, b"\x01"))
    if not hmac.compare_digest(mac(keys[32:], associated + covered), tag):
        raise Refused
    decryptor = Cipher(algorithms.AES(keys[:32]), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return unpad(padded[: -padded[-1]])


def open_all(vectors: Json) -> Iterator[tuple[str, bytes]]:
    """Who has sent what, for a file of envelopes of which none is missing, in the order of sending."""
    ratchet_secrets = {public_of(hexadecimal(one)): hexadecimal(one) for one in vectors["ratchet secrets"]}
    seeds = [MLKEM768PrivateKey.from_seed_bytes(hexadecimal(one)) for one in vectors["ML-KEM-768 seeds"]]
    offers = {seed.public_key().public_bytes_raw(): seed for seed in seeds}
    newest = {"bob": hexadecimal(vectors["bob"]["signed prekey"]["secret"])}
    offered: bytes | None = None
    agreed, root, chain, current = Agreed(b"", b"", b""), b"", b"", b""
    for message in vectors["messages"]:
        envelope = hexadecimal(message["envelope"])
        reader = Reader(envelope)
        version, kind, session_id, key = reader.number(1), reader.number(1), reader.take(8), reader.take(32)
        _, place, extension = reader.number(4), reader.number(4), reader.take(reader.number(2))
        if kind == 1:
            handshake = reader.take(reader.number(2))
            if not root:
                agreed = respond(vectors, handshake)
                root = agreed.secret
        if version != 1 or session_id != agreed.session_id:
            raise Refused
        sender = message["from"]
        other = "bob" if sender == "alice" else "alice"
        if key != current:
            newest[sender], current = ratchet_secrets[key], key
            secret = dh(newest[sender], public_of(newest[other]))
            if extension[:1] == b"\x02" and offered is not None:
                shared = offers[offered].decapsulate(extension[3:])
                root, chain = hybrid_root_step(root, secret, shared, offered, extension[3:])
            else:
                root, chain = root_step(root, secret)
            offered, expected = None, 0
        if extension[:1] == b"\x01":
            offered = extension[3:]
        if place != expected:
            raise Refused
        direction = b"\x00" if sender == "alice" else b"\x01"
        yield sender, open_message(
            chain, agreed.associated + direction, envelope[:-32], reader.rest[:-32], envelope[-32:]
        )
        chain, expected = mac(chain, b"\x02"), expected + 1


# --- 4. contents ----------------------------------------------------------------------------------


def padded_size(size: int) -> int:
    if size >= 4096:
        return (size // 4096 + 1) * 4096
    step = 256
    while step <= size:
        step *= 2
    return step


def unpad(padded: bytes) -> bytes:
    content = padded.rstrip(b"\0")
    if content[-1:] != b"\x80" or len(padded) != padded_size(len(content) - 1):
        raise Refused
    return content[:-1]


def read_content(content: bytes) -> Json:
    reader = Reader(content)
    kind, version = reader.number(1), reader.number(1)
    found: Json = {"type": kind, "message id": reader.take(16)}
    for name in ("time", "have_up_to", "own generation", "their generation"):
        found[name] = reader.number(8)
    found["token"] = reader.take(16) if reader.take(1) == b"\x01" else None
    if kind in (1, 5):
        found["sequence"] = reader.number(8)
        found["text"] = reader.take(reader.number(4)).decode()
    if kind == 5:
        found["name"] = reader.take(reader.number(2)).decode()
        found["size"] = reader.number(8)
        for name, size in (("file id", 16), ("capability", 16), ("key", 32), ("digest", 32)):
            found[name] = reader.take(size)
    reader.end()
    if version != 1 or kind not in (1, 2, 5):
        raise Refused
    return found


def seal_file_chunk(content: Json, index: int, chunk: bytes, iv: bytes) -> bytes:
    """The file's own size says which chunk is the last."""
    info = b"e2ee/1 keys of a file" + content["file id"]
    keys = HKDFExpand(SHA256(), 64, info).derive(content["key"])
    filled = chunk + bytes(65536 - len(chunk)) + b"\x10" * 16
    covered = iv + Cipher(algorithms.AES256(keys[:32]), modes.CBC(iv)).encryptor().update(filled)
    last = (index + 1) * 65536 >= content["size"]
    place = content["file id"] + number(content["size"], 8) + number(index, 8) + number(last, 1)
    return covered + mac(keys[32:], b"e2ee/1 chunk of a file" + place + covered)


# --- 5. trust -------------------------------------------------------------------------------------


def safety_number(*people: tuple[bytes, bytes]) -> str:
    """For two of account key and number."""
    halves = []
    for key, phone in people:
        digest = len1(b"e2ee/1 safety number") + key + len1(phone)
        for _ in range(5200):
            digest = hashlib.sha512(digest + key).digest()
        groups = [int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5)]
        halves.append("".join(f"{group:05}" for group in groups))
    return "".join(sorted(halves))


def read_identity(encoded: bytes) -> tuple[list[bytes], bytes]:
    """Certificates and signature."""
    reader = Reader(encoded)
    if reader.take(2) != b"\x05\x01":
        raise Refused
    chain = [reader.take(reader.number(2)) for _ in range(reader.number(1))]
    signature = reader.take(reader.number(2))
    reader.end()
    return chain, signature


# --- 6. passcodes ---------------------------------------------------------------------------------


def stretch_pin(pin: str, salt: bytes, phone: bytes) -> bytes:
    salted = len1(b"e2ee/1 registration PIN, stretched") + salt + phone
    return Argon2id(salt=salted, length=32, iterations=3, lanes=4, memory_cost=65536).derive(pin.encode())
