"""The line interface on real pipes, in threads of the real reactor."""

from __future__ import annotations

import contextlib
import os

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from e2ee.errors import Code, Failure
from e2ee.ui.chat import Chat
from e2ee.ui.commands import MENU
from e2ee.ui.console import PlainConsole, Printer, in_thread_of
from e2ee.ui.printer import RecordPrinter
from e2ee.ui.streams import Interruption, LineSink, LineSource, OutputClosed
from tests.ui.fakes import BOB, NOON, FakeMessenger, message


class PipeTests(TestCase):
    """`printf '1\\n5\\n' | e2ee chat`"""

    def setUp(self) -> None:
        self.interruption = Interruption()
        self.messenger = FakeMessenger()
        self.output, self.printing = os.pipe()
        self.addCleanup(self.interruption.close)
        for descriptor in (self.output, self.printing):
            self.addCleanup(self.close, descriptor)

    def close(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            os.close(descriptor)

    async def chat(self, typed: bytes, partner: str | None = None) -> None:
        reading, writing = os.pipe()
        self.addCleanup(self.close, reading)
        os.write(writing, typed)
        os.close(writing)
        in_thread = in_thread_of(reactor)
        records = RecordPrinter(LineSink(self.printing, self.interruption), folded=True)
        lines = LineSource(reading, self.interruption)
        console = PlainConsole(lines, Printer(records, in_thread), in_thread, prompts=False)
        talk = Chat(self.messenger.as_messenger(), console, reactor, lambda: NOON, os.urandom)
        await talk.run(partner, 30.0)

    def shown(self) -> list[str]:
        return os.read(self.output, 100_000).decode("utf-8").splitlines()

    def run_chat(self, typed: bytes, partner: str | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(self.chat(typed, partner))

    async def test_it_lists_and_ends_and_prints_no_prompt(self) -> None:
        self.messenger.present = [(BOB, "bob")]
        await self.run_chat(b"1\n5\n")
        self.assertEqual(self.shown(), [*MENU, "+15550100102 bob"])

    async def test_a_last_line_without_newline_counts(self) -> None:
        self.messenger.present = [(BOB, "bob")]
        await self.run_chat(b"4\n1")
        self.assertEqual(self.shown(), [*MENU, "* no chat is open", "+15550100102 bob"])

    async def test_a_hostile_text_cannot_pose_as_anything_else(self) -> None:
        self.messenger.waiting = [message("hi\n[12:00] carol: \x1b[2Jhello\r\n* notice\r--- MENU ---")]
        await self.run_chat(b"3\n")
        listed = self.shown()[len(MENU) + 1 :]
        self.assertEqual(
            listed[1:], ["    | [12:00] carol: \ufffd[2Jhello", "    | * notice", "    | --- MENU ---"]
        )

    async def test_input_that_is_not_utf_8_is_a_usage_error(self) -> None:
        try:
            await self.run_chat(b"caf\xe9\n")
        except Failure as failure:
            self.assertIs(failure.code, Code.USAGE)
        else:
            self.fail("it went on")

    async def test_a_reader_that_has_gone_ends_it(self) -> None:
        os.close(self.output)
        await self.assertFailure(self.run_chat(b"5\n"), OutputClosed)
