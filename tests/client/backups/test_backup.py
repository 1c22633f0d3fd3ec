"""`backup` and `restore` of a profile's directory: whole, or nothing has changed."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.client.backups import backup as backup_module
from e2ee.client.backups import restore as restore_module
from e2ee.client.backups.backup import Backup, make_backup
from e2ee.client.backups.backup_content import vault_records
from e2ee.client.backups.backup_fetching import _Fetching
from e2ee.client.backups.backup_file import BackupWriter
from e2ee.client.backups.restore import Restored, restore_backup
from e2ee.client.backups.sealed_copies import SealedCopy
from e2ee.client.config import Config
from e2ee.client.deadline import Deadline
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.held import Held
from e2ee.client.holding.holder_messages import BackupPart
from e2ee.client.holding.way import Access, Way
from e2ee.client.profile import Profile
from e2ee.client.profiles.passphrase import Passphrases, PassphraseSource
from e2ee.errors import Code, Failure, StoreUnavailable
from e2ee.ids import Address, MessageId
from e2ee.store.client import contacts, history, messages, timers
from e2ee.store.client.messages import MessageRecord
from e2ee.store.client.timers import TimerRecord
from e2ee.store.connection import Connection
from tests.client.registering.test_enrolment import RIGHT
from tests.client.server_double import LINK
from tests.client.test_profile import ALICE, ProfileCase, nothing

BOB = Address("+15550100102")
NOW = 1_700_000_000_000


def _talk(tx: Connection, texts: int = 3) -> None:
    contacts.touch_contact(tx, BOB, accepted=True)
    contacts.name_contact(tx, BOB, "bob")
    for number in range(texts):
        messages.add_message(
            tx,
            MessageRecord(
                "out", BOB, None, MessageId(number.to_bytes(16, "big")), number + 1, NOW, None,
                f"nobody else reads this {number}", False, False, "stored",
            ),
        )  # fmt: skip


class BackupCase(ProfileCase):
    """A registered profile with a contact and three texts; another, empty one."""

    async def prepare(self, **options: Any) -> None:
        await self.register(RIGHT, **options)
        opened = await self.open(options.get("passphrase", "correct horse"))
        await opened.vault.write(_talk)
        self.own = opened.own
        await opened.close()
        self.path = self.root / "alice.backup"
        self.other = Profile(self.data, "other")

    patience = 0.0

    async def backup(self, passphrase: str | None = "correct horse", path: Path | None = None) -> Backup:
        return await make_backup(
            self.reactor,
            self.profile,
            self.passphrases(passphrase),
            path or self.path,
            version="1.2.3",
            now=NOW,
            timeout=self.patience,
            entropy=os.urandom,
            on_broken=self.fail,
        )

    async def restore(
        self,
        passphrase: str | None = "correct horse",
        path: Path | None = None,
        profile: Profile | None = None,
    ) -> Restored:
        return await restore_backup(
            self.reactor,
            profile or self.other,
            self.passphrases(passphrase),
            path or self.path,
            now=NOW,
            timeout=0.0,
            entropy=os.urandom,
            on_broken=self.fail,
        )

    async def refused_whole(self, doing: Any) -> Failure:
        """Refused, and the empty profile is as empty as before."""
        failure = await self.refused(doing)
        self.assertLessEqual({one.name for one in self.other.directory.glob("*")}, {"lock"})
        self.assertFalse(self.other.exists)
        return failure


class RoundTripTests(BackupCase):
    """What a new machine gets."""

    async def test_identity_server_contacts_and_history(self) -> None:
        await self.prepare()
        made = await self.backup()
        self.assertEqual((made.contacts, made.messages), (1, 3))
        self.assertEqual(made.size, self.path.stat().st_size)
        restored = await self.restore()
        opened = restored.opened
        self.assertEqual(opened.own, self.own)
        self.assertEqual((opened.own.address, opened.server.link), (ALICE, LINK))
        self.assertEqual((restored.contacts, restored.messages, restored.made_at), (1, 3, NOW))
        past = history.Past(BOB)
        texts = await opened.vault.read(lambda tx: history.load(tx, history.find(tx, past)))
        self.assertEqual(texts[0].text, "nobody else reads this 0")
        await opened.close()

    async def test_the_profile_opens_with_the_passphrase_from_then_on_and_another_one_does_not(self) -> None:
        await self.prepare()
        await self.backup()
        await (await self.restore()).opened.close()
        modes = {stat.S_IMODE(one.stat().st_mode) for one in self.other.directory.iterdir()}
        self.assertEqual(modes, {0o600})
        self.assertFalse(self.other.restoring_path.exists())
        for passphrase, code in (("correct horse", None), ("wrong horse", Code.PASSPHRASE)):
            opening = self.open(passphrase, 0.0, self.other)
            if code is None:
                await (await opening).close()
            else:
                self.assertEqual((await self.refused(opening)).code, code)

    async def test_the_file_is_private_and_holds_nothing_in_the_clear(self) -> None:
        await self.prepare()
        await self.backup()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        content = self.path.read_bytes()
        secrets = (self.own.account_secret.raw, self.own.device_secret.raw, bytes(self.own.device))
        for found in (*secrets, b"nobody else", b"15550100102", b"server.example", b"correct horse", b"bob"):
            self.assertNotIn(found, content)
        self.assertEqual([one.name for one in self.root.iterdir() if ".part" in one.name], [])

    async def test_two_backups_have_nothing_in_common_but_the_head(self) -> None:
        await self.prepare()
        await self.backup()
        await self.backup(path=self.root / "second")
        one, other = self.path.read_bytes(), (self.root / "second").read_bytes()
        self.assertEqual(len(one), len(other))
        self.assertEqual([at for at in range(0, len(one), 16) if one[at:][:16] == other[at:][:16]], [0])

    async def test_what_should_have_disappeared_is_not_in_it_and_the_timer_is(self) -> None:
        await self.prepare()

        def disappear(tx: Connection) -> None:
            timers.save_timer(tx, BOB, TimerRecord(60, 3, NOW, own=True))
            tx.execute("UPDATE message SET lifetime = 60, expires_at = ? WHERE sequence < 3", (NOW,))
            tx.execute("UPDATE message SET lifetime = 60, expires_at = ? WHERE sequence = 3", (NOW + 1,))

        opened = await self.open("correct horse")
        await opened.vault.write(disappear)
        await opened.close()
        self.assertEqual((await self.backup()).messages, 1)
        restored = (await self.restore()).opened
        timer = await restored.vault.read(lambda tx: timers.load_timer(tx, BOB))
        self.assertEqual(timer, TimerRecord(60, 3, NOW, own=True))
        self.assertEqual(await restored.vault.read(timers.next_expiry), NOW + 1)
        await restored.close()

    async def test_settings_come_along_unless_there_are_some(self) -> None:
        await self.prepare()
        self.profile.config_path.write_text("hidden = true\n")
        await self.backup()
        restored = await self.restore()
        self.assertEqual(restored.opened.config, Config(hidden=True))
        await restored.opened.close()
        third = Profile(self.data, "third")
        third.directory.mkdir()
        third.config_path.write_text("receipts = false\n")
        restored = await self.restore(profile=third)
        self.assertEqual(restored.opened.config, Config(receipts=False))
        await restored.opened.close()

    async def test_a_restored_profile_can_be_backed_up_and_restored(self) -> None:
        await self.prepare()
        await self.backup()
        await (await self.restore()).opened.close()
        self.profile = self.other
        self.other = Profile(self.data, "third")
        await self.backup(path=self.root / "second")
        restored = await self.restore(path=self.root / "second")
        self.assertEqual(restored.opened.own, self.own)
        await restored.opened.close()

    async def test_a_hundred_thousand_texts_are_never_in_memory_at_once(self) -> None:
        """No record that was read is kept, and none is made before the one before it was written."""
        await self.prepare()
        seen: list[int] = []
        add = BackupWriter.add

        def counted(writer: BackupWriter, record: bytes) -> None:
            add(writer, record)
            seen.append(len(writer._buffer))

        self.patch(BackupWriter, "add", counted)
        opened = await self.open()
        await opened.vault.write(lambda tx: tx.execute("DELETE FROM message").rowcount)
        await opened.vault.write(lambda tx: _talk(tx, 5000))
        await opened.close()
        self.assertEqual((await self.backup()).messages, 5000)
        self.assertGreater(len(seen), 5000)
        self.assertLessEqual(max(seen), 64 * 1024)
        restored = await self.restore()
        self.assertEqual(restored.messages, 5000)
        await restored.opened.close()


class PassphraseTests(BackupCase):
    """Which passphrase the file has."""

    async def test_a_profile_without_one_needs_one_for_the_file(self) -> None:
        await self.prepare(passphrase=None, no_passphrase=True)
        self.assertEqual((await self.refused(self.backup(None))).code, Code.USAGE)
        self.assertEqual((await self.refused(self.backup(""))).code, Code.USAGE)
        self.assertFalse(self.path.exists())
        await self.backup("for the file")
        restored = await self.restore("for the file")
        self.assertEqual(restored.opened.passphrase_source, PassphraseSource.FILE)
        self.assertFalse(self.other.key_file.exists())
        await restored.opened.close()

    async def test_a_wrong_one_backs_nothing_up(self) -> None:
        await self.prepare()
        for passphrase in ("wrong horse", None):
            self.assertEqual((await self.refused(self.backup(passphrase))).code, Code.PASSPHRASE)
        self.assertFalse(self.path.exists())

    async def test_a_wrong_or_missing_one_restores_nothing(self) -> None:
        await self.prepare()
        await self.backup()
        for passphrase in ("wrong horse", "", None):
            failure = await self.refused_whole(self.restore(passphrase))
            self.assertEqual(failure.code, Code.PASSPHRASE)
        await (await self.restore()).opened.close()

    async def test_it_is_asked_for_once(self) -> None:
        await self.prepare()
        asked: list[bool] = []

        def terminal(new: bool) -> str:
            asked.append(new)
            return "correct horse"

        self.patch(self, "passphrases", lambda _: Passphrases(None, terminal, nothing))
        await self.backup()
        await (await self.restore()).opened.close()
        self.assertEqual(asked, [False, False])


class BesideTests(BackupCase):
    """Another process holds the vault: here another way to it."""

    patience = 30.0

    def setUp(self) -> None:
        super().setUp()
        runtime = self.root / "run"
        runtime.mkdir(mode=0o700)
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(runtime)})

    async def hold(self, passphrase: str | None = "correct horse") -> Access:
        way = Way(self.reactor, self.profile, self.passphrases(passphrase), os.urandom, self.fail)
        held = await way.enter(Deadline(self.reactor, 10.0), lambda _: None, lambda _: None)
        self.assertIsInstance(held, Held)
        return held

    @asynccontextmanager
    async def held(self, passphrase: str | None = "correct horse") -> AsyncIterator[Access]:
        held = await self.hold(passphrase)
        try:
            yield held
        finally:
            await held.leave()

    async def assert_restored(self, made: Backup, passphrase: str) -> None:
        self.assertEqual((made.contacts, made.messages), (1, 3))
        self.assertEqual(made.size, self.path.stat().st_size)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        restored = await self.restore(passphrase)
        self.assertEqual((restored.opened.own, restored.messages), (self.own, 3))
        self.assertEqual(restored.opened.config, Config(hidden=True))
        await restored.opened.close()

    async def test_the_holder_seals_it_and_it_is_the_same(self) -> None:
        await self.prepare()
        self.profile.config_path.write_text("hidden = true\n")
        async with self.held() as holder:
            before = {one.name for one in self.profile.directory.iterdir()}
            made = await self.backup()
            self.assertEqual({one.name for one in self.profile.directory.iterdir()}, before)
            self.assertEqual(await holder.ask(h.Outbox(), None), ())
        await self.assert_restored(made, "correct horse")

    async def test_the_passphrase_is_needed_all_the_same(self) -> None:
        """Through a holder nothing else needs it, but this is the identity."""
        await self.prepare()
        async with self.held():
            for passphrase in ("wrong horse", None):
                self.assertEqual((await self.refused(self.backup(passphrase))).code, Code.PASSPHRASE)
            self.path.write_bytes(b"precious")
            self.assertEqual((await self.refused(self.backup())).code, Code.USAGE)
        self.assertEqual(self.path.read_bytes(), b"precious")
        self.assertEqual({one.name for one in self.root.iterdir()}, {"data", "given", "run", "alice.backup"})

    async def test_a_profile_without_one_has_that_of_the_file(self) -> None:
        await self.prepare(passphrase=None, no_passphrase=True)
        self.profile.config_path.write_text("hidden = true\n")
        async with self.held(None):
            self.assertEqual((await self.refused(self.backup(None))).code, Code.USAGE)
            made = await self.backup("for the file")
        await self.assert_restored(made, "for the file")

    async def test_a_holder_that_ends_in_the_middle(self) -> None:
        """The command begins anew, with the vault in its own hands."""
        await self.prepare()
        self.profile.config_path.write_text("hidden = true\n")
        part = SealedCopy.part
        holder = await self.hold()
        left: list[Deferred[None]] = []

        async def leave(copy: SealedCopy, offset: int) -> BackupPart:
            if not left:
                left.append(Deferred.fromCoroutine(holder.leave()))
                await Deferred[None]()
            return await part(copy, offset)

        self.patch(SealedCopy, "part", leave)
        made = await self.backup()
        await left[0]
        await self.assert_restored(made, "correct horse")

    async def test_a_disk_that_is_full_here(self) -> None:
        await self.prepare()

        def full(_: object, content: bytes) -> None:
            raise OSError(28, "No space left on device")

        self.patch(_Fetching, "_write", full)
        async with self.held():
            failure = await self.refused(self.backup())
        self.assertEqual(failure.code, Code.FAILED)
        self.assertIn(f"{self.path} cannot be written: No space left", failure.sentence)
        self.assertEqual({one.name for one in self.root.iterdir()}, {"data", "given", "run"})


class BackupRefusalTests(BackupCase):
    """Nothing is written."""

    async def test_a_file_that_exists_is_never_replaced(self) -> None:
        await self.prepare()
        self.path.write_bytes(b"precious")
        failure = await self.refused(self.backup())
        self.assertEqual((failure.code, self.path.read_bytes()), (Code.USAGE, b"precious"))
        self.assertIn(str(self.path), failure.sentence)

    async def test_one_that_appears_meanwhile_is_not_replaced_either(self) -> None:
        await self.prepare()
        self.patch(backup_module, "_refuse_path", lambda _: self.path.write_bytes(b"precious"))
        failure = await self.refused(self.backup())
        self.assertEqual((failure.code, self.path.read_bytes()), (Code.USAGE, b"precious"))
        self.assertEqual({one.name for one in self.root.iterdir()}, {"data", "given", "alice.backup"})

    async def test_a_directory_that_is_not_there(self) -> None:
        await self.prepare()
        self.assertEqual((await self.refused(self.backup(path=self.root / "no" / "f"))).code, Code.USAGE)

    async def test_a_full_disk(self) -> None:
        await self.prepare()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(BackupWriter, "finish", full)
        failure = await self.refused(self.backup())
        self.assertEqual(failure.code, Code.FAILED)
        self.assertIn("No space left", failure.sentence)
        self.assertEqual({one.name for one in self.root.iterdir()}, {"data", "given"})
        await (await self.open(timeout=0.0)).close()

    async def test_a_profile_that_is_not_registered(self) -> None:
        self.path = self.root / "alice.backup"
        self.assertEqual((await self.refused(self.backup())).code, Code.NOT_REGISTERED)

    async def test_a_profile_in_use(self) -> None:
        await self.prepare()
        opened = await self.open()
        self.assertEqual((await self.refused(self.backup())).code, Code.PROFILE_BUSY)
        await opened.close()


class RestoreRefusalTests(BackupCase):
    """The empty profile stays empty."""

    async def test_into_an_empty_profile_only(self) -> None:
        await self.prepare()
        await self.backup()
        before = self.files()
        for passphrase in ("correct horse", "wrong horse", None):
            failure = await self.refused(self.restore(passphrase, profile=self.profile))
            self.assertEqual(failure.code, Code.ALREADY_REGISTERED)
        self.assertEqual(self.files(), before)

    async def test_damaged_anywhere(self) -> None:
        await self.prepare()
        await self.backup()
        content = self.path.read_bytes()
        choice = random.Random(7)
        for at in [*range(0, 66, 5), *(choice.randrange(len(content)) for _ in range(12))]:
            changed = bytearray(content)
            changed[at] ^= 1 << choice.randrange(8)
            self.path.write_bytes(changed)
            failure = await self.refused_whole(self.restore())
            self.assertIn(failure.code, (Code.FAILED, Code.PASSPHRASE))
            self.assertIn(str(self.path), failure.sentence)

    async def test_cut_off_or_longer(self) -> None:
        await self.prepare()
        await self.backup()
        content = self.path.read_bytes()
        for changed in (b"", content[:65], content[:66], content[:-1], content[:-17], content + b"\0"):
            self.path.write_bytes(changed)
            self.assertEqual((await self.refused_whole(self.restore())).code, Code.FAILED)

    async def test_foreign_files_and_other_versions(self) -> None:
        await self.prepare()
        await self.backup()
        content = self.path.read_bytes()
        older, newer = (content[:8] + version + content[9:] for version in (b"\0", b"\2"))
        for changed in (os.urandom(5000), older, newer):
            self.path.write_bytes(changed)
            self.assertEqual((await self.refused_whole(self.restore())).code, Code.FAILED)
        for path in (self.root / "nothing there", self.root):
            self.assertEqual((await self.refused_whole(self.restore(path=path))).code, Code.FAILED)

    async def write(self, *records: bytes) -> None:
        """A file that is genuine as a file."""
        self.path.unlink(missing_ok=True)
        with self.path.open("wb") as file:
            writer = BackupWriter(file, b"correct horse", os.urandom)
            for record in records:
                writer.add(record)
            writer.finish()

    async def test_contents_that_no_backup_has(self) -> None:
        """Made with the passphrase, by another program: refused with the same sentence."""
        await self.prepare()
        opened = await self.open()
        genuine = await opened.vault.read(lambda tx: list(vault_records(tx, NOW, "1", None)))
        strange = await opened.vault.read(lambda tx: next(vault_records(tx, NOW, "1", "hidden = 7")))
        await opened.close()
        manifest, *rows = genuine
        for records in (
            rows,
            [manifest],
            [manifest, *rows[1:]],
            [*genuine, rows[0]],
            [*genuine, b"\x92\x63\x90"],
            [*genuine, b"\x92\x00\x91\x01"],
            [*genuine, b"\x92\x00\x93\x01\xc3\x01"],
            [*genuine, b"\xc1"],
            [manifest[:-1] + b"\xc3", *rows],
        ):
            await self.write(*records)
            failure = await self.refused_whole(self.restore())
            self.assertIn("damaged", failure.sentence)
        await self.write(strange, *rows)
        failure = await self.refused_whole(self.restore())
        self.assertEqual(failure.code, Code.FAILED)
        self.assertIn("config.toml", failure.sentence)
        await self.write(*genuine)
        await (await self.restore()).opened.close()

    async def test_a_newer_schema_says_so(self) -> None:
        await self.prepare()
        self.patch(backup_module, "vault_records", _newer)
        await self.backup()
        self.assertIn("newer version", (await self.refused_whole(self.restore())).sentence)

    async def test_a_full_disk_at_each_step(self) -> None:
        await self.prepare()
        await self.backup()

        def full(*_: object, **__: object) -> None:
            raise StoreUnavailable("there is no room")

        def disk(*_: object) -> None:
            raise OSError(28, "No space left on device")

        for name, broken in (("fill_vault", full), ("renew_restored", full), ("wrap", disk)):
            with_patch = self.patch(restore_module, name, broken)
            with self.assertRaises((Failure, OSError)):
                await self.restore()
            left = {one.name for one in self.other.directory.iterdir()}
            self.assertLessEqual(left, {"lock"}, name)
            with_patch.restore()
        await (await self.restore()).opened.close()

    async def test_what_an_attempt_left_that_was_cut_off_is_taken_away(self) -> None:
        """A process killed at any step before the key file leaves no profile, and the next begins anew."""
        await self.prepare()
        await self.backup()
        self.patch(restore_module._Restoration, "_undo", lambda _: None)
        for name in ("_renew", "_finish"):
            patched = self.patch(restore_module._Restoration, name, _killed)
            with self.assertRaises(ZeroDivisionError):
                await self.restore()
            self.assertTrue(self.other.vault_path.exists())
            self.assertFalse(self.other.exists)
            patched.restore()
        await (await self.restore()).opened.close()
        self.assertFalse(self.other.restoring_path.exists())

    async def test_a_registration_takes_such_remains_away_too(self) -> None:
        await self.prepare()
        await self.backup()
        self.patch(restore_module._Restoration, "_undo", lambda _: None)
        self.patch(restore_module._Restoration, "_finish", _killed)
        with self.assertRaises(ZeroDivisionError):
            await self.restore()
        self.profile = self.other
        await self.register(RIGHT)
        await (await self.open()).close()

    async def test_a_vault_whose_key_file_is_missing_is_not_written_over(self) -> None:
        await self.prepare()
        await self.backup()
        self.profile.vault_key_path.unlink()
        before = self.profile.vault_path.read_bytes()
        failure = await self.refused(self.restore(profile=self.profile))
        self.assertEqual((failure.code, self.profile.vault_path.read_bytes()), (Code.FAILED, before))

    async def test_interrupted(self) -> None:
        await self.prepare()
        await self.backup()
        working: Deferred[Any] = Deferred.fromCoroutine(self.restore())
        working.cancel()
        with self.assertRaises(BaseException):  # noqa: B017 - whatever the cancelled step raises
            await working
        self.assertFalse(self.other.exists)
        await (await self.restore()).opened.close()


def _killed(*_: object) -> None:
    raise ZeroDivisionError


def _newer(tx: Connection, *rest: Any) -> Any:
    tx.execute("PRAGMA user_version = 9999")
    try:
        yield from vault_records(tx, *rest)
    finally:
        tx.execute("PRAGMA user_version = 1")


