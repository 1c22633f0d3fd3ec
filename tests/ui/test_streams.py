"""Lines in and bytes out over real descriptors, which can be called off."""

from __future__ import annotations

import os
import tempfile
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure
from e2ee.ui.streams import (
    LINE_BYTES,
    Interrupted,
    Interruption,
    LineSink,
    LineSource,
    LineTooLong,
    OutputClosed,
)


class StreamsTestCase(SynchronousTestCase):
    """A pipe, and what calls off waiting for it."""

    def setUp(self) -> None:
        self.interruption = Interruption()
        self.addCleanup(self.interruption.close)
        self.reading, self.writing = os.pipe()
        self.open = {self.reading, self.writing}
        self.addCleanup(self.close_all)

    def close_all(self) -> None:
        for descriptor in tuple(self.open):
            self.close(descriptor)

    def close(self, descriptor: int) -> None:
        self.open.discard(descriptor)
        os.close(descriptor)


class LineSourceTests(StreamsTestCase):
    """docs/command-line.md: the last line of a pipe counts without its newline."""

    def lines(self, written: bytes) -> list[str]:
        """All lines of a file of these bytes: files can be as long as a test wants."""
        with tempfile.TemporaryFile() as file:
            file.write(written)
            file.seek(0)
            source = LineSource(file.fileno(), self.interruption)
            return list(iter(source.read_line, None))

    def test_lines_are_read_one_by_one(self) -> None:
        source = LineSource(self.reading, self.interruption)
        os.write(self.writing, b"one\ntw")
        self.assertEqual(source.read_line(), "one")
        os.write(self.writing, b"o\n")
        self.assertEqual(source.read_line(), "two")
        self.close(self.writing)
        self.assertEqual((source.read_line(), source.read_line()), (None, None))

    def test_a_last_line_needs_no_newline(self) -> None:
        self.assertEqual(self.lines(b"one\ntwo"), ["one", "two"])

    def test_one_carriage_return_before_the_newline_is_left_out(self) -> None:
        self.assertEqual(self.lines(b"one\r\ntwo\r\r\n\r\n"), ["one", "two\r", ""])

    def test_nothing_is_the_end(self) -> None:
        with open(os.devnull, "rb") as file:
            self.assertIsNone(LineSource(file.fileno(), self.interruption).read_line())

    def test_a_closed_descriptor_is_the_end(self) -> None:
        source = LineSource(self.reading, self.interruption)
        self.close(self.reading)
        self.assertIsNone(source.read_line())

    def test_a_line_that_is_not_utf_8_is_refused(self) -> None:
        error = self.assertRaises(Failure, self.lines, b"caf\xe9\n")
        self.assertIs(error.code, Code.USAGE)

    def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * (5 * LINE_BYTES) + b"\nnext\n" + b"y" * (3 * LINE_BYTES))
            file.seek(0)
            source = LineSource(file.fileno(), self.interruption)
            self.assertRaises(LineTooLong, source.read_line)
            self.assertEqual(source.read_line(), "next")
            self.assertRaises(LineTooLong, source.read_line)
            self.assertIsNone(source.read_line())

    def test_a_waiting_read_is_called_off(self) -> None:
        source = LineSource(self.reading, self.interruption)
        timer = threading.Timer(0.01, self.interruption.trip)
        timer.start()
        self.assertRaises(Interrupted, source.read_line)
        timer.join()

    @given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
    @settings(deadline=None, max_examples=50)
    def test_what_was_written_line_by_line_is_read_line_by_line(self, lines: list[str]) -> None:
        self.assertEqual(self.lines("".join(f"{line}\n" for line in lines).encode()), lines)


class LineSinkTests(StreamsTestCase):
    """What is written is with the system, or it is an error."""

    def test_what_is_written_is_all_there(self) -> None:
        LineSink(self.writing, self.interruption).write(b"hello\n" * 1000)
        self.assertEqual(os.read(self.reading, 10_000), b"hello\n" * 1000)

    def test_a_reader_that_has_gone_is_noticed(self) -> None:
        self.close(self.reading)
        self.assertRaises(OutputClosed, LineSink(self.writing, self.interruption).write, b"hello")

    def test_a_closed_descriptor_is_a_failure(self) -> None:
        sink = LineSink(self.writing, self.interruption)
        self.close(self.writing)
        self.assertRaises(Failure, sink.write, b"hello")

    def test_a_full_pipe_can_be_called_off(self) -> None:
        sink = LineSink(self.writing, self.interruption)
        self.interruption.trip()
        self.assertRaises(Interrupted, sink.write, b"x" * 10**7)

    def test_what_can_be_written_at_once_still_is_after_the_call_off(self) -> None:
        self.interruption.trip()
        LineSink(self.writing, self.interruption).write(b"last line\n")
        self.assertEqual(os.read(self.reading, 100), b"last line\n")

    def test_a_pipe_has_no_width(self) -> None:
        self.assertIsNone(LineSink(self.writing, self.interruption).columns)
