"""Encryption of one message under one message key: padding, AES-256-CBC, then HMAC-SHA256 over all.

Knows neither ratchets nor layouts. The MAC is checked first, in constant time, and every failure is
OpenFailed (Double Ratchet, section 5.2).
"""

from __future__ import annotations

from e2ee.crypto.labels import MESSAGE_KEYS
from e2ee.crypto.limits import PADDING_FLOOR_BYTES, PADDING_STEP_BYTES
from e2ee.crypto.primitives import (
    aes_cbc_decrypt,
    aes_cbc_encrypt,
    equal,
    hkdf_expand_pair,
    hmac_sha256,
)
from e2ee.errors import OpenFailed

TAG_BYTES = 32
_MARK = b"\x80"
_FILL = _MARK + bytes(PADDING_STEP_BYTES)
"""The longest padding, of which each other one is the beginning; `ljust` would take twice the time."""


def padded_size(size: int) -> int:
    """The size in bytes that a content of `size` bytes and its mark are padded to."""
    if size < PADDING_FLOOR_BYTES:
        return PADDING_FLOOR_BYTES
    if size < PADDING_STEP_BYTES:
        return 1 << size.bit_length()
    return (size // PADDING_STEP_BYTES + 1) * PADDING_STEP_BYTES


def pad(content: bytes) -> bytes:
    """The content, a byte 0x80, and zeros up to the next step."""
    size = len(content)
    return content + _FILL[: padded_size(size) - size]


def unpad(padded: bytes) -> bytes:
    """The content; OpenFailed if it is not padded to exactly its step. Only after the MAC was checked."""
    at, size = padded.rfind(_MARK), len(padded)
    if at < 0 or padded_size(at) != size or not padded.endswith(_FILL[: size - at]):
        raise OpenFailed
    return padded[:at]


def seal(message_key: bytes, iv: bytes, associated: bytes, head: bytes, content: bytes) -> bytes:
    """`head`, IV, ciphertext and tag; the tag covers `associated` and every byte before it.

    The IV goes into the keys, too: a message key used twice (a restored copy) gives two pairs.
    """
    cipher_key, mac_key = hkdf_expand_pair(message_key, MESSAGE_KEYS + iv)
    covered = head + iv + aes_cbc_encrypt(cipher_key, iv, pad(content))
    return covered + hmac_sha256(mac_key, associated + covered)


def open_sealed(
    message_key: bytes, iv: bytes, associated: bytes, covered: bytes, ciphertext: bytes, tag: bytes
) -> bytes:
    """The content; `covered` are all bytes before the tag. Raises OpenFailed."""
    cipher_key, mac_key = hkdf_expand_pair(message_key, MESSAGE_KEYS + iv)
    if not equal(hmac_sha256(mac_key, associated + covered), tag):
        raise OpenFailed
    return unpad(aes_cbc_decrypt(cipher_key, iv, ciphertext))
