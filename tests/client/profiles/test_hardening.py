"""What the operating system is told before a secret enters the process."""

from __future__ import annotations

import subprocess
import sys
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

LOOK = """
import ctypes, resource
from e2ee.client.profiles.hardening import harden_process
harden_process()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


class HardeningTests(SynchronousTestCase):
    """In a process of its own: it cannot be undone."""

    @skipUnless(sys.platform == "linux", "PR_SET_DUMPABLE is Linux's")
    def test_no_core_dumps_and_nobody_looks_in(self) -> None:
        seen = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
        self.assertEqual(seen.stdout.strip(), "(0, 0) 0")
