"""The manual pages and the completion scripts say what the commands themselves say."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from pathlib import Path
from unittest import skipUnless

import click
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui import printer
from e2ee.ui.cli import call, e2ee
from e2ee.ui.exit_codes import EXIT_CODES, INTERRUPTED, MEANINGS, MIXED
from e2ee.ui.manual import main, pages, write_pages
from e2ee.ui.verbs.completion import SHELLS


def declared(command: click.Command, path: str) -> dict[str, click.Command]:
    """Every command that can be seen, by the name of its page."""
    found = {f"{path}.1": command}
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            found |= declared(below, f"{path}-{name}")
    return found


class PagesTests(SynchronousTestCase):
    """One page for each command."""

    def setUp(self) -> None:
        self.pages = pages(e2ee, "e2ee")

    def test_each_command_that_help_shows_has_a_page_and_no_other(self) -> None:
        self.assertEqual(set(self.pages), set(declared(e2ee, "e2ee")))
        self.assertIn("e2ee-outbox-cancel.1", self.pages)

    def test_a_page_has_every_option_example_and_word_of_the_help(self) -> None:
        for name, command in declared(e2ee, "e2ee").items():
            said = plain(self.pages[name])
            for example in command.examples:  # type: ignore[attr-defined]
                self.assertIn(example, said, name)
            for option in command.params:
                if isinstance(option, click.Option) and not option.hidden:
                    self.assertIn(option.opts[-1], said, name)
            self.assertIn(" ".join((command.help or "").split()), " ".join(said.replace(".PP\n", "").split()))

    def test_the_first_page_explains_every_exit_code(self) -> None:
        for code in {*EXIT_CODES.values(), MIXED, INTERRUPTED}:
            self.assertIn(f"\\fB{code}\\fR\n{MEANINGS[code][:4]}", self.pages["e2ee.1"])

    def test_no_line_of_text_is_taken_for_a_request(self) -> None:
        verb = click.Command("odd", help=".so /etc/passwd\n\n'br \\fB -x ~ ^ ` …")
        text = pages(verb, "odd")["odd.1"]
        self.assertIn("\\&.so /etc/passwd", text)
        self.assertIn("\\(aqbr \\efB \\-x \\(ti \\(ha \\(ga \\[u2026]", text)
        self.assertTrue(text.isascii())

    @skipUnless(shutil.which("groff"), "needs groff")
    def test_groff_has_nothing_to_warn_of(self) -> None:
        checked = subprocess.run(
            ["groff", "-man", "-ww", "-z", "-Tutf8"], input="".join(self.pages.values()),
            capture_output=True, text=True, check=True,
        )
        self.assertEqual(checked.stderr, "")


class WritingTests(SynchronousTestCase):
    """`make man`."""

    def test_pages_of_several_commands_go_into_one_directory(self) -> None:
        directory = Path(self.mktemp()) / "man1"
        main(str(directory), "e2ee=e2ee.ui.cli:e2ee", "e2ee-admin=e2ee.server.admin:main")
        self.assertIn(".SH SYNOPSIS", (directory / "e2ee-admin-status.1").read_text(encoding="utf-8"))
        self.assertEqual((directory / "e2ee.1").read_text(encoding="utf-8"), pages(e2ee, "e2ee")["e2ee.1"])

    def test_what_is_written_is_counted(self) -> None:
        directory = Path(self.mktemp())
        self.assertEqual(write_pages(directory, [("e2ee", e2ee)]), len(list(directory.iterdir())))


class CompletionTests(SynchronousTestCase):
    """`e2ee completion SHELL`."""

    def test_the_script_for_each_shell_asks_with_our_variable(self) -> None:
        for shell in SHELLS:
            printed = io.StringIO()
            with redirect_stdout(printed):
                self.assertEqual(call(["completion", shell]), 0, shell)
            self.assertIn(f"_E2EE_COMPLETE={shell}_complete", printed.getvalue())

    def test_another_shell_is_a_usage_error(self) -> None:
        self.patch(printer, "print_error", lambda record: None)
        self.assertEqual(call(["completion", "cmd.exe"]), 2)


def plain(text: str) -> str:
    """The page as a reader sees its words."""
    signs = {"e": "\\", "-": "-", "(aq": "'", "(ga": "`", "(ha": "^", "(ti": "~", "fB": "", "fR": "", "&": ""}
    text = re.sub(r"\\\[u([0-9A-F]+)]", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"\\(\(..|f.|.)", lambda found: signs[found[1]], text)
