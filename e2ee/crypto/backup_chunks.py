"""The encryption of a backup file: a head bound to a passphrase, then numbered chunks.

Knows bytes and keys, not what is backed up nor where the file is. Chunked authenticated encryption
after the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption
and its Nonce-Reuse Misuse-Resistance", 2015): each chunk's nonce is its number and whether it is the
last, so that none can be left out, added, moved or taken from another file. See
`docs/cryptography.md`, "Backups".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from e2ee.crypto import labels, limits, primitives
from e2ee.crypto.primitives import HASH_BYTES, Entropy
from e2ee.errors import EncodingRefused, OpenFailed

MAGIC = b"E2EEBKUP"
VERSION = 1
CHUNK_BYTES = 64 * 1024
"""Plaintext of a chunk: what a reader has in memory before it knows that the bytes are genuine."""
TAG_BYTES = 16

_COSTS = struct.Struct(">IIB")
_SALT_AT = len(MAGIC) + 1 + _COSTS.size
_FACTS_BYTES = _SALT_AT + limits.SALT_BYTES
HEAD_BYTES = _FACTS_BYTES + HASH_BYTES
_NUMBER_BYTES = primitives.NONCE_BYTES - 1


class OtherVersion(EncodingRefused):
    """A backup of a format that this module does not know."""


@dataclass(frozen=True, slots=True)
class BackupKeys:
    """The keys of one file, made from the passphrase and all of the head but its tag."""

    chunk_key: bytes = field(repr=False)
    head_tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BackupHead:
    """What a file begins with. `memory_kib`, `iterations` and `lanes` are Argon2id's costs (RFC 9106)."""

    memory_kib: int
    iterations: int
    lanes: int
    salt: bytes

    def derive(self, passphrase: bytes) -> BackupKeys:
        """The keys under this passphrase. Takes 0.1 s and 64 MiB or more: run it in a thread."""
        costs = self.memory_kib, self.iterations, self.lanes
        master = primitives.argon2id(passphrase, self.salt, *costs)
        facts = self._facts()
        info = labels.BACKUP_KEYS + primitives.sha256(facts)
        chunk_key, head_key = primitives.hkdf_expand_pair(master, info)
        return BackupKeys(chunk_key, primitives.hmac_sha256(head_key, facts))

    def encode(self, keys: BackupKeys) -> bytes:
        """The first HEAD_BYTES of the file: magic, version, costs, salt, tag."""
        return self._facts() + keys.head_tag

    def _facts(self) -> bytes:
        costs = _COSTS.pack(self.memory_kib, self.iterations, self.lanes)
        return MAGIC + bytes((VERSION,)) + costs + self.salt


def new_head(entropy: Entropy) -> BackupHead:
    """The head of a new file: a salt of its own, and the present costs."""
    return BackupHead(
        limits.ARGON2_MEMORY_KIB, limits.ARGON2_ITERATIONS, limits.ARGON2_LANES, entropy(limits.SALT_BYTES)
    )


def decode_head(head: bytes) -> BackupHead:
    """From the first HEAD_BYTES of a file, unverified: `check_head` comes next.

    Raises OtherVersion, or EncodingRefused for what is no backup or asks for costs out of bounds:
    lower ones than we ever wrote, or so high that they would only tie this machine up.
    """
    if not head.startswith(MAGIC):
        raise EncodingRefused("not a backup")
    if len(head) > len(MAGIC) and head[len(MAGIC)] != VERSION:
        raise OtherVersion("a backup of another version")
    if len(head) != HEAD_BYTES:
        raise EncodingRefused("too short")
    memory_kib, iterations, lanes = _COSTS.unpack(head[len(MAGIC) + 1 : _SALT_AT])
    enough = memory_kib >= limits.ARGON2_MEMORY_KIB and iterations >= 1 and lanes >= 1
    bearable = (
        memory_kib <= limits.BACKUP_MEMORY_KIB_MAX
        and iterations <= limits.BACKUP_ITERATIONS_MAX
        and lanes <= limits.BACKUP_LANES_MAX
    )
    if not (enough and bearable):
        raise EncodingRefused("costs out of bounds")
    return BackupHead(memory_kib, iterations, lanes, head[_SALT_AT:_FACTS_BYTES])


def check_head(head: bytes, keys: BackupKeys) -> None:
    """Raises OpenFailed for keys of another passphrase, or a head that was changed."""
    if not primitives.equal(head[_FACTS_BYTES:], keys.head_tag):
        raise OpenFailed


def seal_chunk(chunk_key: bytes, number: int, last: bool, chunk: bytes) -> bytes:
    """Chunk `number`, counted from 0. ValueError for a size that no chunk has at its place."""
    if not 0 < len(chunk) <= CHUNK_BYTES or (len(chunk) < CHUNK_BYTES and not last):
        raise ValueError(f"a chunk has {CHUNK_BYTES} bytes, the last one 1 to {CHUNK_BYTES}")
    return primitives.aead_seal(chunk_key, _nonce(number, last), chunk, labels.BACKUP_CHUNK)


def open_chunk(keys: BackupKeys, number: int, last: bool, sealed: bytes) -> bytes:
    """The reverse; raises OpenFailed, also for a chunk of another place or length."""
    size = len(sealed) - TAG_BYTES
    if not 0 < size <= CHUNK_BYTES or (size < CHUNK_BYTES and not last):
        raise OpenFailed
    return primitives.aead_open(keys.chunk_key, _nonce(number, last), sealed, labels.BACKUP_CHUNK)


def _nonce(number: int, last: bool) -> bytes:
    """No two chunks of a file have the same, and no two files the same key."""
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes((last,))
