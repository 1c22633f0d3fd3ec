"""A backup's encryption: docs/cryptography.md, "Backups"."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import backup_chunks, limits, primitives
from e2ee.crypto.backup_chunks import (
    CHUNK_BYTES,
    HEAD_BYTES,
    MAGIC,
    BackupHead,
    BackupKeys,
    OtherVersion,
    check_head,
    decode_head,
    new_head,
    open_chunk,
    seal_chunk,
)
from e2ee.errors import EncodingRefused, OpenFailed
from e2ee.testing.entropy import seeded_entropy

KEYS = BackupKeys(b"\x01" * 32, b"\x02" * 32)
COSTS_AT = len(MAGIC) + 1


class HeadTests(SynchronousTestCase):
    """The head of a file, with an Argon2id that is cheap."""

    def setUp(self) -> None:
        derive = primitives.argon2id
        self.asked: list[tuple[int, ...]] = []

        def cheap(passphrase: bytes, salt: bytes, *costs: int) -> bytes:
            self.asked.append(costs)
            return derive(passphrase, salt, 64, 1, 1)

        self.patch(primitives, "argon2id", cheap)
        self.head = new_head(seeded_entropy("backup"))
        self.keys = self.head.derive(b"correct horse")
        self.encoded = self.head.encode(self.keys)

    def test_it_is_read_as_it_was_written_and_costs_what_a_vault_costs(self) -> None:
        self.assertEqual(len(self.encoded), HEAD_BYTES)
        self.assertEqual(decode_head(self.encoded), self.head)
        check_head(self.encoded, decode_head(self.encoded).derive(b"correct horse"))
        costs = limits.ARGON2_MEMORY_KIB, limits.ARGON2_ITERATIONS, limits.ARGON2_LANES
        self.assertEqual(self.asked, [costs, costs])

    def test_another_passphrase_is_refused(self) -> None:
        for passphrase in (b"", b"correct hors", b"Correct horse"):
            with self.assertRaises(OpenFailed):
                check_head(self.encoded, self.head.derive(passphrase))

    def test_every_bit_counts(self) -> None:
        """Changed anywhere, it is no backup, or the passphrase does not fit."""
        for bit in range(8 * HEAD_BYTES):
            changed = bytearray(self.encoded)
            changed[bit // 8] ^= 1 << bit % 8
            with self.assertRaises((EncodingRefused, OpenFailed)):
                check_head(bytes(changed), decode_head(bytes(changed)).derive(b"correct horse"))

    def test_every_length_but_its_own_is_refused(self) -> None:
        for size in range(HEAD_BYTES):
            with self.assertRaises(EncodingRefused):
                decode_head(self.encoded[:size])
        with self.assertRaises(EncodingRefused):
            decode_head(self.encoded + b"\0")

    def test_another_version_is_told_apart(self) -> None:
        for version in (0, 2, 255):
            with self.assertRaises(OtherVersion):
                decode_head(MAGIC + bytes((version,)) + self.encoded[COSTS_AT:])

    def test_costs_are_bounded_on_both_sides(self) -> None:
        """A file cannot be made cheap to guess at, nor tie the reader up."""
        least = limits.ARGON2_MEMORY_KIB, 1, 1
        most = (
            limits.BACKUP_MEMORY_KIB_MAX,
            limits.BACKUP_ITERATIONS_MAX,
            limits.BACKUP_LANES_MAX,
        )
        for place in range(3):
            for costs, step in ((least, -1), (most, 1)):
                head = BackupHead(*costs, self.head.salt)
                self.assertEqual(decode_head(head.encode(self.keys)), head)
                memory, iterations, lanes = (
                    cost + step * (at == place) for at, cost in enumerate(costs)
                )
                with self.assertRaises(EncodingRefused):
                    decode_head(BackupHead(memory, iterations, lanes, self.head.salt).encode(self.keys))

    def test_two_files_have_different_keys(self) -> None:
        other = new_head(seeded_entropy("another")).derive(b"correct horse")
        self.assertNotEqual(other.chunk_key, self.keys.chunk_key)

    def test_no_key_is_shown(self) -> None:
        self.assertEqual(repr(self.keys), "BackupKeys()")


class ChunkTests(SynchronousTestCase):
    """One chunk at its place."""

    @settings(deadline=None, max_examples=50)
    @given(st.binary(min_size=1, max_size=2000), st.integers(0, 2**40))
    def test_round_trip(self, chunk: bytes, number: int) -> None:
        sealed = seal_chunk(KEYS.chunk_key, number, True, chunk)
        self.assertEqual(open_chunk(KEYS, number, True, sealed), chunk)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(min_size=1, max_size=300), st.data())
    def test_a_changed_chunk_does_not_open(self, chunk: bytes, data: st.DataObject) -> None:
        sealed = bytearray(seal_chunk(KEYS.chunk_key, 3, True, chunk))
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        sealed[bit // 8] ^= 1 << bit % 8
        with self.assertRaises(OpenFailed):
            open_chunk(KEYS, 3, True, bytes(sealed))

    def test_it_opens_at_its_place_only(self) -> None:
        full = b"x" * CHUNK_BYTES
        sealed = seal_chunk(KEYS.chunk_key, 3, False, full)
        self.assertEqual(open_chunk(KEYS, 3, False, sealed), full)
        other = BackupKeys(b"\x03" * 32, b"\x02" * 32)
        for keys, number, last in ((KEYS, 2, False), (KEYS, 4, False), (KEYS, 3, True), (other, 3, False)):
            with self.assertRaises(OpenFailed):
                open_chunk(keys, number, last, sealed)

    def test_sizes(self) -> None:
        """All but the last are full, none is empty or longer."""
        seal_chunk(KEYS.chunk_key, 0, True, b"x" * CHUNK_BYTES)
        for size, last in ((0, True), (0, False), (CHUNK_BYTES - 1, False), (CHUNK_BYTES + 1, True)):
            with self.assertRaises(ValueError):
                seal_chunk(KEYS.chunk_key, 0, last, b"x" * size)
        nonce = backup_chunks._nonce(0, False)
        genuine = primitives.aead_seal(KEYS.chunk_key, nonce, b"short", b"e2ee/1 chunk of a backup")
        with self.assertRaises(OpenFailed):
            open_chunk(KEYS, 0, False, genuine)
        for sealed in (b"", bytes(16)):
            with self.assertRaises(OpenFailed):
                open_chunk(KEYS, 0, True, sealed)
