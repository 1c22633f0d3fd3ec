"""The forgetful disk loses what was not synced, and keeps what was."""

from __future__ import annotations

import errno
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.forgetful_disk import File, ForgetfulDisk


class ForgetfulDiskTests(SynchronousTestCase):
    """One disk, and its power."""

    def setUp(self) -> None:
        self.disk = ForgetfulDisk()

    def file(self, path: str, content: bytes, *, synced: bool) -> File:
        file = self.disk.make_file(path, 0o600)
        self.disk.write(file, content, 0)
        if synced:
            self.disk.sync(file)
        return file

    def back(self) -> None:
        self.disk.cut_power()
        self.disk.restore_power()

    def content(self, path: str) -> bytes:
        return self.disk.read(self.disk.file(path), 1_000, 0)

    def gone(self, path: str) -> bool:
        try:
            self.disk.find(path)
        except OSError as error:
            return error.errno == errno.ENOENT
        return False

    def test_programs_see_at_once_what_they_write(self) -> None:
        file = self.file("/a", b"hello", synced=False)
        self.disk.write(file, b"J", 0)
        self.disk.write(file, b"!", 7)
        self.assertEqual(self.content("/a"), b"Jello\0\0!")
        self.disk.truncate(file, 2)
        self.assertEqual(self.content("/a"), b"Je")
        self.disk.truncate(file, 3)
        self.assertEqual(self.content("/a"), b"Je\0")

    def test_content_survives_only_if_it_was_synced(self) -> None:
        file = self.file("/a", b"kept", synced=True)
        self.disk.sync(self.disk.root)
        self.disk.write(file, b"lost", 0)
        self.back()
        self.assertEqual(self.content("/a"), b"kept")

    def test_a_name_survives_only_if_its_directory_was_synced(self) -> None:
        """The content alone is no help: nobody finds it."""
        self.file("/named", b"x", synced=True)
        self.disk.sync(self.disk.root)
        self.file("/nameless", b"x", synced=True)
        self.back()
        self.assertFalse(self.gone("/named"))
        self.assertTrue(self.gone("/nameless"))

    def test_a_name_without_synced_content_is_an_empty_file(self) -> None:
        self.file("/a", b"lost", synced=False)
        self.disk.sync(self.disk.root)
        self.back()
        self.assertEqual(self.content("/a"), b"")

    def test_a_directory_that_its_parent_does_not_know_is_gone_with_all_in_it(self) -> None:
        self.disk.make_directory("/d", 0o700)
        self.file("/d/a", b"x", synced=True)
        self.disk.sync(self.disk.directory("/d"))
        self.back()
        self.assertTrue(self.gone("/d"))

    def test_a_rename_is_undone_until_its_directory_was_synced(self) -> None:
        self.file("/old", b"1", synced=True)
        self.disk.sync(self.disk.root)
        self.file("/new", b"2", synced=True)
        self.disk.rename("/new", "/old")
        self.assertEqual(self.content("/old"), b"2")
        self.back()
        self.assertEqual(self.content("/old"), b"1")
        self.file("/new", b"3", synced=True)
        self.disk.rename("/new", "/old")
        self.disk.sync(self.disk.root)
        self.back()
        self.assertEqual(self.content("/old"), b"3")

    def test_a_removed_name_comes_back_until_its_directory_was_synced(self) -> None:
        self.file("/a", b"1", synced=True)
        self.disk.sync(self.disk.root)
        self.disk.remove("/a")
        self.assertTrue(self.gone("/a"))
        self.back()
        self.assertFalse(self.gone("/a"))

    def test_without_power_everything_is_an_error(self) -> None:
        file = self.file("/a", b"x", synced=True)
        self.disk.cut_power()
        for operation in (
            lambda: self.disk.find("/a"),
            lambda: self.disk.write(file, b"y", 0),
            lambda: self.disk.read(file, 1, 0),
            lambda: self.disk.truncate(file, 0),
            lambda: self.disk.sync(file),
        ):
            with self.assertRaises(OSError) as caught:
                operation()
            self.assertEqual(caught.exception.errno, errno.EIO)

    def test_wrong_names_are_errors(self) -> None:
        self.file("/a", b"", synced=False)
        self.disk.make_directory("/d", 0o700)
        self.file("/d/b", b"", synced=False)
        for code, operation in (
            (errno.ENOENT, lambda: self.disk.find("/x")),
            (errno.ENOTDIR, lambda: self.disk.find("/a/b")),
            (errno.EISDIR, lambda: self.disk.file("/d")),
            (errno.EEXIST, lambda: self.disk.make_file("/a", 0o600)),
            (errno.ENOTEMPTY, lambda: self.disk.remove("/d")),
            (errno.EBUSY, lambda: self.disk.rename("/", "/e")),
        ):
            with self.assertRaises(OSError) as caught:
                operation()
            self.assertEqual(caught.exception.errno, code)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=8),
        st.integers(0, 8),
        st.integers(0, 2**32),
    )
    def test_with_luck_any_of_the_later_writes_and_all_of_the_synced_ones_survive(
        self, writes: list[tuple[int, bytes]], synced: int, seed: int
    ) -> None:
        """Each byte is that of the synced state or of a later write."""
        disk = ForgetfulDisk()
        file = disk.make_file("/a", 0o600)
        disk.sync(disk.root)
        for number, (offset, data) in enumerate(writes):
            if number == synced:
                disk.sync(file)
            disk.write(file, data, offset)
        later = writes[synced:] if synced < len(writes) else writes
        kept = bytes(file.on_platter)
        chance = random.Random(seed)
        disk.cut_power(lambda: chance.random() < 0.5)
        disk.restore_power()
        found = disk.read(disk.file("/a"), 1_000, 0)
        self.assertGreaterEqual(len(found), len(kept))
        for place, byte in enumerate(found):
            allowed = {kept[place] if place < len(kept) else 0}
            for offset, data in later:
                if offset <= place < offset + len(data):
                    allowed.add(data[place - offset])
            self.assertIn(byte, allowed)
