"""The command `e2ee` as scripts see it: usage, help, options, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from e2ee import __version__
from e2ee.ui import cli, printer, runner
from e2ee.ui.options import Options

START = [sys.executable, "-c", "from e2ee.ui.cli import main; main()"]


class CliTestCase(SynchronousTestCase):
    """Calls in this process; verbs are not run, but kept."""

    def setUp(self) -> None:
        self.errors: list[str] = []
        self.runs: list[tuple[Options, bool]] = []
        self.patch(printer, "print_error", self.errors.append)
        self.patch(runner, "run", self.run_verb)
        for name in cli.VARIABLES:
            if name in os.environ:
                value = os.environ.pop(name)
                self.addCleanup(os.environ.__setitem__, name, value)

    def run_verb(self, options: Options, main: Callable[..., Any], *, long_running: bool = False) -> int:
        self.runs.append((options, long_running))
        return 0

    def call(self, *arguments: str) -> int:
        return cli.call(arguments)

    def error(self) -> dict[str, Any]:
        """The last line of standard error, with --json."""
        found: dict[str, Any] = json.loads(self.errors[-1])
        return found


class UsageTests(CliTestCase):
    """docs/command-line.md: usage errors are a sentence, or an object, and exit 2."""

    def assert_usage(self, *arguments: str) -> None:
        self.assertEqual(self.call(*arguments), 2, arguments)
        self.assertTrue(self.errors[-1].startswith("e2ee: "))
        self.assertNotIn("\n", self.errors[-1])
        self.assertEqual(self.call("--json", *arguments), 2)
        self.assertEqual(self.error()["code"], "usage")
        self.assertEqual(self.runs, [])

    def test_wrong_usage_is_2_with_a_sentence(self) -> None:
        for line in (
            "nonsense",
            "send",
            "send --nonsense +15550100102",
            "send +15550100102 -m x --id 00",
            "send +15550100102 +15550100103 -m x --id 00112233445566778899aabbccddeeff",
            "receive --max 0",
            "receive extra",
            "--timeout soon status",
            "--timeout nan status",
            "status --timeout -1",
            "run -- true",
            "run --to bob",
            "run --to bob --",
            "run --to bob --nonsense -- true",
            "run --to +1555 -- true",
            "verify",
            "verify bob --confirm 123",
            "contacts add bob",
            "contacts nonsense",
            "history --since yesterday",
            "history --limit 0",
            "history --until yesterday",
            "history --direction up",
            "forget",
            "forget 12",
            "forget bob",
            "outbox cancel 12",
            "register e2ee://localhost:1/",
            "register LINK 15550100101",
            "register LINK +1555",
            "send --wait nonsense +15550100102",
            "pin nonsense",
            "pin set 1234",
            "pin remove --pin-file x",
        ):
            self.assert_usage(*line.split())

    def test_an_empty_text_is_2(self) -> None:
        self.assert_usage("send", "+15550100102", "-m", "")

    def test_chat_has_no_json(self) -> None:
        self.assertEqual(self.call("chat", "--json"), 2)
        self.assertEqual(self.error()["code"], "usage")

    def test_no_verb_shows_the_help_and_is_2(self) -> None:
        self.assertEqual(self.call("--json"), 2)
        self.assertEqual(self.error()["code"], "usage")

    def test_arguments_that_are_not_utf_8_are_2(self) -> None:
        self.assert_usage("send", "+15550100102", "-m", "caf\udce9")

    def test_after_two_dashes_json_is_a_text(self) -> None:
        self.assertEqual(self.call("contacts", "add", "+15550100102", "--nonsense", "--", "--json"), 2)
        self.assertTrue(self.errors[-1].startswith("e2ee: "))


class AvailableTests(CliTestCase):
    """What came later than other verbs."""

    def test_choices_are_accepted(self) -> None:
        for state in ("accepted", "delivered", "read"):
            self.call("send", "+15550100102", "-m", "x", "--wait", state)
        for kem in ("ml-kem-1024", "rsa-3072"):
            self.call("register", "LINK", "+15550100101", "--kem", kem)
        self.assertEqual(len(self.runs), 5)
        self.assertEqual(self.call("send", "+15550100102", "-m", "x", "--wait", "seen"), 2)
        self.assertEqual(self.call("register", "LINK", "+15550100101", "--kem", "rsa-1024"), 2)

    def test_the_registration_pin_is_available(self) -> None:
        for line in (
            "pin set",
            "pin set --pin-file x --json",
            "--timeout 3 pin remove",
            "register LINK +15550100101 --pin-file x",
        ):
            self.assertEqual(self.call(*line.split()), 0, line)
        self.assertEqual([options.timeout for options, _ in self.runs], [None, None, 3.0, None])


    def test_an_account_can_be_deleted(self) -> None:
        for line in ("account delete", "account delete --yes --json"):
            self.assertEqual(self.call(*line.split()), 0, line)
        self.assertEqual(self.call("account", "--json"), 2)

    def test_programs_are_served_until_they_end(self) -> None:
        for line in ("agent", "agent --socket x --json", "rpc", "rpc --timeout 5"):
            self.assertEqual(self.call(*line.split()), 0, line)
        self.assertEqual([long_running for _, long_running in self.runs], [True] * 4)
        self.assertEqual(self.call("rpc", "--nonsense"), 2)


class OptionsTests(CliTestCase):
    """The common options stand before or after the verb, or in the environment."""

    def options(self, *arguments: str) -> Options:
        self.assertEqual(self.call(*arguments), 0, self.errors)
        return self.runs[-1][0]

    def test_they_stand_before_or_after_the_verb(self) -> None:
        expected = Options("work", Path("d"), Path("p"), True, 2, 5.0)
        line = "--profile work --data-dir d --passphrase-file p --json -vv --timeout 5"
        self.assertEqual(self.options(*line.split(), "status"), expected)
        self.assertEqual(self.options("status", *line.split()), expected)
        self.assertEqual(self.options("contacts", *line.split(), "block", "bob"), expected)

    def test_the_defaults(self) -> None:
        self.assertEqual(self.options("status"), Options("default", None, None, False, 0, None))

    def test_the_one_after_the_verb_wins(self) -> None:
        self.assertEqual(self.options("--profile", "a", "status", "--profile", "b").profile, "b")

    def test_the_environment_counts_unless_the_option_is_given(self) -> None:
        for name, value in (
            ("E2EE_PROFILE", "env"),
            ("E2EE_DATA_DIR", "/env"),
            ("E2EE_PASSPHRASE_FILE", "/env/p"),
        ):
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)
        self.assertEqual(self.options("status"), Options("env", Path("/env"), Path("/env/p")))
        self.assertEqual(self.options("status", "--profile", "given").profile, "given")
        self.assertEqual(self.options("--profile", "given", "status").profile, "given")

    def test_only_long_running_verbs_end_well_with_sigterm(self) -> None:
        lines = ("chat", "receive --follow", "receive", "send bob -m x", "online", "history", "outbox")
        for line in lines:
            self.call(*line.split())
        self.assertEqual([long for _, long in self.runs], [True, True] + [False] * 5)


class HelpTests(CliTestCase):
    """`--help` of each command begins with examples."""

    def commands(self, group: click.Group = cli.e2ee, *path: str) -> list[list[str]]:
        found: list[list[str]] = [list(path)]
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                found += self.commands(command, *path, name)
            else:
                found.append([*path, name])
        return found

    def test_every_help_begins_with_examples(self) -> None:
        commands = self.commands()
        self.assertGreater(len(commands), 15)
        for path in commands:
            for option in ("-h", "--help"):
                result = CliRunner().invoke(cli.e2ee, [*path, option], prog_name="e2ee")
                self.assertEqual(result.exit_code, 0, path)
                first, example = result.stdout.splitlines()[:2]
                self.assertEqual(first, "Examples:")
                self.assertTrue(example.startswith("  e2ee " if path != ["chat"] else "  "), path)

    def test_the_version_stands_before_or_after_the_verb(self) -> None:
        for arguments in (["--version"], ["send", "--version"]):
            result = CliRunner().invoke(cli.e2ee, arguments, prog_name="e2ee")
            self.assertEqual((result.exit_code, result.stdout), (0, f"e2ee {__version__}\n"))


class ProcessTests(SynchronousTestCase):
    """What only a process of its own shows."""

    def setUp(self) -> None:
        self.data_dir = self.mktemp()

    def run_e2ee(self, *arguments: str | bytes, **settings: Any) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "E2EE_DATA_DIR": self.data_dir, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment.update(settings.pop("environment", {}))
        settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            [*START, *arguments], capture_output=True, env=environment, check=False, **settings
        )

    def test_help_needs_no_reactor_and_no_numbers(self) -> None:
        heavy = ["twisted.internet.reactor", "e2ee.client.messenger", "phonenumbers", "sqlcipher3"]
        script = (
            "import sys; from e2ee.ui import cli; cli.call(['send', '--help']); cli.call(['nonsense']);"
            f" sys.exit(repr([name for name in {heavy!r} if name in sys.modules] or ''))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        self.assertTrue(done.stderr.endswith(b"''\n"), done.stderr)

    def test_an_unregistered_profile_is_6_and_nothing_is_made(self) -> None:
        done = self.run_e2ee("receive", "--json")
        self.assertEqual((done.returncode, done.stdout), (6, b""))
        self.assertEqual(json.loads(done.stderr.splitlines()[-1])["code"], "not_registered")
        self.assertFalse(os.path.exists(self.data_dir))

    def test_register_without_a_source_of_the_code_is_2_and_asks_nobody(self) -> None:
        link = "e2ee://localhost:1/sha256:" + "A" * 43
        done = self.run_e2ee("register", link, "+15550100101", "--no-passphrase", "--json")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--code-file", json.loads(done.stderr)["message"])
        self.assertFalse(os.path.exists(self.data_dir))

    def test_arguments_that_are_not_utf_8_are_2_whatever_the_locale(self) -> None:
        for locale in ("C", "C.UTF-8"):
            done = self.run_e2ee("send", "+15550100102", "-m", b"caf\xe9", environment={"LC_ALL": locale})
            self.assertEqual(done.returncode, 2)

    def test_a_closed_pipe_ends_quietly_with_0(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*START, "--help"],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_shells_can_complete(self) -> None:
        done = self.run_e2ee(
            environment={"_E2EE_COMPLETE": "bash_complete", "COMP_WORDS": "e2ee rec", "COMP_CWORD": "1"}
        )
        self.assertEqual(done.stdout, b"plain,receive\n")
