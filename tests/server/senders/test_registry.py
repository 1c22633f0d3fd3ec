"""Which sender an option names: those that come with the server, and those that others install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

import e2ee
from e2ee.server.senders.command import CommandSender
from e2ee.server.senders.console import ConsoleSender
from e2ee.server.senders.file import FileSender
from e2ee.server.senders.https import HttpsSender
from e2ee.server.senders.interface import (
    CodeSender,
    ICodeSenderPlugin,
    SenderPlugin,
    SenderRefused,
    SenderSurroundings,
)
from e2ee.server.senders.registry import installed, sender_from_option
from e2ee.server.senders.smtp import SmtpSender
from tests.server.senders.ground import NUMBER, private_file, surroundings

ROOT = Path(e2ee.__file__).parent.parent
OURS = {"console", "file", "command", "smtp", "smtps", "https"}


class InstalledTests(SynchronousTestCase):
    def test_ours_are_found_as_plugins(self) -> None:
        plugins = installed()
        self.assertLessEqual(OURS, {plugin.kind for plugin in plugins})
        for plugin in plugins:
            verifyObject(ICodeSenderPlugin, plugin)
            verifyObject(IPlugin, plugin)

    def test_each_kind_has_its_sender(self) -> None:
        routes = private_file(self, f"{NUMBER} a@example.org")
        template = private_file(self, '"{code} {address}"')
        for option, kind in (
            ("console", ConsoleSender),
            (f"file:{self.mktemp()}", FileSender),
            (f"command:{sys.executable}", CommandSender),
            (f"smtp://h/?from=a@example.org&routes={routes}", SmtpSender),
            (f"smtps://h/?from=a@example.org&routes={routes}", SmtpSender),
            (f"https://h/#json={template}", HttpsSender),
        ):
            self.assertIsInstance(sender_from_option(option, surroundings()), kind)

    def test_anything_else_is_refused_with_what_there_is_and_not_repeated(self) -> None:
        for option in ("", "pigeon:hunter2", "http://h/hunter2", "Console", "x" * 30 + "hunter2"):
            refused = self.assertRaises(ValueError, sender_from_option, option, surroundings())
            self.assertIn("use command:PATH, console, file:PATH, https://", str(refused))
            self.assertNotIn("hunter2", str(refused))

    def test_a_kind_with_nothing_or_too_much_after_it_is_refused(self) -> None:
        for option in ("console:", "console:x", "file:", "command:", "smtp:", "https:"):
            self.assertRaises(SenderRefused, sender_from_option, option, surroundings())

    def test_looking_for_plugins_loads_no_sender(self) -> None:
        """Every twistd command does so."""
        script = (
            "import sys; from e2ee.server.senders.registry import installed; installed();"
            " heavy = ('treq', 'twisted.mail.smtp', 'phonenumbers', 'e2ee.server.senders.https');"
            " print([name for name in heavy if name in sys.modules])"
        )
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(out.stdout.strip(), "[]")


@implementer(IPlugin, ICodeSenderPlugin)
class Faulty:
    """Somebody's plugin that does not work."""

    kind = "faulty"
    usage = "faulty"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def make(self, option: str, around: SenderSurroundings) -> CodeSender:
        raise self.error


class ForeignTests(SynchronousTestCase):
    """Plugins of others may be wrong in any way; the operator reads one sentence."""

    def refused(self, *plugins: ICodeSenderPlugin) -> str:
        sentence = str(
            self.assertRaises(SenderRefused, sender_from_option, "faulty:hunter2", surroundings(), plugins)
        )
        self.assertNotIn("hunter2", sentence)
        return sentence

    def test_one_that_fails(self) -> None:
        self.assertIn("ZeroDivisionError", self.refused(Faulty(ZeroDivisionError("hunter2"))))

    def test_one_whose_module_is_not_there(self) -> None:
        plugin = SenderPlugin("faulty", "faulty", "no.such.module")
        self.assertIn("needs the Python module no, which is not installed", self.refused(plugin))

    def test_one_whose_module_has_no_sender(self) -> None:
        self.assertIn("AttributeError", self.refused(SenderPlugin("faulty", "faulty", "json")))

    def test_its_own_refusal_is_told(self) -> None:
        self.assertEqual(self.refused(Faulty(SenderRefused("write faulty:THIS"))), "write faulty:THIS")

    def test_two_for_one_kind(self) -> None:
        self.assertIn("more than one plugin", self.refused(Faulty(KeyError()), Faulty(KeyError())))


class ExampleTests(SynchronousTestCase):
    """The example of the manual, installed beside the server as a wheel would be: its files on the path."""

    def setUp(self) -> None:
        self.site = Path(self.mktemp()).absolute()
        shutil.copytree(ROOT / "examples" / "own_sender", self.site, ignore=shutil.ignore_patterns("*.toml"))
        self.spool = self.site / "spool"
        self.spool.mkdir()

    def run_python(self, script: str) -> str:
        path = os.pathsep.join([str(self.site), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_is_found_and_sends(self) -> None:
        self.run_python(f"""
import os, time
from twisted.internet import reactor, task
from twisted.internet.threads import deferToThread
from e2ee.ids import Address
from e2ee.server.senders.interface import SenderSurroundings
from e2ee.server.senders.registry import sender_from_option
around = SenderSurroundings(reactor, deferToThread, time.time, os.urandom)
sender = sender_from_option("spool:{self.spool}", around)
sender.start()
task.react(lambda reactor: sender.send(Address("{NUMBER}"), "004711", 0))
""")
        [file] = self.spool.iterdir()
        self.assertEqual((file.name, file.read_text()), (NUMBER, "004711\n"))
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)

    def test_it_stands_in_the_list_of_what_there_is(self) -> None:
        kinds = json.loads(
            self.run_python(
                "import json; from e2ee.server.senders.registry import installed;"
                " print(json.dumps([plugin.usage for plugin in installed()]))"
            )
        )
        self.assertIn("spool:DIRECTORY", kinds)
