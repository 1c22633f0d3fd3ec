"""Files of this machine: those that are sent, and those that are received."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.transfers.file_source import FileSource, SourceChanged, look_at
from e2ee.client.transfers.file_target import DigestRefused, FileTarget, TargetRefused
from e2ee.crypto.limits import FILE_CHUNK_BYTES as CHUNK
from e2ee.errors import Failure

ID = b"f" * 16
PART = ID.hex() + ".part"
CONTENT = os.urandom(CHUNK) + b"the end"
DIGEST = hashlib.sha256(CONTENT).digest()


class SourceTests(SynchronousTestCase):
    """What is sent is what was there when it was queued."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_bytes(CONTENT)
        self.size, self.stamp = look_at(self.path)

    def source(self) -> FileSource:
        source = FileSource(self.path, self.size, self.stamp)
        self.addCleanup(source.close)
        return source

    def test_chunks_and_digest(self) -> None:
        source = self.source()
        self.assertEqual(source.read(0) + source.read(1), CONTENT)
        self.assertEqual(source.digest(), DIGEST)

    def test_what_is_skipped_counts_for_the_digest(self) -> None:
        source = self.source()
        source.skip(1)
        self.assertEqual(source.read(1), b"the end")
        self.assertEqual(source.digest(), DIGEST)

    def test_another_file_of_this_name_is_refused(self) -> None:
        other = Path(self.mktemp())
        other.write_bytes(CONTENT)
        other.replace(self.path)
        self.assertRaises(SourceChanged, FileSource, self.path, self.size, self.stamp)

    def test_a_change_in_between_is_noticed(self) -> None:
        source = self.source()
        source.skip(2)
        os.utime(self.path, ns=(1, 1))
        self.assertRaises(SourceChanged, source.digest)

    def test_a_file_that_became_shorter(self) -> None:
        source = self.source()
        os.truncate(self.path, CHUNK)
        self.assertRaises(SourceChanged, source.skip, 2)

    def test_what_is_no_file_is_refused_and_blocks_nobody(self) -> None:
        folder, pipe = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()
        os.mkfifo(pipe)
        for wrong in (folder, pipe, Path("nothing here")):
            self.assertRaises(Failure, look_at, wrong)


