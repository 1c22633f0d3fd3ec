"""A profile from the first `register` on: what lies on the disk, who gets in, and what is undone."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from e2ee.client.profile import OpenProfile, Profile, open_with
from e2ee.client.profiles import profile_directory
from e2ee.client.profiles.passphrase import Passphrases, PassphraseSource
from e2ee.client.registering.enrolment import Registration
from e2ee.client.registering.registration import register
from e2ee.crypto import primitives
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.wire.messages import RequestCode, Welcome
from tests.client.registering.test_enrolment import RIGHT, WRONG, Codes
from tests.client.server_double import BACKUP_PIN, LATER_PIN, LINK, ServerDouble

ALICE = Address("+15550100101")


def nothing(profile: str) -> None:
    return None


class NameTests(SynchronousTestCase):
    """A profile's name is a directory's."""

    def test_names_that_lead_elsewhere_are_refused(self) -> None:
        for name in ("", ".", "..", "a/b", "/etc", "-v", "a b", "a\0b", "a\nb", "x" * 65):
            with self.subTest(name=name), self.assertRaises(Failure) as raised:
                Profile(Path("data"), name)
            self.assertEqual(raised.exception.code, Code.USAGE)

    def test_usual_names_are_taken(self) -> None:
        for name in ("default", "alice", "work-2", "a.b", "jürgen", "+15550100101", "x" * 64):
            self.assertEqual(Profile(Path("data"), name).directory, Path("data") / name)


class ProfileCase(TestCase):
    """A data directory, a passphrase file, and a double of the server. Argon2id is cheap here."""

    timeout = 300

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.root = Path(self.mktemp())
        self.root.mkdir()
        self.data = self.root / "data"
        self.profile = Profile(self.data)
        self.server = ServerDouble(self.reactor)
        self.notices: list[str] = []
        self.threads: set[str] = set()
        derive = primitives.argon2id

        def cheap(passphrase: bytes, salt: bytes, *costs: int) -> bytes:
            self.threads.add(threading.current_thread().name)
            return derive(passphrase, salt, 64, 1, 1)

        self.patch(primitives, "argon2id", cheap)

    def passphrases(self, text: str | None) -> Passphrases:
        if text is None:
            return Passphrases(None, None, nothing)
        path = self.root / "given"
        path.write_text(text)
        path.chmod(0o600)
        return Passphrases(path, None, nothing)

    async def register(
        self, *codes: str, passphrase: str | None = "correct horse", **options: Any
    ) -> Registration:
        return await register(
            self.reactor,
            self.profile,
            self.passphrases(passphrase),
            **{
                "link": str(LINK),
                "address": ALICE,
                "codes": Codes(self.reactor, *codes),
                "timeout": 10.0,
                "entropy": os.urandom,
                "on_broken": self.fail,
                "notice": self.notices.append,
                "connect": self.server.connect,
                **options,
            },
        )

    async def open(
        self,
        passphrase: str | None = "correct horse",
        timeout: float = 10.0,
        profile: Profile | None = None,
    ) -> OpenProfile:
        chosen = profile or self.profile
        found = self.passphrases(passphrase).existing(chosen.directory, chosen.key_file)
        return await open_with(self.reactor, chosen, found, timeout=timeout, on_broken=self.fail)

    async def refused(self, doing: Any) -> Failure:
        with self.assertRaises(Failure) as raised:
            await doing
        failure: Failure = raised.exception
        return failure

    def files(self) -> dict[str, bytes]:
        found = {path.name: path.read_bytes() for path in self.profile.directory.iterdir()}
        del found["lock"]
        return found


class OpeningTests(ProfileCase):
    """Who gets in."""

    async def test_a_registered_profile_opens_with_its_passphrase(self) -> None:
        registration = await self.register(RIGHT)
        opened = await self.open()
        self.assertEqual((opened.own.address, opened.own.device), (ALICE, registration.device))
        self.assertEqual(opened.server.link, LINK)
        self.assertEqual(opened.passphrase_source, PassphraseSource.FILE)
        await opened.close()

    async def test_a_wrong_or_missing_passphrase_changes_nothing(self) -> None:
        await self.register(RIGHT)
        before = self.files()
        for passphrase in ("wrong horse", "", None):
            self.assertEqual((await self.refused(self.open(passphrase))).code, Code.PASSPHRASE)
        wrong = self.register(RIGHT, passphrase="wrong horse", again=True)
        self.assertEqual((await self.refused(wrong)).code, Code.PASSPHRASE)
        self.assertEqual(self.files(), before)
        self.assertEqual(len(self.server.links), 2)

    async def test_after_a_wrong_passphrase_the_lock_is_free(self) -> None:
        await self.register(RIGHT)
        await self.refused(self.open("wrong horse"))
        await (await self.open(timeout=0.0)).close()

    async def test_a_registration_that_was_not_finished_is_none(self) -> None:
        await self.refused(self.register(WRONG))
        self.assertEqual((await self.refused(self.open())).code, Code.NOT_REGISTERED)
        await self.register(RIGHT)
        self.assertEqual(self.server.count(RequestCode), 1)

    async def test_without_a_passphrase_the_key_file_opens_it(self) -> None:
        await self.register(RIGHT, passphrase=None, no_passphrase=True)
        opened = await self.open(None)
        self.assertEqual(opened.passphrase_source, PassphraseSource.KEY_FILE)
        await opened.close()

    async def test_an_empty_file_at_register_means_the_same(self) -> None:
        await self.register(RIGHT, passphrase="\n")
        opened = await self.open("")
        self.assertEqual(opened.passphrase_source, PassphraseSource.KEY_FILE)
        await opened.close()

    async def test_the_second_to_open_waits_and_then_is_told_who_has_it(self) -> None:
        await self.register(RIGHT)
        opened = await self.open()
        busy = await self.refused(self.open(timeout=0.1))
        self.assertEqual(busy.code, Code.PROFILE_BUSY)
        self.assertIn(str(os.getpid()), busy.sentence)
        waiting = Deferred.fromCoroutine(self.open())
        await opened.close()
        await (await waiting).close()

    async def test_a_damaged_key_file_is_not_a_wrong_passphrase(self) -> None:
        await self.register(RIGHT)
        self.profile.vault_key_path.write_bytes(b"E2EK")
        self.assertEqual((await self.refused(self.open())).code, Code.FAILED)

    async def test_a_vault_of_another_profile_is_not_a_wrong_passphrase(self) -> None:
        await self.register(RIGHT)
        self.profile.vault_path.write_bytes(os.urandom(8192))
        self.assertEqual((await self.refused(self.open())).code, Code.FAILED)

    async def test_what_a_greeting_changes_is_in_the_vault(self) -> None:
        await self.register(RIGHT)
        opened = await self.open()
        await opened.server.greeted(BACKUP_PIN, _welcome(LATER_PIN))
        await opened.close()
        opened = await self.open()
        self.assertEqual(opened.server.link.pins, (BACKUP_PIN, LATER_PIN))
        await opened.close()


class DiskTests(ProfileCase):
    """What lies on the disk."""

    def under_umask(self, umask: int) -> None:
        before = os.umask(umask)
        self.addCleanup(os.umask, before)

    async def test_modes_are_0700_and_0600_whatever_the_umask(self) -> None:
        self.under_umask(0)
        await self.register(RIGHT, passphrase=None, no_passphrase=True)
        opened = await self.open(None)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.profile.directory.iterdir()}
        await opened.close()
        self.assertEqual(set(modes.values()), {0o600})
        expected = {"lock", "vault.key", "vault.sqlite3", "vault.sqlite3-wal", "passphrase"}
        self.assertLessEqual(expected, set(modes))
        self.assertEqual(stat.S_IMODE(self.profile.directory.stat().st_mode), 0o700)

    async def test_nothing_readable_lies_there(self) -> None:
        await self.register(RIGHT)
        opened = await self.open()
        content = b"".join(self.files().values())
        secrets = (opened.own.account_secret.raw, opened.own.device_secret.raw)
        publics = (opened.own.statement.account_key.raw, bytes(opened.own.device), *LINK.pins)
        for found in (*secrets, *publics, b"15550100101", b"server.example", b"correct horse", b"SQLite"):
            self.assertNotIn(found, content)
        # Random bytes hold no run of this length in a lifetime of tests; twelve came once in a thousand.
        self.assertEqual(re.findall(rb"[A-Za-z ]{24,}", content), [])
        await opened.close()

    async def test_the_key_is_derived_in_a_thread(self) -> None:
        await self.register(RIGHT)
        self.assertNotIn(threading.main_thread().name, self.threads)
        self.assertTrue(self.threads)

    async def test_no_repr_shows_a_secret(self) -> None:
        await self.register(RIGHT)
        opened = await self.open()
        self.assertNotIn(opened.own.account_secret.raw.hex(), repr(opened))
        self.assertNotIn(repr(opened.own.account_secret.raw), repr(opened))
        await opened.close()


class FreshTests(ProfileCase):
    """A profile that is made for a registration which then does not begin."""

    async def test_nothing_of_it_remains_where_the_server_was_not_reached(self) -> None:
        self.server.connect_failures = [Failure(Code.PIN_MISMATCH, "wrong pin")]
        failure = await self.refused(self.register(RIGHT, passphrase=None, no_passphrase=True))
        self.assertEqual(failure.code, Code.PIN_MISMATCH)
        self.assertEqual(self.files(), {})
        await self.register(RIGHT, passphrase="another")

    async def test_what_has_begun_remains(self) -> None:
        await self.refused(self.register(WRONG))
        self.assertTrue(self.profile.exists)
        other = self.register(RIGHT, passphrase="another")
        self.assertEqual((await self.refused(other)).code, Code.PASSPHRASE)

    async def test_a_code_that_must_not_be_run_again_is_not_forgotten(self) -> None:
        self.server.prove_faults = ["lie"]
        await self.refused(self.register(RIGHT))
        self.assertTrue(self.profile.exists)

    async def test_what_is_wrong_with_the_call_is_found_before_anything_is_done(self) -> None:
        for options in (
            {"codes": None},
            {"link": "e2ee://server.example:8443/"},
            {"link": "https://server.example/"},
            {"ca": b"no certificate"},
        ):
            failure = await self.refused(self.register(RIGHT, **options))
            self.assertEqual(failure.code, Code.USAGE)
        self.assertFalse(self.data.exists())
        self.assertEqual(self.server.links, [])

    async def test_no_source_for_a_passphrase_is_wrong_usage(self) -> None:
        self.assertEqual((await self.refused(self.register(RIGHT, passphrase=None))).code, Code.USAGE)
        self.assertEqual(self.files(), {})

    async def test_a_vault_without_its_key_file_is_not_written_over(self) -> None:
        await self.register(RIGHT)
        self.profile.vault_key_path.unlink()
        before = self.files()
        self.assertEqual((await self.refused(self.register(RIGHT))).code, Code.FAILED)
        self.assertEqual(self.files(), before)

    async def test_a_crash_between_the_two_files_is_mended_by_the_next(self) -> None:
        self.patch(profile_directory, "wrap", _crash)
        with self.assertRaises(ZeroDivisionError):
            await self.register(RIGHT)
        self.assertFalse(self.profile.exists)


def _crash(*_: object) -> None:
    raise ZeroDivisionError


def _welcome(backup_pin: bytes) -> Welcome:
    return Welcome(1, 1, (), backup_pin)

