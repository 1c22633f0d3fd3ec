"""The layout of an envelope: bytes and their places.

Knows no key. Layout, all numbers big-endian: version 0x01, type (1), session id (8), ratchet key
(32), previous chain length (4), number (4), extension length (2), extension, [handshake length (2),
handshake], IV (16), ciphertext, tag (32). The handshake is there in type 0x01, and not in type 0x02.
The extension stands in `extension`. Everything malformed is OpenFailed.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from e2ee.crypto.extension import EXTENSION_BYTES, Extension, decode_extension, encode_extension
from e2ee.crypto.limits import ENVELOPE_BYTES, HANDSHAKE_BYTES, MESSAGE_NUMBERS
from e2ee.crypto.primitives import BLOCK_BYTES, IV_BYTES
from e2ee.crypto.sealing import TAG_BYTES
from e2ee.errors import OpenFailed

SESSION_ID_BYTES = 8
_VERSION = 1
_WITH_HANDSHAKE = 1
_PLAIN = 2
_KINDS = _WITH_HANDSHAKE, _PLAIN
_HEAD = Struct(">BB8s32sIIH")
_LENGTH = Struct(">H")
_HEAD_BYTES = _HEAD.size

_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, where one is made for every message."""


class Envelope(NamedTuple):
    """The parts of an envelope. `covered` is every byte before the tag; nothing here is verified yet."""

    session_id: bytes
    ratchet_key: bytes
    previous: int
    number: int
    extension: Extension | None
    handshake: bytes | None
    iv: bytes
    ciphertext: bytes
    tag: bytes
    covered: bytes


def encode_head(
    session_id: bytes,
    ratchet_key: bytes,
    previous: int,
    number: int,
    extension: Extension | None,
    handshake: bytes | None,
) -> bytes:
    """Everything before the IV."""
    if extension is None and handshake is None:
        # Most messages: no time for them to ask again for each part what they have not.
        return _HEAD.pack(_VERSION, _PLAIN, session_id, ratchet_key, previous, number, 0)
    kind = _PLAIN if handshake is None else _WITH_HANDSHAKE
    encoded = b"" if extension is None else encode_extension(extension)
    head = _HEAD.pack(_VERSION, kind, session_id, ratchet_key, previous, number, len(encoded)) + encoded
    return head if handshake is None else head + _LENGTH.pack(len(handshake)) + handshake


def decode_envelope(envelope: bytes) -> Envelope:
    """Take an envelope apart; raises OpenFailed."""
    if not _HEAD_BYTES <= len(envelope) <= ENVELOPE_BYTES:
        raise OpenFailed
    version, kind, session_id, ratchet_key, previous, number, length = _HEAD.unpack_from(envelope)
    if version != _VERSION or kind not in _KINDS or length > EXTENSION_BYTES:
        raise OpenFailed
    if previous >= MESSAGE_NUMBERS or number >= MESSAGE_NUMBERS:
        raise OpenFailed
    at = _HEAD_BYTES + length
    extension = decode_extension(envelope[_HEAD_BYTES : at]) if length else None
    handshake = None
    if kind == _WITH_HANDSHAKE:
        handshake, at = _take_handshake(envelope, at)
    body, end = at + IV_BYTES, len(envelope) - TAG_BYTES
    if end - body < BLOCK_BYTES or (end - body) % BLOCK_BYTES:
        raise OpenFailed
    return _tuple(
        Envelope,
        (
            session_id,
            ratchet_key,
            previous,
            number,
            extension,
            handshake,
            envelope[at:body],
            envelope[body:end],
            envelope[end:],
            envelope[:end],
        ),
    )


def _take_handshake(envelope: bytes, at: int) -> tuple[bytes, int]:
    """The handshake whose length stands at this place, and where it ends."""
    begin = at + _LENGTH.size
    if len(envelope) < begin:
        raise OpenFailed
    (length,) = _LENGTH.unpack_from(envelope, at)
    end = begin + length
    if length > HANDSHAKE_BYTES or end > len(envelope):
        raise OpenFailed
    return envelope[begin:end], end
