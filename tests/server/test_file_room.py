"""Files on the server: who may put and fetch what, how much, how long, and what a restart leaves."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

from twisted.internet.defer import Deferred

from e2ee.errors import StoreUnavailable
from e2ee.ids import Address
from e2ee.server import file_room
from e2ee.server.counters import Limit
from e2ee.server.file_room import FileRoom
from e2ee.server.policy import DAY_SECONDS, FILE_CHUNKS_WAITING, Policy
from e2ee.server.refusal import Refusal
from e2ee.wire import messages as m
from e2ee.wire.limits import SEALED_CHUNK_BYTES
from e2ee.wire.messages import RefusalCode
from tests.server.town import ALICE, BOB, TownCase

T = TypeVar("T")
ID, CAPABILITY = b"i" * 16, b"c" * 16
KIB = 1024


def chunk(number: int) -> bytes:
    return bytes([number]) * SEALED_CHUNK_BYTES


class FileCase(TownCase):
    """Alice uploads, Bob fetches."""

    policy = Policy(file_bytes=4 * 64 * KIB, files_bytes=6 * 64 * KIB, file_days=2.0)

    def setUp(self) -> None:
        super().setUp()
        self.room = self.town.rooms.files

    def offer(self, chunks: int = 3, file: bytes = ID, owner: Address = ALICE) -> int:
        return self.now(self.room.offer(owner, m.OfferFile(1, file, CAPABILITY, chunks))).chunks

    def put(self, index: int, file: bytes = ID, owner: Address = ALICE) -> int:
        return self.now(self.room.put(owner, m.PutChunk(1, file, index, chunk(index)))).chunks

    def upload(self, chunks: int = 3, file: bytes = ID) -> None:
        self.offer(chunks, file)
        for index in range(chunks):
            self.put(index, file)

    def fetch(self, index: int, capability: bytes = CAPABILITY, file: bytes = ID) -> bytes:
        return self.now(self.room.fetch(m.FetchChunk(1, file, capability, index))).chunk

    def assert_whole(self, chunks: int) -> None:
        """All of it can be fetched as it was put. Told in numbers: unequal chunks take minutes to print."""
        self.assertEqual([index for index in range(chunks) if self.fetch(index) != chunk(index)], [])

    def remove(self, capability: bytes = CAPABILITY) -> None:
        self.now(self.room.remove(m.RemoveFile(1, ID, capability)))

    def refused(self, step: object) -> Refusal:
        error: Refusal = self.failureResultOf(Deferred.fromCoroutine(step), Refusal).value  # type: ignore[arg-type]
        return error

    def refused_offer(self, chunks: int, file: bytes = ID, owner: Address = ALICE) -> Refusal:
        return self.refused(self.room.offer(owner, m.OfferFile(1, file, CAPABILITY, chunks)))

    def refused_put(self, index: int, owner: Address = ALICE) -> Refusal:
        return self.refused(self.room.put(owner, m.PutChunk(1, ID, index, chunk(index))))

    def refused_fetch(self, index: int, capability: bytes = CAPABILITY) -> Refusal:
        return self.refused(self.room.fetch(m.FetchChunk(1, ID, capability, index)))

    def restart(self) -> None:
        """Another process with the same disk."""
        old = self.room
        self.room = FileRoom(old.files, old._shelf, old._in_thread, old._now, old._counters)


class TransferTests(FileCase):
    """There and back."""

    def test_whoever_shows_the_capability_fetches_what_was_put(self) -> None:
        self.upload(3)
        self.assert_whole(3)
        self.assertEqual(self.town.rooms.counters.files_uploaded, 1)

    def test_nothing_is_fetched_before_it_is_whole(self) -> None:
        self.offer(2)
        self.put(0)
        self.assertIs(self.refused_fetch(0).code, RefusalCode.EXPIRED)
        self.put(1)
        self.assertEqual(self.fetch(0), chunk(0))

    def test_without_the_capability_there_is_no_file(self) -> None:
        self.upload()
        wrong, none = self.refused_fetch(0, b"x" * 16), self.refused_fetch(9)
        self.assertEqual((wrong.code, wrong.sentence), (RefusalCode.EXPIRED, none.sentence))
        self.remove(b"x" * 16)
        self.assertEqual(self.fetch(0), chunk(0))

    def test_what_is_kept_does_not_show_the_capability(self) -> None:
        self.offer()
        self.assertNotIn(CAPABILITY, repr(self.town.store.files).encode())

    def test_what_has_arrived_is_gone(self) -> None:
        self.upload()
        self.remove()
        self.assertIs(self.refused_fetch(0).code, RefusalCode.EXPIRED)
        self.assertEqual(self.town.stores.shelf.file_ids(), [])
        self.remove()

    def test_chunks_come_in_order(self) -> None:
        self.offer(3)
        for wrong in (1, 2, 3):
            self.assertIs(self.refused_put(wrong).code, RefusalCode.CONFLICT)
        self.put(0)
        self.assertIs(self.refused_put(0).code, RefusalCode.CONFLICT)

    def test_nobody_else_puts_into_a_file(self) -> None:
        self.assertIs(self.refused_put(0).code, RefusalCode.CONFLICT)
        self.offer()
        self.assertIs(self.refused_put(0, BOB).code, RefusalCode.CONFLICT)
        self.assertIs(self.refused_offer(3, owner=BOB).code, RefusalCode.CONFLICT)

    def test_a_whole_file_takes_nothing_more(self) -> None:
        self.upload(1)
        self.assertIs(self.refused_put(1).code, RefusalCode.CONFLICT)
        self.assertEqual(self.offer(1), 1)


class LimitTests(FileCase):
    """Both sides of each."""

    def test_the_size_of_a_file(self) -> None:
        refusal = self.refused_offer(5)
        self.assertEqual((refusal.code, refusal.retry_after), (RefusalCode.QUOTA, None))
        self.assertEqual(self.offer(4), 0)

    def test_the_files_of_one_account(self) -> None:
        self.offer(4)
        refusal = self.refused_offer(3, b"2" * 16)
        self.assertIs(refusal.code, RefusalCode.QUOTA)
        self.assertIsNotNone(refusal.retry_after)
        self.offer(2, b"2" * 16)
        self.offer(3, b"3" * 16, BOB)

    def test_what_was_fetched_makes_room(self) -> None:
        self.upload(4)
        self.refused_offer(3, b"2" * 16)
        self.remove()
        self.offer(3, b"2" * 16)

    def test_files_expire_and_clocks_decide_when(self) -> None:
        self.upload()
        self.town.network.advance(2 * DAY_SECONDS - 1)
        self.now(self.room.expire())
        self.assertEqual(self.fetch(0), chunk(0))
        self.town.network.advance(1)
        self.now(self.room.expire())
        self.assertIs(self.refused_fetch(0).code, RefusalCode.EXPIRED)
        self.assertEqual(self.town.stores.shelf.file_ids(), [])
        self.assertEqual(self.town.rooms.counters.limits[Limit.FILE_DAYS], 1)

    def test_an_account_takes_its_files_with_it(self) -> None:
        self.upload()
        self.now(self.town.rooms.delete_account(ALICE, 0.0))
        self.assertEqual((self.town.store.files, self.town.stores.shelf.file_ids()), ({}, []))

    def test_a_policy_that_is_read_again_counts_at_once(self) -> None:
        self.town.rooms.apply(Policy(file_bytes=64 * KIB))
        self.refused_offer(2)
        self.offer(1)


class DiskTests(FileCase):
    """Slow ones, full ones, and those of a process that has died."""

    def setUp(self) -> None:
        super().setUp()
        self.gates: list[Deferred[None]] = []
        self.slow = False
        self.room._in_thread = self.in_thread

    def in_thread(self, step: Callable[[], T]) -> Awaitable[T]:
        async def later() -> T:
            if self.slow:
                gate: Deferred[None] = Deferred()
                self.gates.append(gate)
                await gate
            return step()

        return Deferred.fromCoroutine(later())

    def open_gates(self, newest_first: bool = False) -> None:
        """Let the threads go on, also those that begin meanwhile; their order is not ours."""
        while self.gates:
            self.gates.pop(-1 if newest_first else 0).callback(None)

    @contextmanager
    def broken(self, name: str) -> Iterator[None]:
        """A disk on which one thing cannot be done."""

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "broken")

        with mock.patch.object(self.town.stores.shelf, name, fail):
            yield

    def begin_put(self, index: int) -> Deferred[m.FileHeld]:
        return Deferred.fromCoroutine(self.room.put(ALICE, m.PutChunk(1, ID, index, chunk(index))))

    def test_what_comes_meanwhile_is_written_together_and_answered_then(self) -> None:
        self.offer(4)
        self.slow = True
        puts = [self.begin_put(index) for index in range(4)]
        self.gates.pop().callback(None)
        self.assertEqual(self.successResultOf(puts[0]).chunks, 1)
        for put in puts[1:]:
            self.assertNoResult(put)
        self.gates.pop().callback(None)
        self.assertEqual([self.successResultOf(put).chunks for put in puts[1:]], [2, 3, 4])
        self.slow = False
        self.assertEqual(self.fetch(3), chunk(3))

    def test_no_more_is_held_than_a_window(self) -> None:
        self.town.rooms.apply(Policy())
        self.offer(2 * FILE_CHUNKS_WAITING)
        self.slow = True
        puts = [self.begin_put(index) for index in range(FILE_CHUNKS_WAITING)]
        refusal = self.failureResultOf(self.begin_put(FILE_CHUNKS_WAITING), Refusal).value
        self.assertIs(refusal.code, RefusalCode.BUSY)
        self.open_gates()
        for put in puts:
            self.successResultOf(put)

    def test_a_full_disk_is_unavailable_and_the_upload_goes_on_later(self) -> None:
        self.offer(3)
        self.put(0)
        shelf = self.town.stores.shelf
        append = shelf.append

        def full(*_: object) -> None:
            raise StoreUnavailable("full")

        shelf.append = full  # type: ignore[method-assign, assignment]
        self.assertIs(self.refused_put(1).code, RefusalCode.UNAVAILABLE)
        shelf.append = append  # type: ignore[method-assign]
        self.assertEqual(self.offer(3), 1)
        self.put(1)

    def test_after_a_restart_an_upload_goes_on_before_what_may_be_torn(self) -> None:
        self.town.rooms.apply(Policy())
        count = FILE_CHUNKS_WAITING + 5
        self.offer(count)
        for index in range(FILE_CHUNKS_WAITING + 3):
            self.put(index)
        self.restart()
        self.assertIs(self.refused_put(FILE_CHUNKS_WAITING + 3).code, RefusalCode.CONFLICT)
        self.assertEqual(self.offer(count), 3)
        for index in range(3, count):
            self.put(index)
        self.assertEqual(self.fetch(count - 1), chunk(count - 1))

    def test_two_who_go_on_at_the_same_time_go_on_at_one_place(self) -> None:
        self.town.rooms.apply(Policy())
        count = 4 * FILE_CHUNKS_WAITING
        self.offer(count)
        for index in range(count - 2):
            self.put(index)
        self.restart()
        self.slow = True
        message = m.OfferFile(1, ID, CAPABILITY, count)
        offers = [Deferred.fromCoroutine(self.room.offer(ALICE, message)) for _ in range(3)]
        self.open_gates()
        held = count - 2 - FILE_CHUNKS_WAITING
        self.assertEqual([self.successResultOf(each).chunks for each in offers], [held] * 3)
        self.slow = False
        for index in range(held, count):
            self.put(index)
        self.assert_whole(count)

    def test_after_an_error_of_the_disk_an_upload_goes_on_from_what_is_there(self) -> None:
        self.offer(3)
        self.put(0)
        self.put(1)
        self.town.stores.shelf.cut(ID, 1)
        self.assertIs(self.refused_put(2).code, RefusalCode.UNAVAILABLE)
        self.assertIs(self.refused_put(2).code, RefusalCode.CONFLICT)
        held = self.offer(3)
        for index in range(held, 3):
            self.put(index)
        self.assert_whole(3)

    def test_an_error_of_the_disk_is_unavailable(self) -> None:
        self.upload(1)
        for name, step in (
            ("stored", lambda: self.room.offer(ALICE, m.OfferFile(1, b"2" * 16, CAPABILITY, 1))),
            ("cut", lambda: self.room.offer(ALICE, m.OfferFile(1, b"2" * 16, CAPABILITY, 1))),
            ("read", lambda: self.room.fetch(m.FetchChunk(1, ID, CAPABILITY, 0))),
            ("file_ids", self.room.expire),
            ("remove", lambda: self.room.remove(m.RemoveFile(1, ID, CAPABILITY))),
        ):
            with self.broken(name):
                self.assertIs(self.refused(step()).code, RefusalCode.UNAVAILABLE, name)

    def test_an_account_is_deleted_also_where_its_files_cannot_be(self) -> None:
        self.upload()
        with self.broken("remove"):
            self.assertTrue(self.now(self.town.rooms.delete_account(ALICE, 0.0)))
        self.assertEqual(self.town.store.files, {})
        self.now(self.room.expire())
        self.assertEqual(self.town.stores.shelf.file_ids(), [])

    def test_who_deletes_his_account_is_answered_once_where_its_files_cannot_be(self) -> None:
        alice = self.town.peer(ALICE)
        self.upload()
        with self.broken("remove"):
            # What this raises would be answered as well.
            self.now(self.town.rooms.delete_own(alice, m.DeleteAccount(7)))
        self.assertEqual(alice.told, [m.Done(7)])

    def test_a_file_counts_once_whoever_completes_it(self) -> None:
        self.offer(1)
        files = self.room.files
        waiting: list[Deferred[None]] = []
        complete = files.complete

        async def slowly(file_id: bytes) -> bool:
            waiting.append(Deferred())
            await waiting[-1]
            return await complete(file_id)

        self.patch(files, "complete", slowly)
        asked = [self.begin_put(0)]
        asked += [Deferred.fromCoroutine(self.room.offer(ALICE, m.OfferFile(2, ID, CAPABILITY, 1)))]
        for each in waiting:
            each.callback(None)
        self.assertEqual([self.successResultOf(each).chunks for each in asked], [1, 1])
        self.assertEqual(self.town.rooms.counters.files_uploaded, 1)

    def test_a_restart_changes_nothing_for_whole_files(self) -> None:
        self.upload()
        self.restart()
        self.assertEqual((self.offer(3), self.fetch(2)), (3, chunk(2)))

    def test_what_nobody_knows_is_swept_away(self) -> None:
        self.upload()
        self.town.stores.shelf.append(b"o" * 16, 0, [chunk(0)])
        self.now(self.room.expire())
        self.assertEqual(self.town.stores.shelf.file_ids(), [ID])

    def test_a_file_that_is_removed_while_it_comes_goes_after_its_last_write(self) -> None:
        for newest_first in (False, True):
            self.offer(2)
            self.slow = True
            put = self.begin_put(0)
            removing = Deferred.fromCoroutine(self.room.remove(m.RemoveFile(1, ID, CAPABILITY)))
            self.open_gates(newest_first)
            self.slow = False
            self.successResultOf(put)
            self.successResultOf(removing)
            self.assertEqual(self.town.stores.shelf.file_ids(), [])

    def test_a_file_that_is_removed_during_its_last_chunk_is_refused_and_leaves_nothing(self) -> None:
        self.offer(1)
        self.slow = True
        put = self.begin_put(0)
        self.now(self.room.files.remove(ID))
        self.open_gates()
        self.assertIs(self.failureResultOf(put, Refusal).value.code, RefusalCode.CONFLICT)
        self.assertEqual(self.town.stores.shelf.file_ids(), [])

    def test_all_uploads_together_hold_no_more_than_their_bytes(self) -> None:
        self.patch(file_room, "FILES_WAITING_BYTES", 2 * SEALED_CHUNK_BYTES)
        self.offer(4)
        self.slow = True
        puts = [self.begin_put(0), self.begin_put(1)]
        refusal = self.failureResultOf(self.begin_put(2), Refusal).value
        self.assertEqual((refusal.code, refusal.limit), (RefusalCode.BUSY, Limit.FILES_WAITING))
        self.open_gates()
        self.assertEqual([self.successResultOf(put).chunks for put in puts], [1, 2])
        self.slow = False
        for index in (2, 3):
            self.put(index)
        self.assertEqual(self.fetch(3), chunk(3))

    def test_nothing_is_taken_behind_the_last_chunk_while_it_is_written(self) -> None:
        self.offer(2)
        self.slow = True
        puts = [self.begin_put(0), self.begin_put(1)]
        self.assertIs(self.failureResultOf(self.begin_put(2), Refusal).value.code, RefusalCode.CONFLICT)
        self.open_gates()
        for put in puts:
            self.successResultOf(put)
        self.assertEqual(self.town.stores.shelf.stored(ID), 2)

    def test_nothing_that_waits_behind_a_failed_write_is_written(self) -> None:
        self.offer(3)
        self.slow = True
        puts = [self.begin_put(0), self.begin_put(1)]
        with self.broken("append"):
            self.gates.pop().callback(None)
        self.open_gates()
        for put in puts:
            self.assertIs(self.failureResultOf(put, Refusal).value.code, RefusalCode.UNAVAILABLE)
        self.slow = False
        self.assertEqual(self.offer(3), 0)
        for index in range(3):
            self.put(index)
        self.assert_whole(3)

    def test_who_goes_on_is_answered_after_what_is_being_written(self) -> None:
        self.offer(3)
        self.slow = True
        put = self.begin_put(0)
        offer = Deferred.fromCoroutine(self.room.offer(ALICE, m.OfferFile(2, ID, CAPABILITY, 3)))
        self.assertNoResult(offer)
        self.open_gates()
        self.successResultOf(put)
        self.assertEqual(self.successResultOf(offer).chunks, 1)

    def test_only_uploads_that_nobody_is_at_are_forgotten(self) -> None:
        self.patch(file_room, "UPLOADS_REMEMBERED", 1)
        two, three = b"2" * 16, b"3" * 16
        self.offer(2)
        self.slow = True
        put = self.begin_put(0)
        self.slow = False
        self.offer(2, two)
        self.open_gates()
        self.successResultOf(put)
        self.assertEqual(self.put(1), 2)
        self.offer(2, three)
        self.assertIs(
            self.refused(self.room.put(ALICE, m.PutChunk(1, two, 0, chunk(0)))).code, RefusalCode.CONFLICT
        )

    def test_the_upload_that_is_forgotten_first_is_the_one_longest_not_offered(self) -> None:
        self.patch(file_room, "UPLOADS_REMEMBERED", 2)
        two, three = b"2" * 16, b"3" * 16
        for file in (ID, two, ID, three):
            self.offer(2, file)
        self.assertEqual(self.put(0), 1)
        self.assertIs(
            self.refused(self.room.put(ALICE, m.PutChunk(1, two, 0, chunk(0)))).code, RefusalCode.CONFLICT
        )

    def test_no_more_counts_than_belongs_to_the_file(self) -> None:
        lying = FILE_CHUNKS_WAITING + 3
        self.town.stores.shelf.append(ID, 0, [chunk(index) for index in range(lying)])
        self.assertEqual(self.offer(2), 0)
        self.assertEqual(self.town.stores.shelf.stored(ID), 0)

    def test_what_may_be_torn_is_cut_off_before_an_upload_goes_on(self) -> None:
        self.offer(4)
        self.put(0)
        self.put(1)
        self.restart()
        self.assertEqual(self.offer(4), 0)
        self.assertEqual(self.town.stores.shelf.stored(ID), 0)
