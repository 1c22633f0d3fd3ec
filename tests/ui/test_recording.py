"""The recorder of the README's picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pyte
from twisted.trial.unittest import SynchronousTestCase

from examples.recording import COLUMNS, ROWS, Pane, Tape, svg
from examples.screen import Emulator

PICTURE = Path(__file__).parent.parent.parent / "docs" / "first-minute.svg"
PICTURE_BYTES = 200 * 1024


class RecordingTests(SynchronousTestCase):
    """What a screen showed, and when."""

    def test_each_row_is_drawn_for_as_long_as_it_stood(self) -> None:
        screen, tape = Emulator(COLUMNS, ROWS), Tape()
        pane, stream = Pane("alice", tape), pyte.Stream(screen)
        for piece in ("one <", "\r\n\x1b[1mtwo\x1b[m", "\x1b[1;1Hnew"):
            stream.feed(piece)
            pane.sample(screen)
            tape.now += 1.0
        drawn = [(one.row, one.markup.rstrip(), one.end is None) for one in pane.drawn]
        self.assertEqual([one[0] for one in drawn], [0, 1, 0])
        self.assertEqual([one[2] for one in drawn], [False, True, True])
        self.assertTrue(drawn[0][1].startswith("one &lt;"))
        root = ElementTree.fromstring(svg([pane], tape.now))
        texts = ["".join(one.itertext()).rstrip() for one in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(texts, ["alice", "one <", "two", "new <"])

    def test_the_picture_of_the_readme_is_small_and_tells_of_no_machine(self) -> None:
        text = PICTURE.read_text("utf-8")
        ElementTree.fromstring(text)
        self.assertLess(len(text.encode()), PICTURE_BYTES)
        for trace in ("/home", "/root", "/tmp", "/work", "localhost"):
            self.assertNotIn(trace, text)
        self.assertIn("Are you there?", text)
