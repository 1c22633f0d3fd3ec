"""The key derivations of the Double Ratchet (its specification, sections 2.2 and 5.2).

Knows chains and the root, not when to step them.
"""

from __future__ import annotations

from typing import NamedTuple

from e2ee.crypto import labels
from e2ee.crypto.primitives import KEY_BYTES, hkdf, hmac_sha256_pair, sha256

_MESSAGE_KEY = b"\x01"
_CHAIN_KEY = b"\x02"

_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, where one is made for every message."""


class Chain(NamedTuple):
    """A sending or receiving chain: its key, and the number of the message that comes next.

    A named tuple, as all that is made anew for each message: it takes half the time of a dataclass.
    """

    key: bytes
    number: int

    def __repr__(self) -> str:
        return f"Chain(number={self.number})"

    def step(self) -> tuple[bytes, Chain]:
        """The message key of the next message, and the chain behind it."""
        key, number = self
        message_key, chain_key = hmac_sha256_pair(key, _MESSAGE_KEY, _CHAIN_KEY)
        return message_key, _tuple(Chain, (chain_key, number + 1))


def root_step(root_key: bytes, agreed: bytes) -> tuple[bytes, Chain]:
    """The next root key, and the chain that a Diffie-Hellman secret begins."""
    return _root_step(root_key, agreed, labels.ROOT_STEP)


def hybrid_root_step(
    root_key: bytes, agreed: bytes, secret: bytes, public: bytes, ciphertext: bytes
) -> tuple[bytes, Chain]:
    """The same with the secret of a KEM beside that of the Diffie-Hellman, 32 bytes each.

    Public key and ciphertext go in, too: the secret of a KEM need not be bound to them.
    """
    info = labels.HYBRID_ROOT_STEP + sha256(public + ciphertext)
    return _root_step(root_key, agreed + secret, info)


def _root_step(root_key: bytes, secrets: bytes, info: bytes) -> tuple[bytes, Chain]:
    output = hkdf(root_key, secrets, info, 2 * KEY_BYTES)
    return output[:KEY_BYTES], Chain(output[KEY_BYTES:], 0)


def skip(chain: Chain, wanted: int) -> tuple[list[tuple[int, bytes]], Chain]:
    """The (number, message key) of everything before the message `wanted`, and the chain at it."""
    keys = []
    while chain.number < wanted:
        number = chain.number
        message_key, chain = chain.step()
        keys.append((number, message_key))
    return keys, chain
