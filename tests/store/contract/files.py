"""The contracts of `ports.Files` and `ports.Shelf`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.server.ports import CHUNK_BYTES, FileLimits, FileRefused, Shelf, StoredFile
from tests.store.contract.fixture import ALICE, BOB, ContractCase, new_account

LIMITS = FileLimits(chunks=4, chunks_of_account=6, seconds=100.0)
ONE = StoredFile(b"1" * 16, ALICE, b"h" * 32, 4)


class FilesContract(ContractCase):
    """Room, owners and time."""

    def setUp(self) -> None:
        super().setUp()
        self.files = self.stores.files(LIMITS)
        for address in (ALICE, BOB):
            self.register(new_account(address))

    def offer(self, file: StoredFile, now: float = 0.0) -> StoredFile | FileRefused:
        return self.done(self.files.offer(file, now))

    def test_a_file_is_found_as_it_was_offered(self) -> None:
        self.assertEqual(self.offer(ONE), ONE)
        self.assertEqual(self.done(self.files.find(ONE.file_id)), ONE)
        self.assertEqual(self.offer(ONE, 50.0), ONE)
        self.assertIsNone(self.done(self.files.find(b"2" * 16)))

    def test_an_id_names_one_file(self) -> None:
        self.offer(ONE)
        others = replace(ONE, owner=BOB), replace(ONE, chunks=3), replace(ONE, capability_hash=b"x" * 32)
        for other in others:
            self.assertIs(self.offer(other), FileRefused.CONFLICT)

    def test_what_is_complete_stays_so(self) -> None:
        self.offer(ONE)
        self.assertTrue(self.done(self.files.complete(ONE.file_id)))
        self.assertEqual(self.offer(ONE), replace(ONE, complete=True))
        self.assertFalse(self.done(self.files.complete(b"2" * 16)))

    def test_both_sides_of_the_limits(self) -> None:
        self.assertIs(self.offer(replace(ONE, chunks=5)), FileRefused.TOO_LARGE)
        self.offer(ONE)
        two = StoredFile(b"2" * 16, ALICE, b"h" * 32, 3)
        self.assertIs(self.offer(two), FileRefused.QUOTA)
        self.assertEqual(self.offer(replace(two, owner=BOB)), replace(two, owner=BOB))
        three = StoredFile(b"3" * 16, ALICE, b"h" * 32, 2)
        self.assertEqual(self.offer(three), three)
        self.done(self.files.remove(ONE.file_id))
        four = StoredFile(b"4" * 16, ALICE, b"h" * 32, 4)
        self.assertEqual(self.offer(four), four)

    def test_zero_is_no_limit(self) -> None:
        self.files.apply(FileLimits(0, 0, 0.0))
        huge = replace(ONE, chunks=10**6)
        self.assertEqual(self.offer(huge), huge)
        self.assertEqual(self.done(self.files.expire(10**9)), 0)

    def test_what_can_never_fit_is_too_large(self) -> None:
        self.files.apply(FileLimits(0, 6, 0.0))
        self.assertIs(self.offer(replace(ONE, chunks=7)), FileRefused.TOO_LARGE)

    def test_what_fits_once_there_is_room_is_not_too_large(self) -> None:
        self.files.apply(FileLimits(0, 4, 0.0))
        two = replace(ONE, file_id=b"2" * 16)
        self.offer(ONE)
        self.assertIs(self.offer(two), FileRefused.QUOTA)
        self.done(self.files.remove(ONE.file_id))
        self.assertEqual(self.offer(two), two)

    def test_files_expire_at_their_time(self) -> None:
        self.offer(ONE, 10.0)
        self.assertEqual(self.done(self.files.expire(109.9)), 0)
        self.assertEqual(self.done(self.files.expire(110.0)), 1)
        self.assertIsNone(self.done(self.files.find(ONE.file_id)))

    def test_files_go_with_their_account(self) -> None:
        self.offer(ONE)
        self.offer(StoredFile(b"2" * 16, BOB, b"h" * 32, 1))
        self.done(self.stores.accounts.delete(ALICE, 1.0))
        self.assertEqual(self.done(self.files.expire(1.0)), 1)
        self.assertEqual(self.done(self.files.known([ONE.file_id, b"2" * 16])), {b"2" * 16})

    def test_any_number_of_ids_can_be_asked_for_at_once(self) -> None:
        self.files.apply(FileLimits(0, 0, 0.0))
        ids = [number.to_bytes(16, "big") for number in range(1_002)]
        there = {ids[place] for place in (0, 499, 500, 999, 1_000, 1_001)}
        for file_id in there:
            self.offer(replace(ONE, file_id=file_id))
        self.assertEqual(self.done(self.files.known(ids)), there)
        self.assertEqual(self.done(self.files.known([])), set())

    def test_removing(self) -> None:
        self.offer(ONE)
        self.assertTrue(self.done(self.files.remove(ONE.file_id)))
        self.assertFalse(self.done(self.files.remove(ONE.file_id)))

    def test_they_are_counted(self) -> None:
        self.offer(ONE)
        survey = self.done(self.stores.census.survey())
        self.assertEqual((survey.files, survey.files_bytes), (1, 4 * CHUNK_BYTES))


class ShelfContract(SynchronousTestCase):
    """Chunks behind each other."""

    @abstractmethod
    def new_shelf(self) -> Shelf:
        """An empty one."""

    def setUp(self) -> None:
        self.shelf = self.new_shelf()
        self.chunks = [bytes([number]) * CHUNK_BYTES for number in range(4)]

    def test_chunks_are_read_as_they_were_written(self) -> None:
        self.assertEqual(self.shelf.stored(ONE.file_id), 0)
        self.shelf.append(ONE.file_id, 0, self.chunks[:1])
        self.shelf.append(ONE.file_id, 1, self.chunks[1:])
        self.assertEqual(self.shelf.stored(ONE.file_id), 4)
        self.assertEqual([self.shelf.read(ONE.file_id, n) for n in range(4)], self.chunks)
        self.assertIsNone(self.shelf.read(ONE.file_id, 4))
        self.assertIsNone(self.shelf.read(b"2" * 16, 0))

    def test_what_is_cut_off_is_written_anew(self) -> None:
        self.shelf.append(ONE.file_id, 0, self.chunks)
        self.shelf.cut(ONE.file_id, 1)
        self.assertEqual(self.shelf.stored(ONE.file_id), 1)
        self.shelf.append(ONE.file_id, 1, self.chunks[3:])
        self.assertEqual(self.shelf.read(ONE.file_id, 1), self.chunks[3])
        self.shelf.cut(b"2" * 16, 0)

    def test_nothing_is_put_behind_a_hole(self) -> None:
        self.shelf.append(ONE.file_id, 0, self.chunks[:1])
        self.assertRaises(OSError, self.shelf.append, ONE.file_id, 2, self.chunks[2:])
        self.assertRaises(OSError, self.shelf.append, b"2" * 16, 1, self.chunks[1:])
        self.assertEqual((self.shelf.stored(ONE.file_id), self.shelf.file_ids()), (1, [ONE.file_id]))

    def test_files_are_listed_and_removed(self) -> None:
        self.assertEqual(self.shelf.file_ids(), [])
        self.shelf.append(ONE.file_id, 0, self.chunks[:1])
        self.assertEqual(self.shelf.file_ids(), [ONE.file_id])
        self.shelf.remove(ONE.file_id)
        self.shelf.remove(ONE.file_id)
        self.assertEqual(self.shelf.file_ids(), [])
