"""How a verb ends: its exit code, its error, and what signals do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure, StoreBroken
from e2ee.ui.runner import as_failure

VERB = """
import sys
from twisted.internet.defer import Deferred
from e2ee.errors import Code, Failure
from e2ee.ui.options import Options
from e2ee.ui.runner import run
from e2ee.ui.streams import OutputClosed

async def main(call):
{body}

sys.exit(run(Options(json=True), main, long_running={long_running}))
"""

WAIT = """
    try:
        await call.printer.print("ready")
        await Deferred()
    finally:
        await call.printer.print("tidy")
"""


def process(body: str, *, long_running: bool = False, **settings: Any) -> subprocess.Popen[bytes]:
    """A process that runs this verb."""
    return subprocess.Popen(
        [sys.executable, "-c", VERB.format(body=body, long_running=long_running)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"stdin": subprocess.DEVNULL, **settings},
    )


STALLED = """
    from e2ee.ui.waiting import to_its_end
    await call.printer.print("ready")
    await to_its_end(call.printer.print("x" * 10**6))
"""

READING = """
    await call.printer.print("ready")
    await call.in_thread(call.lines().read_line)
"""


class RunTests(SynchronousTestCase):
    """docs/command-line.md, errors and exit codes."""

    def finished(self, body: str) -> tuple[int, bytes, bytes]:
        running = process(body)
        out, errors = running.communicate()
        return running.returncode, out, errors

    def signalled(self, number: int, *, long_running: bool) -> tuple[int, bytes]:
        running = process(WAIT, long_running=long_running)
        assert running.stdout is not None
        first = running.stdout.readline()
        running.send_signal(number)
        out, errors = running.communicate()
        self.assertEqual((first, errors), (b"ready\n", b""))
        return running.returncode, out

    def test_the_reactor_does_not_follow_the_wall_clock(self) -> None:
        body = """
    from e2ee.net.steady_time import steady_seconds
    return 0 if call.reactor.seconds is steady_seconds else 1
"""
        self.assertEqual(self.finished(body), (0, b"", b""))

    def test_what_it_returns_is_the_exit_code(self) -> None:
        self.assertEqual(self.finished("    return 7"), (7, b"", b""))

    def test_a_failure_is_reported_and_has_its_exit_code(self) -> None:
        code, out, errors = self.finished('    raise Failure(Code.QUOTA, "full \\x1b[2J", 2.0)')
        self.assertEqual((code, out), (5, b""))
        self.assertEqual(
            json.loads(errors),
            {"type": "error", "code": "quota", "message": "full \x1b[2J", "retry_after": 2.0},
        )

    def test_an_unexpected_error_is_1_without_a_traceback_or_its_text(self) -> None:
        code, _, errors = self.finished('    raise ValueError("secret")')
        self.assertEqual(code, 1)
        self.assertEqual(json.loads(errors)["code"], "failed")
        self.assertNotIn(b"secret", errors)

    def test_a_closed_output_ends_quietly_with_0(self) -> None:
        self.assertEqual(self.finished("    raise OutputClosed"), (0, b"", b""))

    def test_a_broken_vault_ends_it_with_1(self) -> None:
        code, _, errors = self.finished('    call.on_broken(OSError("disk"))\n    await Deferred()')
        self.assertEqual(code, 1)
        self.assertEqual(json.loads(errors)["code"], "failed")

    def test_sigterm_ends_what_runs_for_long_with_0_after_tidying_up(self) -> None:
        self.assertEqual(self.signalled(signal.SIGTERM, long_running=True), (0, b"tidy\n"))

    def test_sigterm_ends_a_one_shot_with_143(self) -> None:
        self.assertEqual(self.signalled(signal.SIGTERM, long_running=False), (143, b"tidy\n"))

    def test_sigint_is_130_after_tidying_up(self) -> None:
        for long_running in (True, False):
            self.assertEqual(self.signalled(signal.SIGINT, long_running=long_running), (130, b"tidy\n"))

    def test_a_reader_that_has_stalled_does_not_hold_up_the_end(self) -> None:
        running = process(STALLED)
        assert running.stdout is not None
        first = os.read(running.stdout.fileno(), 6)
        running.send_signal(signal.SIGINT)
        self.assertEqual((first, running.wait()), (b"ready\n", 130))
        running.communicate()

    def test_an_input_that_nobody_writes_to_does_not_hold_up_the_end(self) -> None:
        reading, writing = os.pipe()
        running = process(READING, long_running=True, stdin=reading)
        os.close(reading)
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        self.assertEqual(running.wait(), 0)
        os.close(writing)
        running.communicate()


class FailureTests(SynchronousTestCase):
    """What a person is told about an exception."""

    def test_a_failure_is_itself(self) -> None:
        failure = Failure(Code.BUSY, "busy")
        self.assertIs(as_failure(failure), failure)

    def test_other_errors_raised_on_purpose_show_their_text(self) -> None:
        self.assertEqual(as_failure(StoreBroken("the disk failed")).sentence, "the disk failed")

    def test_the_system_s_refusals_name_the_file(self) -> None:
        refused = as_failure(PermissionError(13, "Permission denied", "/p/vault"))
        self.assertEqual(refused.sentence, "the system refused: Permission denied /p/vault")

    def test_anything_else_shows_its_kind_only(self) -> None:
        self.assertNotIn("secret", as_failure(KeyError("secret")).sentence)
