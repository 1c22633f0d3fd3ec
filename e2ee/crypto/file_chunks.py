"""Encryption of a file in chunks under a key of its own: AES-256-CBC, then HMAC-SHA256 over it and its place.

Knows bytes, sizes and keys; not where chunks are kept, nor how the key gets to its recipient (`content`).
All chunks of a file are sealed to one length, the last one as well. What a chunk is for stands under its
MAC: file, size, index and whether it is the last; so none can be left out, added, moved or taken from
another file. See `docs/cryptography.md`, "Files".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto import labels, primitives
from e2ee.crypto.encoding import number
from e2ee.crypto.limits import COUNTERS, FILE_CHUNK_BYTES
from e2ee.crypto.primitives import BLOCK_BYTES, HASH_BYTES, IV_BYTES, KEY_BYTES, Entropy
from e2ee.errors import OpenFailed

FILE_ID_BYTES = 16
CAPABILITY_BYTES = 16
SEALED_BYTES = IV_BYTES + FILE_CHUNK_BYTES + BLOCK_BYTES + HASH_BYTES
"""IV, the chunk and a block of PKCS#7, tag."""


def chunk_count(size: int) -> int:
    """How many chunks a file of `size` bytes has; an empty one has one."""
    return max(1, -(-size // FILE_CHUNK_BYTES))


def chunk_size(size: int, index: int) -> int:
    """How many bytes of the file are in this chunk."""
    return min(FILE_CHUNK_BYTES, size - index * FILE_CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class FileKeys:
    """The keys of one file of `size` bytes; `derive_file_keys` makes them."""

    file_id: bytes
    size: int
    cipher_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)

    def seal(self, index: int, chunk: bytes, entropy: Entropy) -> bytes:
        """Chunk `index`, counted from 0, as SEALED_BYTES: IV, ciphertext, tag. Each time with a fresh IV.

        ValueError for a chunk of another length than its place has.
        """
        if not 0 <= index < chunk_count(self.size) or len(chunk) != chunk_size(self.size, index):
            raise ValueError("no chunk of this file has this place and length")
        iv = entropy(IV_BYTES)
        padded = chunk.ljust(FILE_CHUNK_BYTES, b"\0")
        sealed = iv + primitives.aes_cbc_encrypt(self.cipher_key, iv, padded)
        return sealed + primitives.hmac_sha256(self.mac_key, self._place(index) + sealed)

    def open(self, index: int, sealed: bytes) -> bytes:
        """The reverse; raises OpenFailed for anything that `seal` would not have made for this place."""
        if len(sealed) != SEALED_BYTES or not 0 <= index < chunk_count(self.size):
            raise OpenFailed
        covered, tag = sealed[:-HASH_BYTES], sealed[-HASH_BYTES:]
        if not primitives.equal(primitives.hmac_sha256(self.mac_key, self._place(index) + covered), tag):
            raise OpenFailed
        padded = primitives.aes_cbc_decrypt(self.cipher_key, covered[:IV_BYTES], covered[IV_BYTES:])
        length = chunk_size(self.size, index)
        if len(padded) != FILE_CHUNK_BYTES or padded.count(0, length) != FILE_CHUNK_BYTES - length:
            raise OpenFailed
        return padded[:length]

    def _place(self, index: int) -> bytes:
        last = index == chunk_count(self.size) - 1
        place = number(self.size, 8) + number(index, 8) + number(last, 1)
        return labels.FILE_CHUNK + self.file_id + place


def derive_file_keys(key: bytes, file_id: bytes, size: int) -> FileKeys:
    """The keys of a file, from the 32 random bytes that its recipient gets. ValueError for other lengths."""
    if len(key) != KEY_BYTES or len(file_id) != FILE_ID_BYTES or not 0 <= size < COUNTERS:
        raise ValueError("no file has such a key, id or size")
    cipher_key, mac_key = primitives.hkdf_expand_pair(key, labels.FILE_KEYS + file_id)
    return FileKeys(file_id, size, cipher_key, mac_key)
