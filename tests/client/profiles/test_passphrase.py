"""Where a passphrase comes from: the first source that exists."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.profiles.passphrase import (
    PASSPHRASE_BYTES,
    Passphrase,
    Passphrases,
    PassphraseSource,
    keyring_passphrase,
)
from e2ee.errors import Code, Failure
from e2ee.testing.entropy import seeded_entropy


def nothing(profile: str) -> None:
    return None


class PassphraseCase(SynchronousTestCase):
    """A directory with files, and a terminal that notes how it was asked."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.key_file = self.directory / "passphrase"
        self.asked: list[bool] = []

    def file(self, content: bytes, name: str = "given") -> Path:
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def terminal(self, new: bool) -> str:
        self.asked.append(new)
        return "typed"

    def stored(self, profile: str) -> str | None:
        return "stored" if profile == str(self.directory) else None

    def existing(self, sources: Passphrases) -> Passphrase:
        return sources.existing(self.directory, self.key_file)

    def new(self, sources: Passphrases, no_passphrase: bool = False) -> Passphrase:
        return sources.new(self.directory, no_passphrase, seeded_entropy("passphrase"))


class ExistingTests(PassphraseCase):
    """A profile that has a passphrase."""

    def test_the_order_is_file_key_file_keyring_terminal(self) -> None:
        given = self.file(b"given\n")
        self.file(b"kept", "passphrase")
        everything = Passphrases(given, self.terminal, self.stored)
        self.assertEqual(self.existing(everything), Passphrase(b"given", PassphraseSource.FILE))
        no_file = Passphrases(None, self.terminal, self.stored)
        self.assertEqual(self.existing(no_file), Passphrase(b"kept", PassphraseSource.KEY_FILE))
        self.key_file.unlink()
        self.assertEqual(self.existing(no_file), Passphrase(b"stored", PassphraseSource.KEYRING))
        only_terminal = Passphrases(None, self.terminal, nothing)
        self.assertEqual(self.existing(only_terminal), Passphrase(b"typed", PassphraseSource.TERMINAL))
        self.assertEqual(self.asked, [False])

    def test_exactly_one_final_newline_is_taken_off(self) -> None:
        for content, wanted in (
            (b"a", b"a"),
            (b"a\n", b"a"),
            (b"a\n\n", b"a\n"),
            (b" a b \n", b" a b "),
            (b"a\r\n", b"a\r"),
            ("Grüße\n".encode(), "Grüße".encode()),
        ):
            with self.subTest(content=content):
                sources = Passphrases(self.file(content), None, nothing)
                self.assertEqual(self.existing(sources).value, wanted)

    def test_an_empty_file_counts_as_not_given(self) -> None:
        for content in (b"", b"\n"):
            with self.subTest(content=content):
                sources = Passphrases(self.file(content), self.terminal, nothing)
                self.assertEqual(self.existing(sources).source, PassphraseSource.TERMINAL)

    def test_without_a_source_it_is_a_failure_that_names_the_option(self) -> None:
        with self.assertRaises(Failure) as raised:
            self.existing(Passphrases(None, None, nothing))
        self.assertEqual(raised.exception.code, Code.PASSPHRASE)
        self.assertIn("--passphrase-file", raised.exception.sentence)

    def test_a_file_that_cannot_be_used_is_not_passed_over(self) -> None:
        readable = self.file(b"given")
        readable.chmod(0o644)
        for path in (readable, self.directory / "missing", self.file(b"x" * (PASSPHRASE_BYTES + 1), "long")):
            with self.subTest(path=path), self.assertRaises(Failure) as raised:
                self.existing(Passphrases(path, self.terminal, self.stored))
            self.assertEqual(raised.exception.code, Code.PASSPHRASE)
        self.assertEqual(self.asked, [])

    def test_a_key_file_that_others_can_read_is_refused(self) -> None:
        self.file(b"kept", "passphrase").chmod(0o644)
        with self.assertRaises(Failure):
            self.existing(Passphrases(None, self.terminal, nothing))

    def test_a_pipe_will_do(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"piped\n")
        os.close(writing)
        sources = Passphrases(Path(f"/dev/fd/{reading}"), None, nothing)
        self.assertEqual(self.existing(sources).value, b"piped")

    def test_no_repr_shows_it(self) -> None:
        self.assertNotIn("typed", repr(self.existing(Passphrases(None, self.terminal, nothing))))


class NewTests(PassphraseCase):
    """A profile that is being made."""

    def test_the_file_is_first_and_a_terminal_is_asked_for_a_new_one(self) -> None:
        sources = Passphrases(self.file(b"given"), self.terminal, self.stored)
        self.assertEqual(self.new(sources), Passphrase(b"given", PassphraseSource.FILE))
        self.assertEqual(self.new(Passphrases(None, self.terminal, nothing)).value, b"typed")
        self.assertEqual(self.asked, [True])

    def test_an_empty_file_or_the_option_makes_a_random_one_for_the_key_file(self) -> None:
        empty = Passphrases(self.file(b"\n"), self.terminal, self.stored)
        option = Passphrases(None, self.terminal, self.stored)
        for made in (self.new(empty), self.new(option, no_passphrase=True)):
            self.assertEqual((made.source, len(made.value)), (PassphraseSource.KEY_FILE, 64))
        self.assertEqual(self.asked, [])

    def test_without_a_source_it_is_wrong_usage(self) -> None:
        with self.assertRaises(Failure) as raised:
            self.new(Passphrases(None, None, nothing))
        self.assertEqual(raised.exception.code, Code.USAGE)

    def test_nothing_typed_is_no_passphrase(self) -> None:
        with self.assertRaises(Failure) as raised:
            self.new(Passphrases(None, lambda new: "", nothing))
        self.assertEqual(raised.exception.code, Code.PASSPHRASE)


class KeyringTests(SynchronousTestCase):
    """The operating system's keyring is optional."""

    def with_keyring(self, module: object) -> None:
        self.patch(sys, "modules", {**sys.modules, "keyring": module})

    def test_it_is_asked_for_the_profiles_directory(self) -> None:
        asked: list[tuple[str, str]] = []

        def get_password(service: str, user: str) -> str:
            asked.append((service, user))
            return "stored"

        self.with_keyring(SimpleNamespace(get_password=get_password))
        self.assertEqual(keyring_passphrase("/profiles/default"), "stored")
        self.assertEqual(asked, [("e2ee", "/profiles/default")])

    def test_without_the_package_there_is_nothing_in_it(self) -> None:
        self.with_keyring(None)
        self.assertIsNone(keyring_passphrase("/profiles/default"))

    def test_a_keyring_that_cannot_answer_has_nothing_in_it(self) -> None:
        def locked(service: str, user: str) -> str:
            raise RuntimeError("locked")

        self.with_keyring(SimpleNamespace(get_password=locked))
        self.assertIsNone(keyring_passphrase("/profiles/default"))
