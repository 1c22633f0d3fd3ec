"""Where a secret may come from, and that nothing of it is ever said."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server import secret_source
from e2ee.server.secret_source import NoSecretSource, SecretRefused, SecretSource
from e2ee.server.state_directory import StateRefused, encode_secret
from examples.stage import wait_until

SECRET = bytes(range(32))
HEX = SECRET.hex()
TEXT = encode_secret(SECRET).decode()


class SourceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def file(self, content: str, mode: int = 0o600, name: str = "secret") -> Path:
        path = self.folder / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def refused(self, option: str, **environment: str) -> str:
        sentence = str(self.assertRaises(StateRefused, SecretSource.parse(option).read, environment))
        self.assertNotIn("\n", sentence)
        return sentence


class FileTests(SourceCase):
    """``file:PATH`` and ``credential:NAME``."""

    def test_a_file(self) -> None:
        for mode in (0o600, 0o400, 0o640):
            source = SecretSource.parse(f"file:{self.file(TEXT, mode)}")
            self.assertEqual(source.read({}), SECRET)
        self.assertEqual(source.file, self.folder / "secret")
        self.assertEqual(SecretSource.parse("file:a/b").file, Path("a/b").absolute())

    def test_white_space_around_it_and_capitals_do_not_matter(self) -> None:
        for text in (TEXT.strip(), TEXT.upper(), f"\n {TEXT}\r\n"):
            self.assertEqual(SecretSource.parse(f"file:{self.file(text)}").read({}), SECRET)

    def test_a_credential(self) -> None:
        source = SecretSource.parse("credential:secret")
        self.file(TEXT, 0o440)
        self.assertEqual(source.read({"CREDENTIALS_DIRECTORY": str(self.folder)}), SECRET)
        self.assertIsNone(source.file)
        self.assertIn("LoadCredential=", self.refused("credential:secret"))
        self.assertIn("cannot be read", self.refused("credential:x", CREDENTIALS_DIRECTORY=str(self.folder)))

    def test_what_others_can_read_is_refused_with_the_command_that_mends_it(self) -> None:
        for mode in (0o604, 0o620, 0o660):
            sentence = self.refused(f"file:{self.file(TEXT, mode)}")
            self.assertIn(f"chmod o=,g-w {self.folder / 'secret'}", sentence)

    def test_the_file_that_is_read_is_the_one_that_is_looked_at(self) -> None:
        """One that is exchanged in between has passed nothing."""
        path = self.file(TEXT)
        before = path.stat()
        path.chmod(0o604)
        with mock.patch.object(Path, "stat", return_value=before):
            self.assertIn("others can read", self.refused(f"file:{path}"))

    def test_what_is_no_secret_is_not_repeated(self) -> None:
        for content in ("", "ab" * 31, "ab" * 33, "hunter2" * 8, TEXT + TEXT, "\u0664" * 64, "x" * 5000):
            sentence = self.refused(f"file:{self.file(content)}")
            self.assertIn("does not hold 64 hex digits", sentence)
            self.assertFalse(content.strip() and content.strip() in sentence)

    def test_what_is_no_file(self) -> None:
        os.mkfifo(self.folder / "pipe", 0o600)
        self.assertIn("not a regular file", self.refused(f"file:{self.folder / 'pipe'}"))
        self.folder.chmod(0o700)
        self.assertIn("not a regular file", self.refused(f"file:{self.folder}"))
        self.assertIn("No such file", self.refused("file:/nowhere/at/all"))


class CommandTests(SourceCase):
    """``command:COMMAND``: without a shell, in its time, and unheard."""

    def command(self, script: str) -> str:
        return f"command:{self.file(f'#!/bin/sh{chr(10)}{script}{chr(10)}', 0o700, 'fetch')}"

    def test_what_it_prints_is_the_secret(self) -> None:
        source = SecretSource.parse(self.command(f"[ $# = 0 ] && echo {HEX}"))
        self.assertEqual((source.read({}), source.file), (SECRET, None))

    def test_its_arguments_are_words_and_no_shell_reads_them(self) -> None:
        command = self.command(f'[ "$1" = "a b" ] && [ "$2" = "\\$HOME;" ] && echo {HEX}')
        source = SecretSource.parse(f"{command} 'a b' $HOME;")
        self.assertEqual(source.read({}), SECRET)
        self.assertEqual((str(source), repr(source)), 2 * (f"command:{self.folder / 'fetch'} …",))

    def test_its_failures_are_told_without_its_words(self) -> None:
        failing = self.refused(self.command(f"echo {HEX}; echo {HEX} >&2; exit 3"))
        self.assertIn("failed with status 3: run it by hand", failing)
        self.assertIn("failed with status -9", self.refused(self.command("kill -9 $$")))
        other = self.refused(self.command("echo some other words"))
        self.assertIn("does not hold 64 hex digits", other)
        for sentence in (failing, other):
            self.assertNotIn("words", sentence)
            self.assertNotIn(HEX, sentence)
        self.assertIn("cannot be run", self.refused("command:/nowhere/at/all"))
        self.assertIn("cannot be run", self.refused(f"command:{self.file(HEX)}"))

    def test_its_standard_error_is_not_ours(self) -> None:
        told = self.folder / "told"
        before = os.dup(2)
        self.addCleanup(os.close, before)
        with told.open("wb") as file:
            os.dup2(file.fileno(), 2)
            try:
                SecretSource.parse(self.command(f"echo {HEX} >&2; echo {HEX}")).read({})
            finally:
                os.dup2(before, 2)
        self.assertEqual(told.read_text(), "")

    def test_one_that_does_not_end_is_ended_with_all_that_it_has_started(self) -> None:
        number = self.folder / "number"
        sleep = f"sleep 600 & echo $! > {number}"
        for script in (f"{sleep}; wait", f"echo {HEX}; exec >&-; {sleep}; wait", f"echo {HEX}; {sleep}"):
            process = self.cut_short(self.command(script), number)
            wait_until("the end of what it has started", lambda process=process: self.ended(process))  # type: ignore[misc]

    def cut_short(self, command: str, number: Path) -> int:
        """Have it ended once it has come so far as to write the number of a process into the file."""
        number.unlink(missing_ok=True)
        for seconds in (0.3, 1, 3, 10, 30):
            self.patch(secret_source, "COMMAND_SECONDS", seconds)
            self.assertIn("did not end within", self.refused(command))
            if number.exists() and (written := number.read_text()):
                return int(written)
        raise self.failureException("the command has never come so far")

    def ended(self, process: int) -> bool:
        """Gone, or only waited for by nobody."""
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat").read_text()
        except (ProcessLookupError, FileNotFoundError):
            return True
        return state.rpartition(")")[2].split()[0] == "Z"

    def test_one_that_prints_without_end_is_ended(self) -> None:
        self.assertIn("more than a secret", self.refused("command:/bin/sh -c 'while :; do echo more; done'"))


class OptionTests(SynchronousTestCase):
    """One sentence for what is none of the three forms, and it may have been the secret itself."""

    def test_it_is_not_repeated(self) -> None:
        for option in (
            TEXT.strip(), "", "file:", "file: ", "command:", "command:'a", "credential:", "credential:a/b",
            "credential:..", f"raw:{TEXT}",
        ):  # fmt: skip
            sentence = str(self.assertRaises(NoSecretSource, SecretSource.parse, option))
            self.assertIn("secret is ", sentence)
            self.assertNotIn(TEXT.strip(), sentence)

    def test_a_refusal_is_one_of_the_state(self) -> None:
        self.assertTrue(issubclass(SecretRefused, StateRefused))
