"""The profiles on a machine, and another passphrase for one of them: docs/command-line.md."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.profile import Profile
from e2ee.client.profiles import new_passphrase
from e2ee.client.profiles.new_passphrase import change_passphrase
from e2ee.client.profiles.passphrase import Passphrase, PassphraseSource
from e2ee.client.profiles.profile_directory import create_keys, unwrap_key
from e2ee.client.profiles.profile_list import ProfileSummary, profiles_in
from e2ee.client.profiles.profile_lock import try_lock
from e2ee.crypto import primitives
from e2ee.errors import Code, Failure
from e2ee.testing.entropy import seeded_entropy
from tests.ui.fakes import CoroutineTestCase

Changing = Coroutine[Deferred[Any], Any, PassphraseSource]
OLD = Passphrase(b"old", PassphraseSource.FILE)
NEW = Passphrase(b"new", PassphraseSource.FILE)
NONE = Passphrase(b"00112233", PassphraseSource.KEY_FILE)


class Crash(BaseException):
    """The process dies."""


class ProfilesCase(SynchronousTestCase):
    """A data directory. Argon2id is cheap here."""

    def setUp(self) -> None:
        self.entropy = seeded_entropy("profiles")
        self.data = Path(self.mktemp())
        self.data.mkdir()
        derive = primitives.argon2id
        self.patch(primitives, "argon2id", lambda secret, salt, *costs: derive(secret, salt, 64, 1, 1))

    def made(self, name: str, passphrase: Passphrase = OLD) -> Profile:
        profile = Profile(self.data, name)
        profile.directory.mkdir()
        create_keys(profile, passphrase, self.entropy)
        return profile


class ListTests(ProfilesCase):
    """`e2ee profiles`."""

    def test_profiles_are_listed_by_name_with_how_they_open(self) -> None:
        bot, alice = self.made("bot", NONE), self.made("alice")
        self.assertEqual(
            profiles_in(self.data),
            [
                ProfileSummary("alice", alice.directory, False, None),
                ProfileSummary("bot", bot.directory, True, None),
            ],
        )

    def test_what_is_no_profile_is_not_listed(self) -> None:
        (self.data / "half").mkdir()
        (self.data / "a b").mkdir()
        (self.data / "file").write_text("")
        self.assertEqual(profiles_in(self.data), [])
        self.assertEqual(profiles_in(self.data / "missing"), [])
        self.assertEqual(profiles_in(self.data / "file"), [])

    def test_the_process_that_has_a_profile_open_is_named_while_it_has(self) -> None:
        alice = self.made("alice")
        lock = try_lock(alice.lock_path)
        assert lock is not None
        self.assertEqual(profiles_in(self.data)[0].holder, os.getpid())
        lock.release()
        alice.lock_path.write_text("4711\n")
        self.assertIsNone(profiles_in(self.data)[0].holder, "it died, and nobody has taken its number away")

    def test_looking_changes_nothing(self) -> None:
        self.made("alice")
        before = {path: path.stat().st_mtime_ns for path in self.data.rglob("*")}
        profiles_in(self.data)
        self.assertEqual({path: path.stat().st_mtime_ns for path in self.data.rglob("*")}, before)


class PassphraseCase(ProfilesCase, CoroutineTestCase):
    """`e2ee profiles passphrase`."""

    def changing(self, profile: Profile, old: Passphrase, new: Passphrase) -> Changing:
        return change_passphrase(
            profile, lambda: old, lambda: new, clock=Clock(), in_thread=execute,
            entropy=self.entropy, timeout=0.0,
        )  # fmt: skip

    def change(self, profile: Profile, old: Passphrase, new: Passphrase) -> PassphraseSource:
        return self.result(self.changing(profile, old, new))

    def refusal(self, profile: Profile, old: Passphrase, new: Passphrase) -> Code:
        return self.failure(self.changing(profile, old, new)).code

    def crash_in(self, name: str, profile: Profile, old: Passphrase, new: Passphrase) -> None:
        """The process dies where this would be called."""

        def crash(*_arguments: object) -> None:
            raise Crash

        with MonkeyPatcher((new_passphrase, name, crash)) as _:
            self.failureResultOf(self.start(self.changing(profile, old, new)), Crash)


class ChangeTests(PassphraseCase):
    """The vault's key stays what it was."""

    def test_the_new_one_opens_the_profile_and_the_old_one_does_not(self) -> None:
        alice = self.made("alice")
        key = unwrap_key(alice, b"old")
        before = alice.vault_key_path.read_bytes()
        self.assertEqual(self.change(alice, OLD, NEW), PassphraseSource.FILE)
        self.assertEqual(unwrap_key(alice, b"new"), key)
        with self.assertRaises(Failure) as raised:
            unwrap_key(alice, b"old")
        self.assertEqual(raised.exception.code, Code.PASSPHRASE)
        self.assertNotIn(before[14:30], alice.vault_key_path.read_bytes(), "the salt is a new one")

    def test_a_profile_can_do_without_and_get_one_again(self) -> None:
        alice = self.made("alice")
        key = unwrap_key(alice, b"old")
        self.change(alice, OLD, NONE)
        self.assertEqual(unwrap_key(alice, alice.key_file.read_bytes()), key)
        self.assertEqual(alice.key_file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.refusal(alice, NONE, NONE), Code.USAGE)
        self.assertEqual(unwrap_key(alice, alice.key_file.read_bytes()), key)
        self.change(alice, NONE, NEW)
        self.assertFalse(alice.key_file.exists())
        self.assertEqual(unwrap_key(alice, b"new"), key)

    def test_a_wrong_old_one_changes_nothing(self) -> None:
        alice = self.made("alice")
        before = alice.vault_key_path.read_bytes()
        self.assertEqual(self.refusal(alice, NEW, NONE), Code.PASSPHRASE)
        self.assertEqual(alice.vault_key_path.read_bytes(), before)
        self.assertFalse(alice.key_file.exists())

    def test_no_profile_and_a_busy_one_are_refused(self) -> None:
        self.assertEqual(self.refusal(Profile(self.data, "nobody"), OLD, NEW), Code.NOT_REGISTERED)
        alice = self.made("alice")
        lock = try_lock(alice.lock_path)
        assert lock is not None
        self.assertEqual(self.refusal(alice, OLD, NEW), Code.PROFILE_BUSY)
        lock.release()
        self.change(alice, OLD, NEW)

    def test_after_a_crash_between_the_two_files_one_of_the_passphrases_opens_it(self) -> None:
        alice, bot = self.made("alice"), self.made("bot", NONE)
        keys = unwrap_key(alice, b"old"), unwrap_key(bot, NONE.value)
        self.crash_in("wrap_again", alice, OLD, NONE)
        self.assertEqual(unwrap_key(alice, b"old"), keys[0])
        self.crash_in("remove", bot, NONE, NEW)
        self.assertEqual(unwrap_key(bot, b"new"), keys[1])