class TargetTests(SynchronousTestCase):
    """Nothing that exists is touched, and nothing half is given a name."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def target(self, *, make: bool = True) -> FileTarget:
        target = FileTarget(self.folder, ID, len(CONTENT), make=make)
        self.addCleanup(target.close)
        return target

    def filled(self) -> FileTarget:
        target = self.target()
        target.add(0, CONTENT[:CHUNK])
        target.add(1, CONTENT[CHUNK:])
        return target

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def test_a_file_gets_its_name_when_it_is_whole(self) -> None:
        target = self.filled()
        self.assertEqual(self.names(), [PART])
        path = target.finish("a.txt", DIGEST)
        self.assertEqual((path.read_bytes(), self.names()), (CONTENT, ["a.txt"]))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)

    def test_what_is_there_is_never_overwritten(self) -> None:
        self.folder.mkdir()
        (self.folder / "a.txt").write_text("mine")
        (self.folder / "a (1).txt").symlink_to("nowhere")
        self.assertEqual(self.filled().finish("a.txt", DIGEST).name, "a (2).txt")
        self.assertEqual((self.folder / "a.txt").read_text(), "mine")
        self.assertFalse((self.folder / "nowhere").exists())

    def test_the_same_without_hard_links(self) -> None:
        self.folder.mkdir()
        (self.folder / "a.txt").write_text("mine")
        with mock.patch("os.link", side_effect=PermissionError(1, "no links here")):
            path = self.filled().finish("a.txt", DIGEST)
        self.assertEqual((path.name, path.read_bytes()), ("a (1).txt", CONTENT))
        self.assertEqual((self.folder / "a.txt").read_text(), "mine")

    def assertNoNameAfter(self, name: str, number: int) -> None:
        """Where this call of the system fails, the file can be named once the cause is gone."""
        target = self.filled()
        with mock.patch(name, side_effect=OSError(number, "the disk says no")):
            self.assertRaises(OSError, target.finish, "a.txt", DIGEST)
        self.assertEqual(self.names(), [PART])
        self.assertEqual(target.finish("a.txt", DIGEST).read_bytes(), CONTENT)
        self.assertEqual(self.names(), ["a.txt"])

    def test_a_name_that_could_not_be_given_is_not_left_behind(self) -> None:
        for name in ("os.link", "os.fsync"):
            self.assertNoNameAfter(name, errno.EIO)
            (self.folder / "a.txt").unlink()
        with mock.patch("os.link", side_effect=PermissionError(1, "no links here")):
            self.assertNoNameAfter("os.rename", errno.ENOSPC)

    def test_a_file_that_keeps_its_partial_name_gets_no_other(self) -> None:
        target, real = self.filled(), os.unlink

        def unlink(name: str, **where: Any) -> None:
            if name == PART:
                raise OSError(errno.EIO, "the disk says no")
            real(name, **where)

        with mock.patch("os.unlink", unlink):
            self.assertRaises(OSError, target.finish, "a.txt", DIGEST)
        self.assertEqual(self.names(), [PART])
        self.assertEqual(target.finish("a.txt", DIGEST).read_bytes(), CONTENT)
        self.assertEqual(self.names(), ["a.txt"])

    def test_a_partial_name_that_goes_by_itself_takes_no_other_with_it(self) -> None:
        """So it looks on a network's disk whose answer was lost, too."""
        target, real = self.filled(), os.unlink

        def unlink(name: str, **where: Any) -> None:
            real(name, **where)
            real(name, **where)

        with mock.patch("os.unlink", unlink):
            path = target.finish("a.txt", DIGEST)
        self.assertEqual((path.read_bytes(), self.names()), (CONTENT, ["a.txt"]))

    def test_a_process_that_ended_between_the_two_names_leaves_nothing_in_the_way(self) -> None:
        """What has its name stays as it is; where nobody looks for it, the file comes again."""
        os.link(self.filled().finish("a.txt", DIGEST), self.folder / PART)
        again = self.target()
        self.assertEqual(again.resume(), 0)
        again.add(0, CONTENT[:CHUNK])
        again.add(1, CONTENT[CHUNK:])
        self.assertEqual(again.finish("a.txt", DIGEST).name, "a (1).txt")
        self.assertEqual(self.names(), ["a (1).txt", "a.txt"])
        for name in self.names():
            self.assertEqual((self.folder / name).read_bytes(), CONTENT)

    def test_what_such_a_process_has_named_is_found(self) -> None:
        self.folder.mkdir()
        (self.folder / "a.txt").write_text("mine")
        named = self.filled().finish("a.txt", DIGEST)
        for half_done in (True, False):
            if half_done:
                os.link(named, self.folder / PART)
            again = self.target()
            self.assertEqual((again.is_new, again.resume()), (True, 0))
            self.assertEqual(again.named("a.txt", DIGEST), named)
            self.assertEqual(self.names(), ["a (1).txt", "a.txt"])
        self.assertTrue(self.target().is_new)
        self.assertFalse(self.target().is_new)

    def test_nothing_but_the_announced_file_is_found(self) -> None:
        target = self.target()
        self.assertIsNone(target.named("a.txt", DIGEST))
        place = self.folder / "a.txt"
        whole = self.folder / "whole"
        whole.write_bytes(CONTENT)
        for there in (CONTENT[:-1], CONTENT + b"\0", CONTENT[:-1] + b"?"):
            place.write_bytes(there)
            self.assertIsNone(target.named("a.txt", DIGEST))
        place.unlink()
        for make in (lambda: place.symlink_to("whole"), place.mkdir, lambda: os.mkfifo(place)):
            make()
            self.assertIsNone(target.named("a.txt", DIGEST))
            (place.rmdir if place.is_dir() else place.unlink)()
        whole.rename(place)
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            self.assertIsNone(target.named("a.txt", DIGEST))
        self.assertEqual(self.names(), [PART, "a.txt"])
        self.assertEqual(target.named("a.txt", DIGEST), place)
        self.assertEqual(self.names(), ["a.txt"])

    def test_what_is_found_is_on_the_disk_before_it_is_told(self) -> None:
        self.filled().finish("a.txt", DIGEST)
        again = self.target()
        with mock.patch("os.fsync", side_effect=OSError(errno.EIO, "the disk says no")):
            self.assertRaises(OSError, again.named, "a.txt", DIGEST)
        with mock.patch("os.fsync", side_effect=OSError(errno.EINVAL, "not of a folder")):
            self.assertIsNotNone(again.named("a.txt", DIGEST))

    def test_a_folder_that_was_not_written_through_has_no_name(self) -> None:
        target, real = self.filled(), os.fsync
        broken = OSError(errno.EIO, "the disk says no")

        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise broken
            real(descriptor)

        with mock.patch("os.fsync", fsync):
            self.assertRaises(OSError, target.finish, "a.txt", DIGEST)
            self.assertEqual(self.names(), [PART])
            broken.errno = errno.EINVAL
            target.finish("a.txt", DIGEST)
        self.assertEqual(self.names(), ["a.txt"])

    def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_it_is_told(self) -> None:
        target, calls = self.filled(), []
        fsync, link = os.fsync, os.link

        def synced(descriptor: int) -> None:
            calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
            fsync(descriptor)

        def named(*arguments: Any, **where: Any) -> None:
            calls.append("name")
            link(*arguments, **where)

        with mock.patch("os.fsync", synced), mock.patch("os.link", named):
            target.finish("a.txt", DIGEST)
        self.assertEqual(calls, ["content", "name", "folder"])

    def test_what_is_written_in_parts_is_whole(self) -> None:
        write = os.pwrite
        with mock.patch("os.pwrite", lambda to, chunk, at: write(to, bytes(chunk[:1000]), at)):
            path = self.filled().finish("a.txt", DIGEST)
        self.assertTrue(path.read_bytes() == CONTENT)

    def test_the_last_chunk_is_fetched_again_even_where_all_of_them_are_there(self) -> None:
        """Of a last one nobody knows whether all of it was written."""
        self.filled()
        again = self.target()
        self.assertEqual(again.resume(), 1)
        self.assertEqual((self.folder / PART).stat().st_size, CHUNK)
        again.add(1, CONTENT[CHUNK:])
        self.assertTrue(again.finish("a.txt", DIGEST).read_bytes() == CONTENT)

    def test_nothing_of_a_longer_one_is_left_behind_the_end(self) -> None:
        self.folder.mkdir()
        (self.folder / PART).write_bytes(CONTENT + bytes(3 * CHUNK))
        target = self.target()
        self.assertEqual(target.resume(), 1)
        target.add(1, CONTENT[CHUNK:])
        self.assertTrue(target.finish("a.txt", DIGEST).read_bytes() == CONTENT)

    def test_it_can_be_begun_again(self) -> None:
        target = self.target()
        target.add(0, bytes(CHUNK))
        target.begin_again()
        self.assertEqual((self.folder / PART).stat().st_size, 0)
        target.add(0, CONTENT[:CHUNK])
        target.add(1, CONTENT[CHUNK:])
        self.assertTrue(target.finish("a.txt", DIGEST).read_bytes() == CONTENT)

    def test_what_is_discarded_may_have_gone_already(self) -> None:
        target = self.filled()
        target.discard()
        target.discard()
        self.assertEqual(self.names(), [])

    def test_nothing_stays_open(self) -> None:
        opened, closed = os.open, os.close
        open_now: set[int] = set()

        def noted(*arguments: Any, **where: Any) -> int:
            descriptor: int = opened(*arguments, **where)
            open_now.add(descriptor)
            return descriptor

        def given_back(descriptor: int) -> None:
            open_now.discard(descriptor)
            closed(descriptor)

        with mock.patch("os.open", noted), mock.patch("os.close", given_back):
            target = FileTarget(self.folder, ID, len(CONTENT), make=True)
            self.assertEqual(len(open_now), 2)
            target.close()
            self.assertEqual(open_now, set())
            with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
                self.assertRaises(FileExistsError, FileTarget, self.folder, ID, len(CONTENT), make=True)
            self.assertEqual(open_now, set())
            os.link(self.folder / PART, self.folder / "another name")
            with mock.patch("os.unlink", side_effect=PermissionError(1, "not yours")):
                self.assertRaises(PermissionError, FileTarget, self.folder, ID, len(CONTENT), make=True)
            self.assertEqual(open_now, set())
            FileTarget(self.folder, ID, len(CONTENT), make=True).close()
            self.assertEqual(open_now, set())

    def test_another_users_partial_file_is_in_the_way(self) -> None:
        self.filled()
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            self.assertRaises(FileExistsError, FileTarget, self.folder, ID, len(CONTENT), make=True)

    def test_another_digest_gives_no_name(self) -> None:
        self.assertRaises(DigestRefused, self.filled().finish, "a.txt", bytes(32))
        self.assertEqual(self.names(), [PART])

    def test_it_goes_on_where_it_was(self) -> None:
        self.target().add(0, CONTENT[:CHUNK])
        again = self.target()
        self.assertEqual(again.resume(), 1)
        again.add(1, CONTENT[CHUNK:])
        self.assertEqual(again.finish("a", DIGEST).read_bytes(), CONTENT)

    def test_a_torn_chunk_is_fetched_again(self) -> None:
        self.target().add(0, CONTENT[: CHUNK - 1])
        self.assertEqual(self.target().resume(), 0)
        self.assertEqual((self.folder / PART).stat().st_size, 0)

    def victim(self) -> Path:
        self.folder.mkdir()
        victim = self.folder / "victim"
        victim.write_text("precious")
        return victim

    def test_a_symbolic_link_in_place_of_the_partial_file_is_refused(self) -> None:
        victim = self.victim()
        (self.folder / PART).symlink_to(victim.absolute())
        self.assertRaises(OSError, FileTarget, self.folder, ID, 9, make=False)
        self.assertEqual(victim.read_text(), "precious")

    def test_a_hard_link_in_place_of_the_partial_file_costs_the_other_file_nothing(self) -> None:
        victim = self.victim()
        os.link(victim, self.folder / PART)
        self.filled().begin_again()
        self.assertEqual((victim.read_text(), victim.stat().st_nlink), ("precious", 1))

    def test_a_hard_link_to_another_users_file_is_left_alone(self) -> None:
        victim = self.victim()
        os.link(victim, self.folder / PART)
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            self.assertRaises(FileExistsError, FileTarget, self.folder, ID, 9, make=False)
        self.assertEqual((self.names(), victim.read_text()), ([PART, "victim"], "precious"))

    def test_what_takes_the_place_of_the_partial_file_at_that_moment_is_not_opened(self) -> None:
        victim, real = self.victim(), os.unlink
        os.link(victim, self.folder / PART)

        def unlink(name: str, **where: Any) -> None:
            real(name, **where)
            os.link(victim, self.folder / PART)

        with mock.patch("os.unlink", unlink):
            self.assertRaises(FileExistsError, FileTarget, self.folder, ID, 9, make=False)
        self.assertEqual(victim.read_text(), "precious")

    def test_a_pipe_in_place_of_the_partial_file_is_refused_and_blocks_nobody(self) -> None:
        self.folder.mkdir()
        os.mkfifo(self.folder / PART)
        self.assertRaises(FileExistsError, FileTarget, self.folder, ID, 9, make=False)

    def test_only_the_own_folder_is_made(self) -> None:
        self.assertRaises(OSError, FileTarget, self.folder, ID, 9, make=False)

    def test_too_many_of_one_name(self) -> None:
        self.folder.mkdir()
        with mock.patch("e2ee.client.transfers.file_names.CANDIDATES", 2):
            for name in ("a", "a (1)"):
                (self.folder / name).touch()
            self.assertRaises(TargetRefused, self.filled().finish, "a", DIGEST)
