"""The ratchet of the package `doubleratchet`, put to our construct. For tests only.

The ratchet's steps and its memory of skipped keys are the package's. Key derivations, encryption and
header are written once more from the text of `docs/cryptography.md`, with labels spelled out; nothing
of `e2ee.crypto` is used here.
"""

from __future__ import annotations

import hashlib
import hmac
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import doubleratchet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from doubleratchet.recommended import diffie_hellman_ratchet_curve25519

_WITH_HANDSHAKE = 1
_PLAIN = 2
_LIMIT = 2000
_T = TypeVar("_T")
_REFUSALS = (
    doubleratchet.AuthenticationFailedException,
    doubleratchet.DecryptionFailedException,
    doubleratchet.DoSProtectionException,
    doubleratchet.DuplicateMessageException,
    ValueError,
)


class Refused(Exception):
    """A message was not opened, for whatever reason."""


class Beginning(NamedTuple):
    """What both sides of a session have before the first message; the handshake is opaque here."""

    secret: bytes
    session_id: bytes
    associated: bytes
    handshake: bytes
    prekey_secret: bytes
    prekey: bytes


class Seeds:
    """Private ratchet keys and IVs from a seed, each in an order of its own.

    A key that is made for a message that turns out to be refused is given back: `keys_made` can be
    set to an earlier value.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self.keys_made = 0
        self.ivs_made = 0

    def key(self) -> bytes:
        """32 bytes."""
        self.keys_made += 1
        return hashlib.sha256(b"key %d of " % self.keys_made + self._seed).digest()

    def iv(self) -> bytes:
        """16 bytes."""
        self.ivs_made += 1
        return hashlib.sha256(b"IV %d of " % self.ivs_made + self._seed).digest()[:16]


class _RootKdf(doubleratchet.KDF):
    @staticmethod
    async def derive(key: bytes, data: bytes, length: int) -> bytes:
        extracted = _hmac(key, data)
        return _expand(extracted, b"e2ee/1 root step")[:length]


class _ChainKdf(doubleratchet.KDF):
    """The package takes the next chain key off the front and the message key off the rest."""

    @staticmethod
    async def derive(key: bytes, data: bytes, length: int) -> bytes:
        return (_hmac(key, b"\x02") + _hmac(key, b"\x01"))[:length]


class _Aead(doubleratchet.AEAD):
    """The package's ciphertext is our IV, ciphertext and tag."""

    next_iv: Callable[[], bytes]

    @classmethod
    async def encrypt(cls, plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        iv = cls.next_iv()
        keys = _expand(key, b"e2ee/1 message keys" + iv)
        padded = _padded(plaintext)
        fill = 16 - len(padded) % 16
        encryptor = Cipher(AES(keys[:32]), CBC(iv)).encryptor()
        body = iv + encryptor.update(padded + bytes([fill]) * fill) + encryptor.finalize()
        return body + _hmac(keys[32:], associated_data + body)

    @staticmethod
    async def decrypt(ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        body, tag = ciphertext[:-32], ciphertext[-32:]
        keys = _expand(key, b"e2ee/1 message keys" + body[:16])
        if not hmac.compare_digest(_hmac(keys[32:], associated_data + body), tag):
            raise doubleratchet.AuthenticationFailedException
        decryptor = Cipher(AES(keys[:32]), CBC(body[:16])).decryptor()
        padded = decryptor.update(body[16:]) + decryptor.finalize()
        return padded[: -padded[-1]].rstrip(b"\0")[:-1]


class _Ratchet(doubleratchet.DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: doubleratchet.Header) -> bytes:
        before, after = _unpacked(associated_data)
        return before + _encoded(header) + after


class Theirs:
    """One side of a session that talks our wire format with the package's ratchet."""

    def __init__(self, beginning: Beginning, initiator: bool, seeds: Seeds) -> None:
        self._beginning = beginning
        self._initiator = initiator
        self._seeds = seeds
        self._ratchet: doubleratchet.DoubleRatchet | None = None
        self._answered = not initiator
        self._settings = _settings(seeds, beginning.secret)

    def seal(self, content: bytes) -> bytes:
        """The next envelope."""
        handshake = None if self._answered else self._beginning.handshake
        first = bytes([1, _PLAIN if handshake is None else _WITH_HANDSHAKE]) + self._beginning.session_id
        after = b"\0\0" + (b"" if handshake is None else len(handshake).to_bytes(2, "big") + handshake)
        associated = _packed(self._beginning.associated + bytes([not self._initiator]) + first, after)
        if self._ratchet is None:
            self._ratchet, sealed = _finished(_Ratchet.encrypt_initial_message(
                recipient_ratchet_pub=self._beginning.prekey,
                message=content,
                associated_data=associated,
                **self._settings,
            ))
        else:
            sealed = _finished(self._ratchet.encrypt_message(content, associated))
        return first + _encoded(sealed.header) + after + sealed.ciphertext

    def open(self, envelope: bytes) -> bytes:
        """The content; raises Refused and is as before."""
        made = self._seeds.keys_made
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content = self._open(envelope)
        except _REFUSALS:
            self._seeds.keys_made = made
            raise Refused from None
        self._answered = True
        return content

    def _open(self, envelope: bytes) -> bytes:
        end = 52
        if envelope[1] == _WITH_HANDSHAKE:
            end += 2 + int.from_bytes(envelope[52:54], "big")
        header = doubleratchet.Header(
            envelope[10:42], int.from_bytes(envelope[42:46], "big"), int.from_bytes(envelope[46:50], "big")
        )
        message = doubleratchet.EncryptedMessage(header, envelope[end:])
        before = self._beginning.associated + bytes([self._initiator]) + envelope[:10]
        associated = _packed(before, envelope[50:end])
        if self._ratchet is not None:
            return _finished(self._ratchet.decrypt_message(message, associated))
        self._ratchet, content = _finished(_Ratchet.decrypt_initial_message(
            own_ratchet_priv=self._beginning.prekey_secret,
            message=message,
            associated_data=associated,
            **self._settings,
        ))
        return content


def _settings(seeds: Seeds, secret: bytes) -> dict[str, Any]:
    """The package makes keys in static methods: so each side has classes of its own."""

    class DiffieHellman(diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet):
        @staticmethod
        def _generate_priv() -> bytes:
            return seeds.key()

    class Aead(_Aead):
        next_iv = seeds.iv

    return {
        "diffie_hellman_ratchet_class": DiffieHellman,
        "root_chain_kdf": _RootKdf,
        "message_chain_kdf": _ChainKdf,
        "message_chain_constant": b"",
        "dos_protection_threshold": _LIMIT,
        "max_num_skipped_message_keys": _LIMIT,
        "aead": Aead,
        "shared_secret": secret,
    }


def _encoded(header: doubleratchet.Header) -> bytes:
    lengths = header.previous_sending_chain_length, header.sending_chain_length
    return header.ratchet_pub + b"".join(length.to_bytes(4, "big") for length in lengths)


def _packed(before: bytes, after: bytes) -> bytes:
    """The package has one field for what is authenticated besides the header; ours stands on both sides."""
    return len(before).to_bytes(2, "big") + before + after


def _unpacked(packed: bytes) -> tuple[bytes, bytes]:
    end = 2 + int.from_bytes(packed[:2], "big")
    return packed[2:end], packed[end:]


def _padded(content: bytes) -> bytes:
    size = 256
    while size < len(content) + 1:
        size = size * 2 if size < 4096 else size + 4096
    return (content + b"\x80").ljust(size, b"\0")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _expand(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand to 64 bytes, as RFC 5869, section 2.3, writes it."""
    first = _hmac(key, info + b"\x01")
    return first + _hmac(key, first + info + b"\x02")


def _finished(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("the coroutine waits for something")
