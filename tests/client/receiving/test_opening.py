"""The name of the envelope that is being opened outlives the process, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.receiving.opening import OpeningFile
from e2ee.ids import EnvelopeId

NAME = EnvelopeId.of(b"an envelope")

DIES = """
import os, signal, sys
from pathlib import Path
from e2ee.client.receiving.opening import OpeningFile
from e2ee.ids import EnvelopeId
with OpeningFile(Path(sys.argv[1])).of(EnvelopeId.of(b"an envelope")):
    os.kill(os.getpid(), signal.SIGKILL)
"""


class OpeningTests(SynchronousTestCase):
    """One file of a profile."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.opening = OpeningFile(self.path)
        self.addCleanup(self.opening.close)

    def later(self) -> OpeningFile:
        """What another process sees."""
        other = OpeningFile(self.path)
        self.addCleanup(other.close)
        return other

    def test_a_process_that_is_killed_leaves_the_name(self) -> None:
        done = subprocess.run([sys.executable, "-c", DIES, str(self.path)], check=False)
        self.assertEqual(done.returncode, -9)
        self.assertEqual(self.opening.left(), bytes(NAME))
        self.opening.clear()
        self.assertIsNone(self.later().left())

    def test_nothing_is_left_after_an_opening_that_ends_well_or_badly(self) -> None:
        with self.opening.of(NAME):
            self.assertEqual(self.later().left(), bytes(NAME))
        self.assertIsNone(self.later().left())
        with self.assertRaises(ZeroDivisionError), self.opening.of(NAME):
            raise ZeroDivisionError
        self.assertIsNone(self.later().left())

    def test_only_its_owner_can_read_it(self) -> None:
        with self.opening.of(NAME):
            self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_new_profile_and_a_file_cut_off_have_no_name(self) -> None:
        self.assertIsNone(self.opening.left())
        self.path.write_bytes(b"short")
        self.assertIsNone(self.later().left())

    def test_where_it_cannot_be_written_envelopes_are_opened_all_the_same(self) -> None:
        nowhere = OpeningFile(self.path / "missing" / "opening")
        opened = []
        with nowhere.of(NAME):
            opened.append(1)
        nowhere.clear()
        nowhere.close()
        self.assertEqual((opened, nowhere.left()), ([1], None))

    def test_a_link_is_not_followed(self) -> None:
        target = Path(self.mktemp())
        target.write_bytes(b"of somebody else")
        os.symlink(target.absolute(), self.path)
        with self.opening.of(NAME):
            self.assertEqual(target.read_bytes(), b"of somebody else")
