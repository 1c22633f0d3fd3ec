"""Backups through the holder of a vault, in memory: whole, for who may have them, and gone with who asked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed

from e2ee.client.backups import sealed_copies
from e2ee.client.backups.backup_content import read_manifest, vault_records
from e2ee.client.backups.backup_fetching import fetch_backup
from e2ee.client.backups.backup_file import BackupReader, ChunkWriter, Draft
from e2ee.client.backups.sealed_copies import SealedCopies, SealedCopy
from e2ee.client.holding import holder_messages as h
from e2ee.crypto import primitives
from e2ee.crypto.backup_chunks import HEAD_BYTES
from e2ee.crypto.backup_permit import new_permit, permit_key
from e2ee.errors import Code, Failure, StoreError
from e2ee.store.database import Database
from tests.client.holding.sharing import Command
from tests.client.holding.test_roaming import Roamers
from tests.client.people import KEY, at_once

PERMITS = permit_key(KEY)
CHUNK_KEY = b"\x09" * 32
ORDER = h.MakeBackup(CHUNK_KEY, new_permit(PERMITS, CHUNK_KEY), "1.2.3", "hidden = true\n")


class CopyCase(Roamers):
    """Alice's vault is held and has more texts than fit into a part. Argon2id is cheap here."""

    def setUp(self) -> None:
        super().setUp()
        derive = primitives.argon2id
        self.patch(primitives, "argon2id", lambda passphrase, salt, *_: derive(passphrase, salt, 64, 1, 1))
        for number in range(5):
            self.bob.say(self.alice, str(number) * 60_000)
        self.alice.read()
        self.root = Path(self.mktemp())
        self.root.mkdir()
        self.path = self.root / "alice.backup"
        self.copies: list[SealedCopy] = []
        make = SealedCopy.make

        def noted(copy: SealedCopy, context: Any) -> None:
            self.copies.append(copy)
            make(copy, context)

        self.patch(SealedCopy, "make", noted)
        self.open_files: list[BinaryIO] = []
        temporary = sealed_copies.tempfile.TemporaryFile  # type: ignore[attr-defined]

        def opened(dir: str) -> BinaryIO:
            self.open_files.append(temporary(dir=dir))
            return self.open_files[-1]

        self.patch(sealed_copies.tempfile, "TemporaryFile", opened)  # type: ignore[attr-defined]

    async def fetch(self, command: Command, silence: float | None = 30.0) -> h.MadeBackup:
        draft = Draft(self.path, os.urandom)
        try:
            made = await fetch_backup(
                command, self.world.clock, at_once, draft, passphrase=b"correct horse",
                permit_key=PERMITS, version="1.2.3", config="hidden = true\n", entropy=os.urandom,
                silence=silence,
            )  # fmt: skip
            draft.publish()
            return made
        finally:
            draft.discard()

    def records(self) -> list[bytes]:
        """What the file holds, all of it genuine."""
        with self.path.open("rb") as file:
            reader = BackupReader(file, "it")
            reader.unlock(b"correct horse")
            return list(reader.records())

    def assert_whole(self, made: h.MadeBackup) -> None:
        """It has what a backup without a holder between has."""
        found = self.records()
        manifest = read_manifest(iter(found))
        self.assertEqual((manifest.version, manifest.config), ("1.2.3", "hidden = true\n"))

        def expected(tx: Any) -> list[bytes]:
            return list(vault_records(tx, manifest.made_at, "1.2.3", "hidden = true\n"))

        self.assertEqual(found, self.world.result(self.alice.vault.read(expected)))
        self.assertEqual((made.messages, made.size), (5, self.path.stat().st_size))


