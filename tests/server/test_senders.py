"""Code senders: what they write, to whom it is readable, and that they never block or leak."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from e2ee.ids import Address
from e2ee.server.senders.command import RUN_SECONDS, CommandSender
from e2ee.server.senders.console import ConsoleSender
from e2ee.server.senders.file import FileSender
from e2ee.server.senders.interface import CodeNotSent, CodeSender, SenderRefused
from tests.server.process_double import FakeProcesses

NUMBER = Address("+15550100101")
CODE = "004711"
EXPIRES_AT = 1_767_225_600_123


def at_once(call: Callable[[], None]) -> Deferred[None]:
    """A thread pool that runs in this thread."""
    call()
    return succeed(None)


def logged(test: SynchronousTestCase) -> list[str]:
    """The texts of all log events from now on, with whatever values they carry."""
    texts: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event) + repr({k: v for k, v in event.items() if k != "log_logger"}))

    globalLogPublisher.addObserver(observe)
    test.addCleanup(globalLogPublisher.removeObserver, observe)
    return texts


class ConsoleTests(SynchronousTestCase):
    def test_one_line_with_number_and_code_is_logged_when_send_returns(self) -> None:
        texts = logged(self)
        self.successResultOf(Deferred.fromCoroutine(ConsoleSender().send(NUMBER, CODE, EXPIRES_AT)))
        self.assertEqual(len(texts), 1)
        self.assertTrue(texts[0].startswith("passcode for +15550100101: 004711"), texts[0])

    def test_it_says_at_start_that_it_is_for_trying_out(self) -> None:
        texts = logged(self)
        ConsoleSender().start()
        self.assertIn("for trying the server out", texts[0])


class FileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder.absolute() / "codes.jsonl"

    def send(self, sender: CodeSender, code: str = CODE) -> Deferred[None]:
        return Deferred.fromCoroutine(sender.send(NUMBER, code, EXPIRES_AT))


class FileTests(FileTestCase):
    def test_a_json_line_is_in_the_file_when_send_returns(self) -> None:
        self.successResultOf(self.send(FileSender(self.path, at_once)))
        self.assertEqual(
            self.path.read_text(),
            '{"address": "+15550100101", "code": "004711", "expires_at": "2026-01-01T00:00:00.123Z"}\n',
        )

    def test_lines_are_appended(self) -> None:
        sender = FileSender(self.path, at_once)
        for code in ("000001", "000002"):
            self.successResultOf(self.send(sender, code))
        codes = [json.loads(line)["code"] for line in self.path.read_text().splitlines()]
        self.assertEqual(codes, ["000001", "000002"])

    def test_the_file_has_mode_0600_from_the_start_whatever_the_umask(self) -> None:
        for index, umask in enumerate((0o000, 0o022, 0o777)):
            path = self.path.with_name(f"codes-{index}")
            self.addCleanup(os.umask, os.umask(umask))
            FileSender(path, at_once)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_a_file_that_others_can_read_or_write_is_refused_with_the_command_that_mends_it(self) -> None:
        self.path.touch()
        for mode in (0o640, 0o604, 0o620, 0o644):
            self.path.chmod(mode)
            refused = self.assertRaises(SenderRefused, FileSender, self.path, at_once)
            self.assertIn(f"chmod 600 {self.path}", str(refused))
        self.path.chmod(0o600)
        FileSender(self.path, at_once)

    def test_a_file_opened_to_others_while_running_gets_no_code(self) -> None:
        sender = FileSender(self.path, at_once)
        self.path.chmod(0o644)
        self.failureResultOf(self.send(sender), CodeNotSent)
        self.assertEqual(self.path.read_text(), "")

    def test_a_file_moved_away_is_made_anew(self) -> None:
        sender = FileSender(self.path, at_once)
        self.path.rename(self.path.with_name("old"))
        self.successResultOf(self.send(sender))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_links_pipes_and_directories_are_refused(self) -> None:
        folder = self.path.parent
        (folder / "target").touch(0o600)
        (folder / "link").symlink_to(folder / "target")
        os.mkfifo(folder / "pipe", 0o600)
        for name in ("link", "pipe", "missing/codes", "."):
            self.assertRaises(SenderRefused, FileSender, folder / name, at_once)

    def test_somebody_elses_file_is_refused(self) -> None:
        self.path.touch(0o600)
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            refused = self.assertRaises(SenderRefused, FileSender, self.path, at_once)
        self.assertIn("belongs to somebody else", str(refused))

    def test_a_disk_without_room_is_told_without_the_code(self) -> None:
        sender = FileSender(self.path, at_once)
        with mock.patch("os.write", side_effect=OSError(28, "No space left on device")):
            failed = self.failureResultOf(self.send(sender), CodeNotSent)
        self.assertIn("No space left", str(failed.value))
        self.assertNotIn(CODE, str(failed.value))
        with mock.patch("os.write", return_value=3):
            self.failureResultOf(self.send(sender), CodeNotSent)

    def test_nothing_is_written_on_the_callers_thread(self) -> None:
        calls: list[Callable[[], None]] = []
        waiting: Deferred[None] = Deferred()

        def later(call: Callable[[], None]) -> Deferred[None]:
            calls.append(call)
            return waiting

        sent = self.send(FileSender(self.path, later))
        self.assertEqual(self.path.read_text(), "")
        self.assertNoResult(sent)
        calls[0]()
        waiting.callback(None)
        self.successResultOf(sent)
        self.assertIn(CODE, self.path.read_text())

    def test_lines_of_several_threads_do_not_mix(self) -> None:
        calls: list[Callable[[], None]] = []

        def later(call: Callable[[], None]) -> Deferred[None]:
            calls.append(call)
            return succeed(None)

        sender = FileSender(self.path, later)
        codes = {f"{number:06d}" for number in range(200)}
        for code in codes:
            self.successResultOf(self.send(sender, code))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda call: call(), calls))
        self.assertEqual({json.loads(line)["code"] for line in self.path.open()}, codes)

    def test_the_path_does_not_depend_on_the_working_directory(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        sender = FileSender(Path(os.path.relpath(self.path)), at_once)
        os.chdir("/")
        self.successResultOf(self.send(sender))
        os.chdir(before)
        self.assertIn(CODE, self.path.read_text())


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.processes = FakeProcesses()
        self.sender = CommandSender(Path(sys.executable), self.processes, self.clock)

    def send(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.sender.send(NUMBER, CODE, EXPIRES_AT))

    def failure_of(self, sent: Deferred[None]) -> CodeNotSent:
        error = self.failureResultOf(sent, CodeNotSent).value
        assert isinstance(error, CodeNotSent)
        self.assertNotIn(CODE, str(error))
        self.assertNotIn(NUMBER, str(error))
        return error

    def test_the_number_is_the_argument_and_the_code_the_input(self) -> None:
        sent = self.send()
        (child,) = self.processes.children
        self.assertEqual(child.args, [sys.executable, NUMBER])
        self.assertEqual(child.written, b"004711\n")
        self.assertTrue(child.stdin_closed)
        self.assertNotIn(CODE, repr(child.args) + repr(child.options))
        child.end()
        self.successResultOf(sent)

    def test_it_is_sent_when_the_program_has_ended_with_0(self) -> None:
        sent = self.send()
        self.assertNoResult(sent)
        self.processes.children[0].end()
        self.successResultOf(sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failure_is_a_sentence_with_the_exit_status(self) -> None:
        sent = self.send()
        self.processes.children[0].end(status=3)
        error = self.failure_of(sent)
        self.assertEqual(str(error), "the code command failed with exit status 3")
        self.assertFalse(error.about_number)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_status_67_says_that_the_number_is_not_served(self) -> None:
        sent = self.send()
        self.processes.children[0].end(status=67)
        self.assertTrue(self.failure_of(sent).about_number)

    def test_a_program_that_a_signal_ended_is_a_sentence_with_its_name(self) -> None:
        for number, name in ((15, "SIGTERM"), (64 + 9, "signal 73")):
            sent = self.send()
            self.processes.children[-1].end(signal=number)
            self.assertEqual(str(self.failure_of(sent)), f"the code command was ended by {name}")

    def test_after_30_seconds_it_is_killed(self) -> None:
        self.assertEqual(RUN_SECONDS, 30.0)
        sent = self.send()
        self.clock.advance(29.9)
        self.assertEqual(self.processes.children[0].signals, [])
        self.clock.advance(0.2)
        self.assertEqual(self.processes.children[0].signals, ["KILL"])
        self.processes.children[0].end(signal=9)
        self.assertIn("did not end within 30 seconds", str(self.failure_of(sent)))

    def test_a_machine_that_starts_no_process_is_told(self) -> None:
        self.processes.failing = True
        self.assertIn("could not be run", str(self.failure_of(self.send())))

    def test_whoever_gives_up_kills_it(self) -> None:
        sent = self.send()
        sent.cancel()
        self.assertEqual(self.processes.children[0].signals, ["KILL"])
        self.failureResultOf(sent, CancelledError)
        self.processes.children[0].end(signal=9)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_kills_what_runs_and_waits_for_it(self) -> None:
        sent = self.send()
        stopped = Deferred.fromCoroutine(self.sender.stop())
        self.assertEqual(self.processes.children[0].signals, ["KILL"])
        self.assertNoResult(stopped)
        self.processes.children[0].end(signal=9)
        self.successResultOf(stopped)
        self.failure_of(sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_cannot_be_run_is_refused_at_start(self) -> None:
        text = Path(self.mktemp())
        text.touch(0o600)
        for path in (text, Path("/missing/program"), Path("/")):
            self.assertRaises(SenderRefused, CommandSender, path, self.processes, self.clock)


class RealCommandTests(TestCase):
    """A real program on the real reactor."""

    timeout = 300

    async def test_a_program_gets_number_and_code(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        program = folder / "send-code"
        program.write_text(f'#!/bin/sh\nread code\necho "$1 $code" > {folder}/done\n')
        program.chmod(0o700)
        await CommandSender(program, reactor, reactor).send(NUMBER, CODE, EXPIRES_AT)
        self.assertEqual((folder / "done").read_text(), f"{NUMBER} {CODE}\n")
