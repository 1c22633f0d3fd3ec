"""A wall clock that is set while a program runs moves none of its deadlines."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.steady_time import steady_seconds, use_steady_time

JUMPING_WALL = """
import time
from twisted.internet import base

jump = 0.0
base.ReactorBase.seconds = staticmethod(lambda: time.monotonic() + jump)

from twisted.internet import reactor
from e2ee.net.steady_time import use_steady_time

use_steady_time(reactor)

def set_the_clock():
    global jump
    jump = {jump}

late = reactor.callLater(3600, print, "an hour has passed")
reactor.callWhenRunning(set_the_clock)
reactor.callLater(0.05, reactor.stop)
reactor.run()
print(late.active())
"""
"""Twisted's own idea of the time is the wall's, which is set as soon as the reactor runs."""


class SteadyTimeTests(SynchronousTestCase):
    """docs/architecture.md: the reactor schedules by time that only grows."""

    def said_with_a_jump_of(self, seconds: float) -> str:
        """What the program prints; it ends only if its call of 50 ms comes."""
        ran = subprocess.run(
            [sys.executable, "-c", JUMPING_WALL.format(jump=seconds)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(ran.stderr, "")
        return ran.stdout

    def test_a_clock_set_back_holds_nothing_up(self) -> None:
        self.assertEqual(self.said_with_a_jump_of(-86_400.0), "True\n")

    def test_a_clock_set_forward_fires_nothing_early(self) -> None:
        self.assertEqual(self.said_with_a_jump_of(86_400.0), "True\n")

    def test_the_reactor_is_told_once(self) -> None:
        class Reactor:
            seconds = staticmethod(lambda: 1.8e9)

        reactor = Reactor()
        use_steady_time(reactor)
        self.assertIs(reactor.seconds, steady_seconds)
        self.assertLess(steady_seconds(), 1e9)  # seconds since 1970 are more
