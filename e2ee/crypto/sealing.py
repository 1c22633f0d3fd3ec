"""Encryption of one message under one message key: padding, AES-256-CBC, then HMAC-SHA256 over all.

Knows neither ratchets nor layouts. The MAC is checked first, in constant time, and every failure is
OpenFailed (Double Ratchet, section 5.2).
"""

from __future__ import annotations

from e2ee.crypto.labels import MESSAGE_KEYS
from e2ee.crypto.limits import PADDING_FLOOR_BYTES, PADDING_STEP_BYTES
from e2ee.crypto.primitives import (
    KEY_BYTES,
    aes_cbc_decrypt,
    aes_cbc_encrypt,
    equal,
    hkdf_expand,
    hmac_sha256,
)
from e2ee.errors import OpenFailed

TAG_BYTES = 32
_MARK = b"\x80"
_KEYS_BYTES = 2 * KEY_BYTES


def padded_size(size: int) -> int:
    """The size in bytes that a content of `size` bytes and its mark are padded to."""
    if size >= PADDING_STEP_BYTES:
        return (size // PADDING_STEP_BYTES + 1) * PADDING_STEP_BYTES
    return max(PADDING_FLOOR_BYTES, 1 << size.bit_length())


def pad(content: bytes) -> bytes:
    """The content, a byte 0x80, and zeros up to the next step."""
    return (content + _MARK).ljust(padded_size(len(content)), b"\0")


def unpad(padded: bytes) -> bytes:
    """The content; OpenFailed if it is not padded to exactly its step. Only after the MAC was checked."""
    at = padded.rfind(_MARK)
    content = padded[:at]
    if at < 0 or pad(content) != padded:
        raise OpenFailed
    return content


def seal(message_key: bytes, iv: bytes, associated: bytes, head: bytes, content: bytes) -> bytes:
    """`head`, IV, ciphertext and tag; the tag covers `associated` and every byte before it.

    The IV goes into the keys, too: a message key used twice (a restored copy) gives two pairs.
    """
    keys = hkdf_expand(message_key, MESSAGE_KEYS + iv, _KEYS_BYTES)
    covered = head + iv + aes_cbc_encrypt(keys[:KEY_BYTES], iv, pad(content))
    return covered + hmac_sha256(keys[KEY_BYTES:], associated + covered)


def open_sealed(
    message_key: bytes, iv: bytes, associated: bytes, covered: bytes, ciphertext: bytes, tag: bytes
) -> bytes:
    """The content; `covered` are all bytes before the tag. Raises OpenFailed."""
    keys = hkdf_expand(message_key, MESSAGE_KEYS + iv, _KEYS_BYTES)
    if not equal(hmac_sha256(keys[KEY_BYTES:], associated + covered), tag):
        raise OpenFailed
    return unpad(aes_cbc_decrypt(keys[:KEY_BYTES], iv, ciphertext))
