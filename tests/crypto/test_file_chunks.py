"""A file's encryption: docs/cryptography.md, "Files"."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.file_chunks import (
    SEALED_BYTES,
    FileKeys,
    chunk_count,
    chunk_size,
    derive_file_keys,
)
from e2ee.crypto.limits import FILE_CHUNK_BYTES
from e2ee.errors import OpenFailed
from e2ee.testing.entropy import seeded_entropy

KEY, FILE_ID = b"k" * 32, b"f" * 16
ENTROPY = seeded_entropy("files")


def keys(size: int, key: bytes = KEY, file_id: bytes = FILE_ID) -> FileKeys:
    return derive_file_keys(key, file_id, size)


def content(size: int) -> bytes:
    return (b"0123456789abcde" * (size // 15 + 1))[:size]


def sealed_chunks(size: int) -> list[bytes]:
    whole, of = content(size), keys(size)
    return [
        of.seal(index, whole[index * FILE_CHUNK_BYTES :][:FILE_CHUNK_BYTES], ENTROPY)
        for index in range(chunk_count(size))
    ]


class ChunkTests(SynchronousTestCase):
    """Every chunk opens at its own place, and nowhere else."""

    def test_files_of_many_sizes(self) -> None:
        chunk = FILE_CHUNK_BYTES
        for size in (0, 1, 15, 16, chunk - 1, chunk, chunk + 1, 3 * chunk, 3 * chunk + 5):
            sealed = sealed_chunks(size)
            self.assertEqual({len(each) for each in sealed}, {SEALED_BYTES})
            opened = b"".join(keys(size).open(index, each) for index, each in enumerate(sealed))
            self.assertEqual(opened, content(size))

    def test_how_many_chunks_and_how_long(self) -> None:
        chunk = FILE_CHUNK_BYTES
        self.assertEqual([chunk_count(size) for size in (0, 1, chunk, chunk + 1)], [1, 1, 1, 2])
        self.assertEqual([chunk_size(chunk + 1, index) for index in (0, 1)], [chunk, 1])

    def test_the_server_sees_only_how_many_chunks_there_are(self) -> None:
        self.assertEqual(list(map(len, sealed_chunks(1))), list(map(len, sealed_chunks(FILE_CHUNK_BYTES))))

    def test_the_same_chunk_never_looks_the_same(self) -> None:
        of = keys(5)
        self.assertNotEqual(of.seal(0, b"hello", ENTROPY), of.seal(0, b"hello", ENTROPY))

    def test_an_exchanged_a_moved_or_a_shortened_one_does_not_open(self) -> None:
        size = 3 * FILE_CHUNK_BYTES
        sealed = sealed_chunks(size)
        for index in range(3):
            for place in (0, 1, 2, 3, -1):
                if place != index:
                    self.assertRaises(OpenFailed, keys(size).open, place, sealed[index])
        for broken in (b"", sealed[0][:-1], sealed[0] + b"x"):
            self.assertRaises(OpenFailed, keys(size).open, 0, broken)

    def test_a_file_is_neither_shorter_nor_longer_than_it_was_announced(self) -> None:
        """Its size stands under the MAC of every chunk, and so does which one is the last."""
        chunk = FILE_CHUNK_BYTES
        sealed = sealed_chunks(2 * chunk)
        for size in (chunk, 2 * chunk - 1, 2 * chunk + 1, 3 * chunk):
            self.assertRaises(OpenFailed, keys(size).open, 0, sealed[0])

    def test_chunks_of_another_file_do_not_open(self) -> None:
        sealed = sealed_chunks(10)[0]
        self.assertRaises(OpenFailed, keys(10, key=b"x" * 32).open, 0, sealed)
        self.assertRaises(OpenFailed, keys(10, file_id=b"x" * 16).open, 0, sealed)

    def test_what_is_behind_the_end_must_be_zeros(self) -> None:
        """Whoever has the key can write other padding; it is no encoding of this file."""
        from e2ee.crypto import primitives

        of = keys(5)
        iv = b"i" * 16
        covered = iv + primitives.aes_cbc_encrypt(of.cipher_key, iv, b"hello".ljust(FILE_CHUNK_BYTES, b"!"))
        tag = primitives.hmac_sha256(of.mac_key, of._place(0) + covered)
        self.assertRaises(OpenFailed, of.open, 0, covered + tag)

    def test_no_chunk_of_another_length_is_sealed(self) -> None:
        of = keys(5)
        for index, chunk in ((0, b""), (0, b"hell"), (0, b"hello!"), (1, b""), (-1, b"hello")):
            self.assertRaises(ValueError, of.seal, index, chunk, ENTROPY)

    def test_no_file_has_another_key_id_or_size(self) -> None:
        wrong_ones = (b"k" * 31, FILE_ID, 1), (KEY, b"f" * 15, 1), (KEY, FILE_ID, -1), (KEY, FILE_ID, 2**53)
        for wrong in wrong_ones:
            self.assertRaises(ValueError, derive_file_keys, *wrong)

    def test_keys_are_in_no_repr(self) -> None:
        self.assertNotIn("key", repr(keys(1)).replace("FileKeys", ""))

    def test_any_bit_counts(self) -> None:
        sealed = sealed_chunks(100)[0]

        @settings(deadline=None, max_examples=50)
        @given(at=st.integers(0, SEALED_BYTES - 1), flip=st.integers(1, 255))
        def changed(at: int, flip: int) -> None:
            other = bytearray(sealed)
            other[at] ^= flip
            self.assertRaises(OpenFailed, keys(100).open, 0, bytes(other))

        changed()
