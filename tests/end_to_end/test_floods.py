"""Floods of handshakes and of wrong logins against a server as a process: docs/limits.md."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import wait_until
from tests.end_to_end.household import ALICE, BOB
from tests.end_to_end.test_open_files import FILES, NarrowHousehold, free_port

SOURCES = 20
SOURCES_BELOW_THEIR_LIMIT = 4
"""Of the flood's 100 connections each has fewer than one source may have before login."""
FLOOD_SECONDS = "300"
"""Longer than any test waits: it is ended."""


class FloodTests(SynchronousTestCase):
    """Each goes on until honest people have sent and received."""

    def setUp(self) -> None:
        self.port = free_port()
        metrics = f"tcp:{self.port}:interface=127.0.0.1"
        self.house = NarrowHousehold("--presence", "everyone", "--metrics", metrics)
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.house.register("alice", link, ALICE)
        self.house.register("bob", link, BOB)

    @contextmanager
    def flood(self, kind: str, sources: int) -> Iterator[None]:
        command = ["-m", "benchmarks.flood", kind, str(self.house.port), str(sources), FLOOD_SECONDS]
        flood = subprocess.Popen([sys.executable, *command])
        try:
            yield
            self.assertIsNone(flood.poll())
        finally:
            flood.kill()
            flood.wait()

    def wait_for(self, sample: str, count: int) -> None:
        def counted() -> int:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as page:
                found = re.search(f"^{re.escape(sample)} ([0-9.e+]+)", page.read().decode(), re.MULTILINE)
            return int(float(found.group(1))) if found else 0

        wait_until(sample, lambda: counted() >= count)

    def people_are_served(self, text: str) -> None:
        sent = self.house.do("alice", "send", BOB, "-m", text)
        self.assertEqual(sent.status, 0, sent.err)
        received = self.house.do("bob", "receive", "--json").objects
        self.assertIn(text, [one.get("text") for one in received])

    def test_honest_people_are_served_in_the_middle_of_them_and_the_limits_are_counted(self) -> None:
        with self.flood("held", SOURCES):
            # More than it has files, and they do not take their last word.
            self.wait_for('e2ee_limits_hit_total{limit="open_files"}', FILES)
            self.people_are_served("in spite of handshakes")
        with self.flood("logins", 1):
            self.wait_for('e2ee_limits_hit_total{limit="connections_before_login"}', 100)
            # One source may push out all of its own before any has come to its login.
            self.people_are_served("in spite of one source")
        with self.flood("logins", SOURCES_BELOW_THEIR_LIMIT):
            self.wait_for('e2ee_refusals_total{code="login_refused",request="login"}', 20)
            self.people_are_served("in spite of logins")
        log = (self.house.directory / "server.log").read_text()
        self.assertNotIn("Traceback", log)
        self.assertNotIn("EMFILE", log)
        self.assertLess(log.count("\n"), 100)