class FetchingTests(CopyCase):
    """The caller's end."""

    def test_it_comes_whole_and_in_parts(self) -> None:
        sizes: list[int] = []
        part = SealedCopy.part

        async def noted(copy: SealedCopy, offset: int) -> h.BackupPart:
            found = await part(copy, offset)
            sizes.append(len(found.content))
            return found

        self.patch(SealedCopy, "part", noted)
        made = self.table.result(self.fetch(self.table.command()))
        self.assert_whole(made)
        self.assertEqual(sizes[:-1], [h.PART_BYTES] * (len(sizes) - 1))
        self.assertEqual(sum(sizes), made.size - HEAD_BYTES)
        self.assertGreater(len(sizes), 1)

    def test_a_holder_that_dies_at_a_part_or_at_the_beginning(self) -> None:
        """Everything begins anew with the next holder, under another key."""
        for kind, performed in ((h.MakeBackup, False), (h.MakeBackup, True), (h.ReadBackup, False),
                                (h.ReadBackup, True)):  # fmt: skip
            with self.subTest(kind=kind.__name__, performed=performed):
                keys: list[bytes] = []
                begin = SealedCopies.begin

                def noted(
                    copies: SealedCopies, asked: h.MakeBackup, keys: list[bytes] = keys, begin: Any = begin
                ) -> SealedCopy:
                    keys.append(asked.chunk_key)
                    copy: SealedCopy = begin(copies, asked)
                    return copy

                with patch.object(SealedCopies, "begin", noted):
                    self.lose(kind, performed=performed)
                    task = Deferred.fromCoroutine(self.fetch(self.table.command()))
                    made = self.finish(task)
                self.assert_whole(made)
                self.assertEqual(len(keys), len(set(keys)))
                self.assertEqual(len(keys), 1 if (kind, performed) == (h.MakeBackup, False) else 2)
                self.path.unlink()

    def test_a_holder_that_seals_nothing_is_waited_for_as_long_as_was_said(self) -> None:
        command = self.table.command()
        self.patch(Database, "aside", lambda *_: Deferred())
        task = self.table.begin(self.fetch(command, silence=10.0))
        self.table.wait(9)
        self.assertNoResult(task)
        self.table.wait(2)
        self.assertIs(self.failureResultOf(task, Failure).value.code, Code.PROFILE_BUSY)
        self.assertEqual(list(self.root.iterdir()), [])

    def test_slow_sealing_is_no_silence(self) -> None:
        command, contents = self.table.command(), [b"a", b"", b"bc", b"", b"d"]
        ready = 0.0

        async def slow(copy: SealedCopy, offset: int) -> h.BackupPart:
            nonlocal ready
            made = h.MadeBackup(1, 2, 4) if len(contents) == 1 else None
            if self.world.clock.seconds() < ready:
                return h.BackupPart(b"", None)
            ready = self.world.clock.seconds() + 9
            return h.BackupPart(contents.pop(0), made)

        self.patch(SealedCopy, "part", slow)
        task = self.table.begin(self.fetch(command, silence=20.0))
        for _ in range(120):
            self.table.wait(0.5)
        self.assertEqual(self.successResultOf(task), h.MadeBackup(1, 2, HEAD_BYTES + 4))
        self.assertEqual(self.path.read_bytes()[HEAD_BYTES:], b"abcd")

    def test_what_the_holder_cannot_do_is_told(self) -> None:
        command = self.table.command()

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(ChunkWriter, "add", full)
        task = self.table.begin(self.fetch(command))
        self.table.wait(1)
        failure = self.failureResultOf(task, Failure).value
        self.assertIs(failure.code, Code.FAILED)
        self.assertIn("No space left", failure.sentence)
        self.assertEqual(list(self.root.iterdir()), [])

    def test_a_holder_that_ends_too_early_is_not_believed(self) -> None:
        def short(copy: SealedCopy, offset: int) -> Deferred[h.BackupPart]:
            return succeed(h.BackupPart(b"abc"[offset:], h.MadeBackup(1, 2, 4)))

        self.patch(SealedCopy, "part", short)
        task = self.table.begin(self.fetch(self.table.command()))
        self.assertIs(self.failureResultOf(task, Failure).value.code, Code.FAILED)
        self.assertEqual(list(self.root.iterdir()), [])


