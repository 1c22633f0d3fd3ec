"""What is told of a command that has ended, and what is not changed by telling it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.events import SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import job, printer, runner
from e2ee.ui.child import Ended
from e2ee.ui.job import COMMAND_CHARACTERS, duration, ended_text, run_job
from e2ee.ui.options import Options
from e2ee.ui.runner import as_failure
from tests.ui.fakes import BOB, CAROL, CoroutineTestCase, FakeCall, FakeMessenger


class JobTests(CoroutineTestCase):
    """docs/command-line.md, `run`."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.call = FakeCall(self.messenger, Options())
        self.errors: list[str] = []
        self.ended = Ended(3, 12.4, "last line")
        self.order: list[str] = []
        self.patch(printer, "print_error", self.errors.append)
        self.patch(job, "print_error", self.errors.append)
        self.patch(job, "run_child", self.run_child)
        self.patch(runner, "run", self.run_verb)

    def run_child(self, command: list[str]) -> Ended:
        self.order.append("command")
        return self.ended

    def run_verb(self, options: Options, main: Callable[..., Any]) -> int:
        self.order.append("profile")
        ended: list[Any] = []
        self.start(main(self.call.as_invocation())).addBoth(ended.append)
        if isinstance(ended[0], TwistedFailure) and ended[0].value is not None:
            return printer.report(as_failure(ended[0].value), options.json)
        return int(ended[0])

    def run_job(self, *recipients: str) -> int:
        return run_job(Options(), recipients or (BOB,), ["make", "a b"])

    def test_each_is_told_and_nothing_is_printed(self) -> None:
        self.messenger.answer = SentMessage(MessageId(bytes(16)), BOB, SentState.STORED)
        self.assertEqual(self.run_job(BOB, CAROL), 3)
        text = "make 'a b': exit status 3 after 12 s\nlast line"
        self.assertEqual(self.messenger.texts, [(BOB, text), (CAROL, text)])
        self.assertEqual((self.call.printed, self.errors), ([], []))

    def test_the_profile_is_taken_after_the_command_has_ended(self) -> None:
        self.run_job()
        self.assertEqual(self.order, ["command", "profile"])

    def test_a_failure_to_send_is_told_and_the_exit_code_stays(self) -> None:
        self.messenger.was_connected = False
        self.assertEqual(self.run_job(), 3)
        self.assertIn("outbox", self.errors[0])
        self.messenger.answer = Failure(Code.LOGGED_OUT, "logged out")
        self.assertEqual(self.run_job(), 3)
        self.assertIn("logged out", self.errors[1])

    def test_one_who_is_unknown_does_not_keep_the_others_from_being_told(self) -> None:
        self.assertEqual(self.run_job("nobody", BOB, BOB), 3)
        self.assertEqual([to for to, _ in self.messenger.texts], [BOB])
        self.assertEqual(len(self.errors), 2)
        self.assertTrue(self.errors[1].startswith(f"e2ee: {BOB}: "))

    def test_a_profile_that_cannot_be_opened_is_told(self) -> None:
        self.patch(self.call, "conversations", Mock(side_effect=Failure(Code.PASSPHRASE, "wrong passphrase")))
        self.assertEqual(self.run_job(), 3)
        self.assertEqual(self.errors, ["e2ee: wrong passphrase"])

    def test_a_signal_before_the_sending_began_leaves_the_exit_code(self) -> None:
        for end in (KeyboardInterrupt(), SystemExit(143)):
            self.patch(runner, "run", Mock(side_effect=end))
            self.assertEqual(self.run_job(), 3)

    def test_a_command_that_cannot_be_started_is_told_to_both_sides(self) -> None:
        self.ended = Ended(127, 0.0, reason="No such file or directory")
        self.assertEqual(self.run_job(), 127)
        self.assertEqual(self.errors[0], "e2ee: make: No such file or directory")
        self.assertEqual(
            self.messenger.texts[0][1],
            "make 'a b': could not be started: No such file or directory (exit status 127)",
        )

    def test_signals_have_their_names(self) -> None:
        self.assertEqual(
            ended_text(["x"], Ended(0, 61, signal=9)), "x: ended by SIGKILL (exit status 137) after 1 min 1 s"
        )
        self.assertIn("ended by signal 36 ", ended_text(["x"], Ended(0, 1, signal=36)))

    def test_a_long_or_steering_command_is_shortened_and_cleaned(self) -> None:
        line = ended_text(["x" * (COMMAND_CHARACTERS - 1)], Ended(0, 1)).partition(": ")[0]
        self.assertEqual(line, "x" * (COMMAND_CHARACTERS - 1))
        line = ended_text(["x" * (COMMAND_CHARACTERS + 1)], Ended(0, 1)).partition(": ")[0]
        self.assertEqual(line, "x" * (COMMAND_CHARACTERS - 1) + "…")
        self.assertNotIn("\x1b", ended_text(["a\x1b[31m"], Ended(0, 1)))

    def test_durations(self) -> None:
        for seconds, text in (
            (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"),
            (125, "2 min 5 s"), (3600, "1 h"), (3780, "1 h 3 min"), (86399.6, "1 d"), (100_800, "1 d 4 h"),
        ):  # fmt: skip
            self.assertEqual(duration(seconds), text)
