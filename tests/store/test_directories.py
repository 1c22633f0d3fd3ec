"""A name is on the disk when its directory is."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.directories import sync_directory


class SyncTests(SynchronousTestCase):
    """The directory itself goes to the disk, and stays open for nobody."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.synced: list[int] = []
        self.failure: OSError | None = None

    def fsync(self, descriptor: int) -> None:
        self.assertTrue(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        self.synced.append(descriptor)
        if self.failure is not None:
            raise self.failure

    def test_the_directory_is_synced_and_closed(self) -> None:
        with mock.patch("os.fsync", self.fsync):
            sync_directory(self.path)
            self.failure = OSError(errno.EIO, "broken")
            self.assertRaises(OSError, sync_directory, self.path)
        self.assertEqual(len(self.synced), 2)
        for descriptor in self.synced:
            self.assertRaises(OSError, os.fstat, descriptor)

    def test_a_file_is_no_directory(self) -> None:
        (self.path / "file").write_bytes(b"")
        self.assertRaises(NotADirectoryError, sync_directory, self.path / "file")
