"""The chunks of files on a real disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from unittest import mock

from e2ee.errors import StoreUnavailable
from e2ee.store.server.ports import CHUNK_BYTES, Shelf
from e2ee.store.server.shelf import DirectoryShelf
from tests.store.contract import files

ID = b"f" * 16


class DirectoryShelfTests(files.ShelfContract):
    """Modes, what is on the disk, and disks that are full."""

    def new_shelf(self) -> Shelf:
        self.path = Path(self.mktemp())
        return DirectoryShelf(self.path)

    def test_nobody_else_may_read_them(self) -> None:
        self.shelf.append(ID, 0, self.chunks)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)
        self.assertEqual([stat.S_IMODE(each.stat().st_mode) for each in self.path.iterdir()], [0o600])

    def test_chunks_are_on_the_disk_when_append_returns(self) -> None:
        with mock.patch("os.fsync", side_effect=os.fsync) as synced:
            self.shelf.append(ID, 0, self.chunks[:2])
            self.assertEqual(synced.call_count, 3)  # the chunks, their name, the directory's
            self.shelf.append(ID, 2, self.chunks[2:])
            self.assertEqual(synced.call_count, 4)

    def test_all_of_them_are_written_before_they_are_synced(self) -> None:
        calls = mock.Mock()
        calls.write.side_effect, calls.sync.side_effect = os.pwrite, os.fsync
        self.shelf.append(ID, 0, self.chunks[:1])
        with mock.patch("os.pwrite", calls.write), mock.patch("os.fsync", calls.sync):
            self.shelf.append(ID, 1, self.chunks[1:3])
        self.assertEqual([name for name, *_ in calls.mock_calls], ["write", "write", "sync"])

    def test_a_full_disk_keeps_nothing_of_a_batch(self) -> None:
        self.shelf.append(ID, 0, self.chunks[:1])
        for which in ("pwrite", "fsync"):
            with mock.patch(f"os.{which}", side_effect=OSError(errno.ENOSPC, "full")):
                self.assertRaises(StoreUnavailable, self.shelf.append, ID, 1, self.chunks[1:])
            self.assertEqual((self.path / ID.hex()).stat().st_size, CHUNK_BYTES)

    def test_room_is_left_to_others(self) -> None:
        room = os.statvfs(".")
        free = room.f_bavail * room.f_frsize
        shelf = DirectoryShelf(self.path, headroom_bytes=2 * free)
        self.assertRaises(StoreUnavailable, shelf.append, ID, 0, self.chunks)

    def test_exactly_the_headroom_is_left(self) -> None:
        shelf = DirectoryShelf(self.path, headroom_bytes=10 * CHUNK_BYTES)
        with mock.patch("os.statvfs", return_value=mock.Mock(f_bavail=11 * CHUNK_BYTES, f_frsize=1)):
            shelf.append(ID, 0, self.chunks[:1])
        with mock.patch("os.statvfs", return_value=mock.Mock(f_bavail=11 * CHUNK_BYTES - 1, f_frsize=1)):
            self.assertRaises(StoreUnavailable, shelf.append, ID, 1, self.chunks[:1])

    def test_what_is_written_in_parts_is_whole(self) -> None:
        write = os.pwrite
        with mock.patch("os.pwrite", lambda to, data, at: write(to, bytes(data[:1000]), at)):
            self.shelf.append(ID, 0, self.chunks[:2])
        self.assertTrue(all(self.shelf.read(ID, index) == self.chunks[index] for index in range(2)))

    def test_what_lies_behind_is_cut_off_by_the_next_append(self) -> None:
        self.shelf.append(ID, 0, self.chunks)
        self.shelf.append(ID, 1, self.chunks[3:])
        self.assertEqual((self.shelf.stored(ID), self.shelf.read(ID, 2)), (2, None))

    def test_another_error_is_not_taken_for_a_full_disk(self) -> None:
        with mock.patch("os.pwrite", side_effect=OSError(errno.EIO, "broken")):
            self.assertRaises(OSError, self.shelf.append, ID, 0, self.chunks)

    def test_a_torn_chunk_does_not_count(self) -> None:
        self.shelf.append(ID, 0, self.chunks[:2])
        os.truncate(self.path / ID.hex(), 2 * CHUNK_BYTES - 1)
        self.assertEqual(self.shelf.stored(ID), 1)
        self.assertIsNone(self.shelf.read(ID, 1))

    def test_a_file_that_was_removed_is_not_gone_on_with(self) -> None:
        self.shelf.append(ID, 0, self.chunks[:1])
        self.shelf.remove(ID)
        self.assertRaises(OSError, self.shelf.append, ID, 1, self.chunks[1:])
        self.assertEqual(self.shelf.file_ids(), [])

    def test_links_are_not_followed(self) -> None:
        elsewhere = Path(self.mktemp())
        elsewhere.write_bytes(b"x" * CHUNK_BYTES)
        self.path.mkdir()
        (self.path / ID.hex()).symlink_to(elsewhere.absolute())
        self.assertRaises(OSError, self.shelf.append, ID, 0, self.chunks)
        self.assertRaises(OSError, self.shelf.read, ID, 0)

    def test_what_is_no_file_of_ours_is_left_alone(self) -> None:
        self.path.mkdir()
        (self.path / "README").write_text("hello")
        self.assertEqual(self.shelf.file_ids(), [])
