"""One process at a time holds a profile."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.profiles.profile_lock import POLL_SECONDS, ProfileLock, take_lock
from e2ee.errors import Code, Failure

HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
os.write(fd, b"%d\\n" % os.getpid())
print("held", flush=True)
sys.stdin.read()
"""


class LockTests(SynchronousTestCase):
    """flock, polled with a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())

    def take(self, timeout: float | None) -> Deferred[ProfileLock]:
        return Deferred.fromCoroutine(take_lock(self.path, self.clock, timeout))

    def taken(self) -> ProfileLock:
        lock: ProfileLock = self.successResultOf(self.take(0.0))
        self.addCleanup(lock.release)
        return lock

    def test_a_free_lock_is_taken_at_once_and_names_its_holder(self) -> None:
        self.taken()
        self.assertEqual(self.path.read_text(), f"{os.getpid()}\n")

    def test_a_lock_that_was_given_back_names_nobody(self) -> None:
        self.taken().release()
        self.assertEqual(self.path.read_bytes(), b"")

    def test_the_second_waits_until_the_first_lets_go(self) -> None:
        first = self.taken()
        waiting = self.take(30.0)
        self.clock.advance(29)
        self.assertNoResult(waiting)
        first.release()
        first.release()
        self.clock.advance(POLL_SECONDS)
        self.successResultOf(waiting).release()

    def test_the_wait_ends_at_the_timeout_with_the_holders_number(self) -> None:
        self.taken()
        waiting = self.take(1.0)
        self.clock.pump([POLL_SECONDS] * 19)
        self.assertNoResult(waiting)
        self.clock.pump([POLL_SECONDS] * 2)
        failure = self.failureResultOf(waiting, Failure).value
        self.assertEqual(failure.code, Code.PROFILE_BUSY)
        self.assertIn(f"process {os.getpid()}", failure.sentence)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_a_timeout_it_waits_for_ever(self) -> None:
        first = self.taken()
        waiting = self.take(None)
        self.clock.advance(10**6)
        self.assertNoResult(waiting)
        first.release()
        self.clock.advance(POLL_SECONDS)
        self.successResultOf(waiting).release()

    def test_a_holder_that_has_not_written_its_number_yet_is_no_obstacle(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.addCleanup(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        failure = self.failureResultOf(self.take(0.0), Failure).value
        self.assertIn("another process", failure.sentence)

    def test_a_process_that_dies_leaves_no_lock(self) -> None:
        arguments = [sys.executable, "-c", HOLD, str(self.path)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            failure = self.failureResultOf(self.take(0.0), Failure).value
            self.assertIn(f"process {holder.pid}", failure.sentence)
            holder.kill()
            holder.wait()
        self.taken()

    def test_giving_up_leaves_the_lock_to_others(self) -> None:
        first = self.taken()
        waiting = self.take(None)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        first.release()
        self.clock.advance(1)
        self.taken()

    def test_the_file_is_private_whatever_the_umask(self) -> None:
        for umask in (0o000, 0o777):
            with self.subTest(umask=oct(umask)):
                self.path = Path(self.mktemp())
                before = os.umask(umask)
                try:
                    self.taken()
                finally:
                    os.umask(before)
                self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
