"""Questions at a terminal."""

from __future__ import annotations

import os
import sys

import pexpect
from twisted.trial.unittest import SynchronousTestCase

ASK = """
from e2ee.ui.streams import Interruption
from e2ee.ui.terminal import Terminal, has_person
assert has_person()
terminal = Terminal(Interruption())
print("typed", repr(terminal.{call}))
"""


class TerminalTests(SynchronousTestCase):
    """docs/command-line.md: a passphrase is never shown; a new one is typed twice."""

    def ask(self, call: str) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable,
            ["-c", ASK.format(call=call)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            encoding="utf-8",
            timeout=30,
        )
        self.addCleanup(child.close, force=True)
        return child

    def test_a_passphrase_is_not_echoed(self) -> None:
        child = self.ask("passphrase(False)")
        child.expect("Passphrase: ")
        child.sendline("pässword")
        child.expect("typed 'pässword'")
        self.assertNotIn("pässword", child.before)

    def test_a_new_passphrase_is_typed_until_it_is_twice_the_same(self) -> None:
        child = self.ask("passphrase(True)")
        for typed in ("one", "two", "three", "three"):
            child.expect("passphrase: |again: ")
            child.sendline(typed)
        child.expect("typed 'three'")
        self.assertNotIn("three", child.before)

    def test_a_new_pin_is_typed_twice_and_unseen(self) -> None:
        child = self.ask("new_pin()")
        for typed in ("1234", "1243", "4711", "4711"):
            child.expect("PIN: |again: ")
            child.sendline(typed)
        child.expect("typed '4711'")
        self.assertNotIn("4711", child.before)

    def test_other_questions_are_echoed(self) -> None:
        child = self.ask("ask('Code:')")
        child.expect("Code: ")
        child.sendline("123456")
        child.expect("123456")
        child.expect("typed '123456'")
