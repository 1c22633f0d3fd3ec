"""What a server was given, as it was noted by processes that are killed."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.key_use import note_of, recorded


class RecordTests(SynchronousTestCase):
    """Notes of several servers, one after the other, in one file."""

    def test_what_a_killed_server_has_noted_in_part_is_left_out_wherever_it_is(self) -> None:
        path = Path(self.mktemp())
        one, two = b"envelope one", b"envelope two"
        for cut in range(len(note_of(two)) - len(b".\n") + 1):
            path.write_bytes(note_of(one) + note_of(two)[:cut] + note_of(one) + note_of(two)[:cut])
            self.assertEqual(recorded(path), [one, one], cut)

    def test_nothing_was_noted(self) -> None:
        self.assertEqual(recorded(Path(self.mktemp())), [])