class HolderTests(CopyCase):
    """The holder's end."""

    def ask(self, borrowed: Any, request: h.Request[Any]) -> Any:
        return self.table.result(borrowed.ask(request, 5.0))

    def test_without_the_key_of_the_vault_there_is_none(self) -> None:
        """Not for any program of the same user that chooses a key of its own."""
        borrowed = self.table.borrow()
        for permit in (bytes(32), new_permit(PERMITS, bytes(32)), new_permit(bytes(32), CHUNK_KEY)):
            wrong = h.MakeBackup(CHUNK_KEY, permit, "1", None)
            failure = self.assertRaises(Failure, self.ask, borrowed, wrong)
            self.assertIs(failure.code, Code.PASSPHRASE)
        self.assertIsNone(self.ask(borrowed, h.ReadBackup(0)))
        self.assertEqual(self.copies, [])

    def test_each_caller_has_his_own_and_one_at_a_time(self) -> None:
        one, other = self.table.borrow(), self.table.borrow()
        self.ask(one, ORDER)
        self.assertIsNone(self.ask(other, h.ReadBackup(0)))
        self.ask(one, ORDER)
        self.assertEqual([file.closed for file in self.open_files], [True, False])
        self.assertEqual(len(self.ask(one, h.ReadBackup(0)).content), h.PART_BYTES)
        self.assertEqual(self.ask(one, h.ReadBackup(2**40)).content, b"")

    def test_nobody_else_finds_the_file(self) -> None:
        self.ask(self.table.borrow(), ORDER)
        (file,) = self.open_files
        found = os.fstat(file.fileno())
        self.assertEqual((found.st_nlink, stat.S_IMODE(found.st_mode)), (0, 0o600))
        self.assertEqual(list((self.alice.path / "default").iterdir()), [])

    def test_it_goes_with_its_caller(self) -> None:
        borrowed = self.table.borrow()
        self.ask(borrowed, ORDER)
        self.ask(borrowed, h.ReadBackup(0))
        borrowed.forsake()
        self.table.settle()
        self.assertEqual([file.closed for file in self.open_files], [True])

    def test_a_caller_that_goes_while_it_is_made_ends_the_making(self) -> None:
        """Its file is closed when the thread that writes it has ended, not before."""
        borrowed, added = self.table.borrow(), []
        add, closed_too_early = ChunkWriter.add, []

        def leave(writer: ChunkWriter, record: bytes) -> None:
            add(writer, record)
            added.append(record)
            if len(added) == 2:
                self.copies[0].drop()
                closed_too_early.append(self.open_files[0].closed)

        self.patch(ChunkWriter, "add", leave)
        self.ask(borrowed, ORDER)
        self.assertEqual((len(added), self.open_files[0].closed), (2, True))
        self.assertEqual(closed_too_early, [False])

    def test_a_part_that_was_read_before_it_was_whole_is_not_the_last(self) -> None:
        self.ask(self.table.borrow(), ORDER)
        (copy,) = self.copies
        made, copy._made = copy._made, None
        reading: Deferred[None] = Deferred()

        async def slowly(step: Any) -> Any:
            await reading
            return step()

        self.patch(copy, "_in_thread", slowly)
        part = Deferred.fromCoroutine(copy.part(0))
        copy._made = made
        reading.callback(None)
        self.assertIsNone(self.successResultOf(part).made)

    def test_what_has_had_its_time_is_forgotten_before_anything_is_sealed(self) -> None:
        steps: list[str] = []

        def forget(tx: Any, now: int) -> None:
            steps.append("forgotten")

        def records(*arguments: Any) -> Any:
            steps.append("sealed")
            return vault_records(*arguments)

        self.patch(sealed_copies, "forget_expired", forget)
        self.patch(sealed_copies, "vault_records", records)
        self.ask(self.table.borrow(), ORDER)
        self.assertEqual(steps, ["forgotten", "sealed"])

    def test_what_goes_wrong_unforeseen_says_nothing_of_itself(self) -> None:
        async def broken(*_: object) -> None:
            raise ZeroDivisionError("a secret")

        self.patch(Database, "aside", broken)
        borrowed = self.table.borrow()
        self.ask(borrowed, ORDER)
        failure = self.assertRaises(Failure, self.ask, borrowed, h.ReadBackup(0))
        self.assertNotIn("secret", failure.sentence)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_vault_that_is_closed_meanwhile_fails_it(self) -> None:
        async def closed(*_: object) -> None:
            raise StoreError("the database is closed")

        self.patch(Database, "aside", closed)
        borrowed = self.table.borrow()
        self.ask(borrowed, ORDER)
        self.assertRaises(Failure, self.ask, borrowed, h.ReadBackup(0))

    def test_no_key_is_shown(self) -> None:
        for shown in (repr(ORDER), repr(h.Ask(1, ORDER)), repr(h.BackupPart(b"sealed", None))):
            for hidden in (CHUNK_KEY, ORDER.permit, b"sealed"):
                self.assertNotIn(repr(hidden)[2:-1], shown)
