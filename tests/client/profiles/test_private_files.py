"""Files that only their owner can read, from their first moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.profiles.private_files import make_private_directory, read_secret, remove, write_private
from e2ee.errors import Code, Failure


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class PrivateFilesTests(SynchronousTestCase):
    """Modes, and all or nothing."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.root.mkdir()

    def under_umask(self, umask: int) -> None:
        before = os.umask(umask)
        self.addCleanup(os.umask, before)

    def test_directories_have_mode_0700_whatever_the_umask(self) -> None:
        self.under_umask(0o000)
        path = self.root / "data" / "e2ee" / "default"
        make_private_directory(path)
        self.assertEqual([mode(one) for one in (path, path.parent, path.parent.parent)], [0o700] * 3)

    def test_directories_that_were_made_are_on_the_disk(self) -> None:
        """Each new name is synced in its parent: else a power cut takes the profile with all in it."""
        synced: list[int] = []
        self.patch(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
        path = self.root / "data" / "default"
        make_private_directory(path)
        self.assertEqual(synced, [self.root.stat().st_ino, path.parent.stat().st_ino])
        synced.clear()
        make_private_directory(path)
        self.assertEqual(synced, [])

    def test_a_directory_that_was_open_to_others_is_narrowed_and_its_parents_are_not(self) -> None:
        path = self.root / "profile"
        path.mkdir()
        path.chmod(0o755)
        self.root.chmod(0o755)
        make_private_directory(path)
        self.assertEqual((mode(path), mode(self.root)), (0o700, 0o755))

    def test_a_file_in_the_place_of_a_directory_is_a_failure(self) -> None:
        (self.root / "file").write_text("")
        with self.assertRaises(Failure):
            make_private_directory(self.root / "file" / "profile")

    def test_files_have_mode_0600_whatever_the_umask(self) -> None:
        for umask in (0o000, 0o777):
            self.under_umask(umask)
            path = self.root / f"file-{umask:o}"
            write_private(path, b"content")
            self.assertEqual((mode(path), path.read_bytes()), (0o600, b"content"))

    def test_a_file_is_never_open_to_others_even_for_a_moment(self) -> None:
        self.under_umask(0o000)
        seen: list[int] = []
        fchmod = os.fchmod

        def look(descriptor: int, wanted: int) -> None:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            fchmod(descriptor, wanted)

        self.patch(os, "fchmod", look)
        write_private(self.root / "file", b"secret")
        self.assertEqual(seen, [0o600])

    def test_a_write_that_fails_leaves_the_old_content(self) -> None:
        path = self.root / "file"
        write_private(path, b"old")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        with self.assertRaises(OSError):
            write_private(path, b"new")
        self.assertEqual(path.read_bytes(), b"old")

    def test_a_draft_that_a_crash_left_is_overwritten(self) -> None:
        (self.root / "file.new").write_bytes(b"a longer draft from before")
        write_private(self.root / "file", b"new")
        self.assertEqual([one.name for one in self.root.iterdir()], ["file"])
        self.assertEqual((self.root / "file").read_bytes(), b"new")

    def test_a_link_in_the_place_of_the_draft_is_not_followed(self) -> None:
        target = self.root / "target"
        target.write_bytes(b"precious")
        (self.root / "file.new").symlink_to(target)
        with self.assertRaises(OSError):
            write_private(self.root / "file", b"new")
        self.assertEqual(target.read_bytes(), b"precious")

    def test_removing_what_is_not_there_is_no_error(self) -> None:
        remove(self.root / "nothing")


class SecretTests(SynchronousTestCase):
    """Reading what others must not be able to read."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def secret(self, content: bytes, permissions: int = 0o600) -> Path:
        self.path.write_bytes(content)
        self.path.chmod(permissions)
        return self.path

    def test_a_file_of_the_owner_is_read(self) -> None:
        self.assertEqual(read_secret(self.secret(b"secret\n"), 7), b"secret\n")

    def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(self) -> None:
        for permissions in (0o640, 0o604, 0o602, 0o620):
            with self.subTest(permissions=oct(permissions)), self.assertRaises(Failure) as raised:
                read_secret(self.secret(b"secret", permissions), 100)
            self.assertEqual(raised.exception.code, Code.PASSPHRASE)
            self.assertIn(f"chmod 600 {self.path}", raised.exception.sentence)
            self.path.unlink()

    def test_a_longer_one_or_none_is_refused(self) -> None:
        with self.assertRaises(Failure):
            read_secret(self.secret(b"secret"), 5)
        with self.assertRaises(Failure):
            read_secret(self.path.with_name("nothing"), 5)

    def test_a_pipe_has_no_mode_to_check(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"secret")
        os.close(writing)
        self.assertEqual(read_secret(Path(f"/dev/fd/{reading}"), 100), b"secret")
