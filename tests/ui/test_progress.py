"""The bar on standard error, and what a chat's line says of a file."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import FileFacts, FileProgress, FileState
from e2ee.ids import MessageId
from e2ee.ui.progress import ProgressBar, bar_line, moving_text
from e2ee.ui.render import size_text
from tests.ui.fakes import BOB

MIB = 1024 * 1024


def progress(done: int, size: int = 100 * MIB, name: str = "a.txt") -> FileProgress:
    return FileProgress(MessageId(bytes(16)), BOB, FileFacts(name, size, FileState.UPLOADING), done)


class ProgressTests(SynchronousTestCase):
    """Drawn on a terminal only, and harmless there."""

    def test_how_far(self) -> None:
        self.assertEqual(bar_line(progress(35 * MIB)), f"[{'#' * 7}{'.' * 13}]  35% 35 MiB of 100 MiB  a.txt")
        self.assertTrue(bar_line(progress(0, 0)).startswith(f"[{'#' * 20}] 100%"))

    def test_a_chat_says_it_until_it_is_done(self) -> None:
        self.assertEqual(moving_text(progress(MIB)), "sending a.txt 1%")
        self.assertEqual((moving_text(progress(100 * MIB)), moving_text(progress(0, 0))), ("", ""))

    def test_names_steer_no_terminal(self) -> None:
        for text in (bar_line(progress(1, name="\x1b]0;x\x07\n")), moving_text(progress(1, name="\x1b[2J"))):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\n", text)

    def drawn(self, *, on_terminal: bool) -> bytes:
        reading, writing = os.pipe()
        bar = ProgressBar(drawn=on_terminal, descriptor=writing)
        bar.show(progress(1))
        bar.clear()
        bar.clear()
        os.close(writing)
        with open(reading, "rb") as drawn:
            return drawn.read()

    def test_it_is_drawn_and_taken_away_once(self) -> None:
        drawn = self.drawn(on_terminal=True)
        self.assertTrue(drawn.startswith(b"\r\x1b[K["))
        self.assertTrue(drawn.endswith(b"\r\x1b[K"))
        self.assertEqual(drawn.count(b"\x1b[K"), 2)

    def test_on_a_pipe_nothing_is(self) -> None:
        self.assertEqual(self.drawn(on_terminal=False), b"")

    def test_sizes_for_people(self) -> None:
        sizes = {0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 * 1024: "10 KiB", 100 * MIB: "100 MiB",
                 1024 * MIB: "1.0 GiB", 5000 * 1024 * MIB: "5000 GiB"}  # fmt: skip
        self.assertEqual({size: size_text(size) for size in sizes}, sizes)
