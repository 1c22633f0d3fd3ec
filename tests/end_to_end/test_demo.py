"""`make demo` does what the README says."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase


class DemoTests(SynchronousTestCase):
    """The demonstration, as a newcomer runs it."""

    def test_it_ends_with_zero(self) -> None:
        """Both screens, the server's disk, and a clean end."""
        done = subprocess.run(
            [sys.executable, "-m", "examples.demo"], stdin=subprocess.DEVNULL, capture_output=True,
            encoding="utf-8", timeout=600, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Water it, too, please.", done.stdout)
        self.assertIn("the text itself: in none of its files", done.stdout)
        self.assertIn("the server's mailbox is empty again", done.stdout)
