"""A backup as a file: whatever happens to it, all of it is read, or nothing counts."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.backups import backup_file
from e2ee.client.backups.backup_file import RECORD_BYTES, BackupReader, BackupWriter, Draft, refuse_existing
from e2ee.crypto import primitives
from e2ee.crypto.backup_chunks import CHUNK_BYTES, HEAD_BYTES, TAG_BYTES
from e2ee.errors import Code, Failure
from e2ee.testing.entropy import seeded_entropy

SEALED_BYTES = CHUNK_BYTES + TAG_BYTES


class _File(BytesIO):
    """A file in memory; there is nothing to have on the disk."""

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_RDONLY)


class FileCase(SynchronousTestCase):
    """Files in memory, with an Argon2id that is cheap."""

    def setUp(self) -> None:
        derive = primitives.argon2id
        self.patch(primitives, "argon2id", lambda p, s, *_: derive(p, s, 64, 1, 1))
        self.patch(os, "fsync", lambda _: None)

    def written(self, *records: bytes, passphrase: bytes = b"right", seed: str = "file") -> bytes:
        file = _File()
        writer = BackupWriter(file, passphrase, seeded_entropy(seed))
        for record in records:
            writer.add(record)
        writer.finish()
        return file.getvalue()

    def read(self, content: bytes, passphrase: bytes = b"right") -> list[bytes]:
        reader = BackupReader(BytesIO(content), "FILE")
        reader.unlock(passphrase)
        return list(reader.records())

    def refused(self, content: bytes, passphrase: bytes = b"right") -> Failure:
        with self.assertRaises(Failure) as raised:
            self.read(content, passphrase)
        self.assertIn("FILE", raised.exception.sentence)
        failure: Failure = raised.exception
        return failure


class ReadingTests(FileCase):
    """What was written is read."""

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=60))
    def test_records_come_back_in_order(self, records: list[bytes]) -> None:
        self.assertEqual(self.read(self.written(*records)), records)

    def test_around_the_size_of_a_chunk(self) -> None:
        for chunks in (1, 2):
            for off in (-1, 0, 1):
                record = b"x" * (chunks * CHUNK_BYTES - 4 + off)
                content = self.written(record)
                full = chunks + (off > 0)
                self.assertEqual(len(content), HEAD_BYTES + len(record) + 4 + full * TAG_BYTES)
                self.assertEqual(self.read(content), [record])

    def test_the_longest_record(self) -> None:
        record = b"x" * RECORD_BYTES
        self.assertEqual(self.read(self.written(record, b"y")), [record, b"y"])
        for wrong in (b"", record + b"x"):
            with self.assertRaises(ValueError):
                self.written(wrong)

    def test_nothing_of_it_is_in_the_clear(self) -> None:
        content = self.written(b"nobody else reads this", passphrase=b"correct horse")
        self.assertNotIn(b"nobody", content)
        self.assertNotIn(b"correct", content)


class RefusalTests(FileCase):
    """What is not as it was written is refused, with one sentence."""

    def setUp(self) -> None:
        super().setUp()
        self.records = [bytes((number,)) * 20_000 for number in range(1, 10)]
        self.content = self.written(*self.records)
        self.sealed = self.content[HEAD_BYTES:]

    def test_another_passphrase(self) -> None:
        self.assertIs(self.refused(self.content, b"wrong").code, Code.PASSPHRASE)

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_any_changed_bit(self, data: st.DataObject) -> None:
        changed = bytearray(self.content)
        bit = data.draw(st.integers(0, 8 * len(changed) - 1))
        changed[bit // 8] ^= 1 << bit % 8
        self.assertIn(self.refused(bytes(changed)).code, (Code.FAILED, Code.PASSPHRASE))

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_any_shorter_file(self, data: st.DataObject) -> None:
        self.refused(self.content[: data.draw(st.integers(0, len(self.content) - 1))])

    def test_cut_off_at_each_chunk(self) -> None:
        for end in range(0, len(self.sealed), SEALED_BYTES):
            self.assertIs(self.refused(self.content[: HEAD_BYTES + end]).code, Code.FAILED)

    @settings(deadline=None, max_examples=30)
    @given(st.binary(min_size=1, max_size=300))
    def test_any_longer_file(self, more: bytes) -> None:
        self.assertIs(self.refused(self.content + more).code, Code.FAILED)

    def test_chunks_moved_repeated_or_left_out(self) -> None:
        chunks = [self.sealed[at : at + SEALED_BYTES] for at in range(0, len(self.sealed), SEALED_BYTES)]
        self.assertEqual(len(chunks), 3)
        head = self.content[:HEAD_BYTES]
        self.assertEqual(self.read(head + b"".join(chunks)), self.records)
        for order in ((1, 0, 2), (0, 0, 1, 2), (0, 2), (1, 2), (0, 1, 2, 2), (0, 1), (2,)):
            self.assertIs(self.refused(head + b"".join(chunks[one] for one in order)).code, Code.FAILED)

    def test_the_chunks_of_another_file_of_the_same_passphrase(self) -> None:
        other = self.written(*self.records, seed="another")
        self.refused(other[:HEAD_BYTES] + self.sealed)
        self.refused(other[: HEAD_BYTES + SEALED_BYTES] + self.sealed[SEALED_BYTES:])

    def test_foreign_files(self) -> None:
        for content in (b"", b"SQLite format 3\0" * 100, b"E2EEBKUP", bytes(1000)):
            self.assertIn("not a backup", self.refused(content).sentence)
        newer = self.content[:8] + b"\x02" + self.content[9:]
        self.assertIn("format", self.refused(newer).sentence)

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=400))
    def test_lengths_that_lie_behind_a_genuine_seal(self, garbage: bytes) -> None:
        """Nobody without the passphrase can make these; they end in the same sentence all the same."""
        file = _File()
        writer = BackupWriter(file, b"right", seeded_entropy("garbage"))
        writer._buffer += b"\xff\xff\xff\xff" + garbage
        writer.finish()
        self.assertIs(self.refused(file.getvalue()).code, Code.FAILED)

    def test_a_record_that_ends_behind_the_file(self) -> None:
        file = _File()
        writer = BackupWriter(file, b"right", seeded_entropy("short"))
        writer._buffer += (10).to_bytes(4, "big") + b"nine....."
        writer.finish()
        self.assertIs(self.refused(file.getvalue()).code, Code.FAILED)


class DraftTests(SynchronousTestCase):
    """A file that appears whole or not at all."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.final = self.directory / "alice.backup"
        self.draft = Draft(self.final, seeded_entropy("draft"))

    def write(self, content: bytes) -> None:
        with self.draft.open() as file:
            file.write(content)

    def test_it_has_its_name_only_when_it_is_published(self) -> None:
        self.write(b"content")
        self.assertFalse(self.final.exists())
        self.draft.publish()
        self.assertEqual(self.final.read_bytes(), b"content")
        self.assertEqual(self.final.stat().st_mode & 0o777, 0o600)
        self.draft.discard()
        self.assertEqual(list(self.directory.iterdir()), [self.final])

    def test_it_never_replaces_a_file_with_or_without_hard_links(self) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError("no links here")

        for links in (True, False):
            if not links:
                self.patch(os, "link", refuse)
            self.write(b"new")
            self.final.write_bytes(b"old")
            self.assertRaises(FileExistsError, self.draft.publish)
            self.assertEqual(self.final.read_bytes(), b"old")
            self.final.unlink()
            self.draft.publish()
            self.assertEqual(self.final.read_bytes(), b"new")
            self.final.unlink()

    def test_what_is_discarded_leaves_nothing(self) -> None:
        self.write(b"content")
        self.draft.discard()
        self.assertEqual(list(self.directory.iterdir()), [])
        self.draft.discard()

    def test_even_a_link_to_nowhere_is_a_file_that_is_there(self) -> None:
        self.final.symlink_to("nowhere")
        self.assertRaises(FileExistsError, refuse_existing, self.final)

    def test_a_second_attempt_begins_anew(self) -> None:
        self.write(b"a longer content")
        self.write(b"short")
        self.draft.publish()
        self.assertEqual(self.final.read_bytes(), b"short")

    def test_a_very_long_name_fits(self) -> None:
        draft = backup_file.Draft(self.directory / ("x" * 250), seeded_entropy("long"))
        with draft.open() as file:
            file.write(b"content")
        draft.publish()
