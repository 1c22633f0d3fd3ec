"""A command runs as if nobody stood between it and the shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.child import NOT_EXECUTABLE, NOT_FOUND

SCRIPT = """
import sys
from e2ee.ui.child import run_child
ended = run_child(sys.argv[1:])
print(repr(ended.tail), file=open("tail", "w"))
sys.exit(ended.exit_code)
"""
PATIENCE = 120.0


class ChildTests(SynchronousTestCase):
    """Each in a process of its own, whose descriptors and signals are real ones."""

    def setUp(self) -> None:
        self.directory = self.mktemp()
        os.mkdir(self.directory)

    def start(self, *command: str, **settings: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for name in ("stdout", "stderr"):
            settings.setdefault(name, subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *command], cwd=self.directory, env=environment, **settings
        )

    def run_shell(self, script: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
        process = self.start("sh", "-c", script, stdin=subprocess.PIPE)
        out, err = process.communicate(given, timeout=PATIENCE)
        return process.returncode, out, err

    def tail(self) -> str:
        with open(os.path.join(self.directory, "tail"), encoding="utf-8") as written:
            return written.read().strip()

    def test_output_passes_through_and_the_exit_code_is_the_commands(self) -> None:
        self.assertEqual(self.run_shell("echo out; echo err >&2; exit 3"), (3, b"out\n", b"err\n"))
        self.assertIn(self.tail(), ("'out\\nerr'", "'err\\nout'"))

    def test_standard_input_is_the_commands(self) -> None:
        self.assertEqual(self.run_shell("cat", b"given"), (0, b"given", b""))

    def test_all_of_much_output_passes(self) -> None:
        code, out, _ = self.run_shell("head -c 3000000 /dev/zero")
        self.assertEqual((code, len(out)), (0, 3_000_000))

    def test_a_signal_is_128_and_its_number(self) -> None:
        for name in ("KILL", "TERM", "SEGV"):
            code, _, _ = self.run_shell(f"kill -{name} $$")
            self.assertEqual(code, 128 + getattr(signal, f"SIG{name}"))

    def test_what_is_not_found_is_127_and_what_cannot_be_started_126(self) -> None:
        for command, code in (("no-such-command", NOT_FOUND), (".", NOT_EXECUTABLE)):
            process = self.start(command)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, code)

    def test_whoever_is_left_behind_with_the_pipes_is_not_waited_for(self) -> None:
        # It sleeps for longer than anybody here waits.
        code, out, _ = self.run_shell(f"sleep {10 * PATIENCE} & echo $!")
        os.kill(int(out), signal.SIGKILL)
        self.assertEqual(code, 0)

    def test_a_command_that_closes_its_outputs_is_waited_for(self) -> None:
        code, _, _ = self.run_shell("exec >&- 2>&-; sleep 0.2; exit 4")
        self.assertEqual(code, 4)

    def test_sigterm_is_passed_on_and_its_end_reported(self) -> None:
        script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.02; done"
        process = self.start("sh", "-c", script)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, out), (5, b"caught\n"))

    def test_an_interrupt_that_the_command_survives_does_not_end_us(self) -> None:
        process = self.start("sh", "-c", "trap '' INT; echo ready; read line; exit 6", stdin=subprocess.PIPE)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        process.communicate(b"\n", timeout=PATIENCE)
        self.assertEqual(process.returncode, 6)

    def test_a_reader_that_has_gone_ends_the_command_as_without_us(self) -> None:
        process = self.start("yes")
        assert process.stdout is not None
        process.stdout.close()
        process.wait(PATIENCE)
        if process.stderr is not None:
            process.stderr.close()
        self.assertEqual(process.returncode, 128 + signal.SIGPIPE)
