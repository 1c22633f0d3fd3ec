"""What a message may carry besides its place: the offer or the answer of a post-quantum step.

Knows bytes and lengths, no key. A message has none or one. Layout: type (1), length (2), value. An
unknown type, another length than the type's, or a second one is OpenFailed: it might mean anything.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from e2ee.crypto.kem_primitives import MLKEM768_CIPHERTEXT_BYTES, MLKEM768_PUBLIC_BYTES
from e2ee.errors import OpenFailed

OFFER = 1
"""An ML-KEM-768 key, for the other side to answer."""
ANSWER = 2
"""The ciphertext for the key that was offered last."""

_SIZES = {OFFER: MLKEM768_PUBLIC_BYTES, ANSWER: MLKEM768_CIPHERTEXT_BYTES}
_HEAD = Struct(">BH")
EXTENSION_BYTES = _HEAD.size + max(_SIZES.values())
"""The longest."""


class Extension(NamedTuple):
    """`kind` is OFFER or ANSWER."""

    kind: int
    value: bytes

    def __repr__(self) -> str:
        return f"Extension(kind={self.kind})"


def encode_extension(extension: Extension) -> bytes:
    """The bytes behind the length in an envelope."""
    return _HEAD.pack(extension.kind, len(extension.value)) + extension.value


def decode_extension(encoded: bytes) -> Extension | None:
    """The reverse; raises OpenFailed."""
    if not encoded:
        return None
    if len(encoded) < _HEAD.size:
        raise OpenFailed
    kind, length = _HEAD.unpack_from(encoded)
    if length != _SIZES.get(kind) or len(encoded) != _HEAD.size + length:
        raise OpenFailed
    return Extension(kind, encoded[_HEAD.size :])
