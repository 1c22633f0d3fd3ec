"""An envelope that kills the client is skipped at exactly the third try: real processes, really killed."""

from __future__ import annotations

import os
import signal

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household

DEADLY = """
import os, signal
from e2ee.client.receiving.incoming import Incoming

def _open(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Incoming._open = _open
"""


class PoisonTests(SynchronousTestCase):
    """Bob's client dies of whatever it opens."""

    def test_it_is_skipped_at_the_third_try_with_a_notice(self) -> None:
        house = Household("--presence", "everyone")
        self.addCleanup(house.__exit__)
        link = house.start_server()
        house.register("alice", link, ALICE)
        house.register("bob", link, BOB)
        self.assertEqual(house.do("bob", "receive").status, 0, "a clean run before it")
        self.assertEqual(house.do("alice", "send", BOB, "-m", "poison").status, 0)
        (house.directory / "sitecustomize.py").write_text(DEADLY)
        path = os.pathsep.join((str(house.directory), os.environ.get("PYTHONPATH", "")))
        tries = [house.do("bob", "receive", "--json", PYTHONPATH=path) for _ in range(3)]
        self.assertEqual([one.status for one in tries], [-signal.SIGKILL, -signal.SIGKILL, 0])
        self.assertEqual([one["type"] for one in tries[2].objects], ["undecryptable"])
        house.wait_for_empty_mailboxes()
        house.do("alice", "send", BOB, "-m", "harmless")
        self.assertEqual([one["type"] for one in house.do("bob", "receive", "--json").objects],
                         ["gap", "message"])  # fmt: skip
