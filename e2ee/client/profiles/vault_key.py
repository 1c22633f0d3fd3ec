"""The vault's key file: a random database key, wrapped by one from the passphrase.

Knows the file's layout and how long the derivation takes; not where passphrases come from. Changing
the passphrase wraps the same key again, so the database is never rewritten. See
`docs/cryptography.md`, the vault; Argon2id is RFC 9106.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from e2ee.crypto import limits, primitives
from e2ee.errors import Code, Failure, OpenFailed

DATABASE_KEY_BYTES = 32
SALT_BYTES = 16
KEY_FILE_BYTES = 512
"""More than a key file has; what a damaged one may cost to read."""

_MAGIC = b"E2EK\x01"
_COSTS = struct.Struct(">IIB")
_WRAPPED_BYTES = primitives.NONCE_BYTES + DATABASE_KEY_BYTES + 16
_MEMORY_KIB_MAX = 4 * 1024 * 1024
_ITERATIONS_MAX = 1000

_DAMAGED = "the profile's key file is damaged"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """What stands in the file. `memory_kib`, `iterations` and `lanes` are Argon2id's costs."""

    salt: bytes
    memory_kib: int
    iterations: int
    lanes: int
    wrapped: bytes

    def encode(self) -> bytes:
        """The file's content."""
        costs = _COSTS.pack(self.memory_kib, self.iterations, self.lanes)
        return _MAGIC + costs + self.salt + self.wrapped

    @classmethod
    def decode(cls, content: bytes) -> WrappedKey:
        """From the file's content; raises Failure(FAILED) where it is not one of ours."""
        costs_end = len(_MAGIC) + _COSTS.size
        salt_end = costs_end + SALT_BYTES
        if not content.startswith(_MAGIC) or len(content) != salt_end + _WRAPPED_BYTES:
            raise Failure(Code.FAILED, _DAMAGED)
        memory_kib, iterations, lanes = _COSTS.unpack(content[len(_MAGIC) : costs_end])
        enough = memory_kib >= limits.ARGON2_MEMORY_KIB and iterations >= 1 and lanes >= 1
        if not enough or memory_kib > _MEMORY_KIB_MAX or iterations > _ITERATIONS_MAX:
            raise Failure(Code.FAILED, _DAMAGED)
        return cls(content[costs_end:salt_end], memory_kib, iterations, lanes, content[salt_end:])

    def unwrap(self, passphrase: bytes) -> bytes:
        """The database key, 32 bytes. Takes 0.1 s and 64 MiB: run it in a thread.

        Raises Failure(PASSPHRASE) for another passphrase.
        """
        wrapping = primitives.argon2id(passphrase, self.salt, self.memory_kib, self.iterations, self.lanes)
        try:
            return primitives.unwrap_key(wrapping, self.wrapped)
        except OpenFailed:
            raise Failure(Code.PASSPHRASE, "the passphrase does not open this profile") from None


def wrap(passphrase: bytes, entropy: Callable[[int], bytes]) -> tuple[bytes, WrappedKey]:
    """A new random database key of 32 bytes, and the same wrapped for the file.

    Takes 0.1 s and 64 MiB: run it in a thread.
    """
    key = entropy(DATABASE_KEY_BYTES)
    return key, wrap_again(key, passphrase, entropy)


def wrap_again(key: bytes, passphrase: bytes, entropy: Callable[[int], bytes]) -> WrappedKey:
    """This database key, wrapped under a passphrase, with a salt and a nonce of its own. As `wrap`."""
    salt = entropy(SALT_BYTES)
    costs = (limits.ARGON2_MEMORY_KIB, limits.ARGON2_ITERATIONS, limits.ARGON2_LANES)
    wrapping = primitives.argon2id(passphrase, salt, *costs)
    return WrappedKey(salt, *costs, primitives.wrap_key(wrapping, key, entropy))
