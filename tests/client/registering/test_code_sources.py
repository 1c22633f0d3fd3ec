"""Where a code comes from: a file, a command, a line of standard input."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from e2ee.client.registering.code_sources import (
    POLL_SECONDS,
    CommandCode,
    FileCode,
    StdinCode,
    find_code,
    source_from_options,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address

T = TypeVar("T")

ALICE = Address("+15550100101")


def at_once(work: Callable[[], T], /) -> Awaitable[T]:
    return execute(work)


class FindTests(SynchronousTestCase):
    """A line of exactly six ASCII digits."""

    def test_the_line_may_stand_among_others_and_lack_its_newline(self) -> None:
        among = (b"hello\n123456\r\nbye\n", b" 123456 \n", b"111111\n123456\n")
        for content in (b"123456", b"123456\n", *among):
            with self.subTest(content=content):
                self.assertEqual(find_code(content), "123456")

    def test_nothing_else_is_a_code(self) -> None:
        others = ("123 456\n", "code: 123456\n", "１２３４５６\n", "+12345\n")
        for content in ("", "12345\n", "1234567\n", *others):
            with self.subTest(content=content):
                self.assertIsNone(find_code(content.encode()))


class FileTests(SynchronousTestCase):
    """A file is waited for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())

    def begin(self) -> Deferred[str]:
        return Deferred.fromCoroutine(FileCode(self.path, self.clock, at_once).code())

    def test_it_is_waited_for_until_it_holds_a_code(self) -> None:
        waiting = self.begin()
        self.clock.advance(POLL_SECONDS)
        self.path.write_text("12345")
        self.clock.advance(POLL_SECONDS)
        self.assertNoResult(waiting)
        self.path.write_text("123456")
        self.clock.advance(POLL_SECONDS)
        self.assertEqual(self.successResultOf(waiting), "123456")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_giving_up_ends_the_waiting(self) -> None:
        waiting = self.begin()
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_directory_is_wrong_usage(self) -> None:
        self.path.mkdir()
        self.assertEqual(self.failureResultOf(self.begin(), Failure).value.code, Code.USAGE)

    def test_a_pipe_that_nobody_writes_to_does_not_hold_it_up(self) -> None:
        os.mkfifo(self.path)
        waiting = self.begin()
        self.clock.advance(POLL_SECONDS)
        self.assertNoResult(waiting)
        descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, descriptor)
        os.write(descriptor, b"123")
        self.clock.advance(POLL_SECONDS)
        os.write(descriptor, b"456\n")
        self.clock.advance(POLL_SECONDS)
        self.assertEqual(self.successResultOf(waiting), "123456")

    def test_waiting_for_it_counts_and_nobody_typed_it(self) -> None:
        source = FileCode(self.path, self.clock, at_once)
        self.assertEqual((source.timed, source.interactive), (True, False))


class CommandTests(TestCase):
    """The output of a command."""

    timeout = 300

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor

    def run_command(self, command: str) -> Deferred[str]:
        source = CommandCode(command, ALICE, self.reactor, {"PATH": os.environ["PATH"]})
        self.assertEqual((source.timed, source.interactive), (False, False))
        return Deferred.fromCoroutine(source.code())

    async def test_its_line_of_six_digits_is_the_code(self) -> None:
        self.assertEqual(await self.run_command("echo looking; echo 123456"), "123456")

    async def test_it_has_the_number_in_its_environment(self) -> None:
        command = 'test "$E2EE_ADDRESS" = +15550100101 && echo 123456'
        self.assertEqual(await self.run_command(command), "123456")

    async def test_its_standard_input_is_at_its_end(self) -> None:
        self.assertEqual(await self.run_command("cat; echo 123456"), "123456")

    async def test_a_command_that_fails_gives_none_whatever_it_prints(self) -> None:
        with self.assertRaises(Failure) as raised:
            await self.run_command("echo 123456; exit 3")
        self.assertEqual(raised.exception.code, Code.FAILED)

    async def test_a_command_that_prints_none_gives_none(self) -> None:
        with self.assertRaises(Failure) as raised:
            await self.run_command("echo 12345")
        self.assertEqual(raised.exception.code, Code.WRONG_CODE)

    async def test_a_talkative_one_is_bounded(self) -> None:
        self.assertEqual(await self.run_command("yes | head -c 300000; echo; echo 123456"), "123456")


class StdinTests(TestCase):
    """One line of standard input."""

    timeout = 300

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)

    def begin(self) -> Deferred[str]:
        return Deferred.fromCoroutine(StdinCode(self.reactor, self.reading).code())

    async def test_the_first_line_is_the_code(self) -> None:
        os.write(self.writing, b"123456\r\n654321\n")
        os.close(self.writing)
        self.assertEqual(await self.begin(), "123456")

    async def test_a_last_line_without_newline_counts(self) -> None:
        waiting = self.begin()
        os.write(self.writing, b"123456")
        os.close(self.writing)
        self.assertEqual(await waiting, "123456")

    async def test_the_end_of_input_is_no_code(self) -> None:
        os.close(self.writing)
        self.assertEqual(await self.begin(), "")

    async def test_a_file_will_do(self) -> None:
        os.close(self.writing)
        path = Path(self.mktemp())
        path.write_text("123456\n")
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(await StdinCode(self.reactor, descriptor).code(), "123456")

    def test_giving_up_reads_no_further(self) -> None:
        self.addCleanup(os.close, self.writing)
        waiting = self.begin()
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        readers = [reader for reader in self.reactor.getReaders() if reader.fileno() == self.reading]
        self.assertEqual(readers, [])


class OptionTests(SynchronousTestCase):
    """What the options of `register` name."""

    def test_each_option_names_its_source(self) -> None:
        clock = Clock()
        for file, command, kind in (
            ("-", None, StdinCode),
            ("code", None, FileCode),
            (None, "cmd", CommandCode),
        ):
            self.assertIsInstance(source_from_options(clock, ALICE, file, command), kind)
        self.assertIsNone(source_from_options(clock, ALICE, None, None))
