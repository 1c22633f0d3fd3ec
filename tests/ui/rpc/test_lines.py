"""Bytes into bounded lines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.rpc.lines import LineSplitter, LineTooLong

LIMIT = 8


def split(*pieces: bytes) -> list[bytes | None]:
    """The lines; None for each that was too long."""
    splitter = LineSplitter(LIMIT)
    found = [line for piece in pieces for line in splitter.feed(piece)]
    found += splitter.end()
    return [None if isinstance(line, LineTooLong) else line for line in found]


class LineSplitterTests(SynchronousTestCase):
    """No line is longer than the bound, and no more is ever kept."""

    def test_lines(self) -> None:
        self.assertEqual(split(b"one\ntwo\r\n\nthr", b"ee\nlast"), [b"one", b"two", b"", b"three", b"last"])

    def test_both_sides_of_the_bound(self) -> None:
        self.assertEqual(split(b"12345678\n"), [b"12345678"])
        self.assertEqual(split(b"123456789\nnext\n"), [None, b"next"])

    def test_a_long_line_is_told_once_and_at_once(self) -> None:
        splitter = LineSplitter(LIMIT)
        self.assertEqual([type(one) for one in splitter.feed(b"x" * 9)], [LineTooLong])
        self.assertEqual(list(splitter.feed(b"x" * 100)), [])
        self.assertEqual(list(splitter.feed(b"x\nnext\n")), [b"next"])

    def test_whole_or_byte_by_byte_is_the_same(self) -> None:
        @settings(deadline=None, max_examples=200)
        @given(st.lists(st.sampled_from([b"\n", b"\r", b"a", b"bcd", b"0123456789"])).map(b"".join))
        def check(received: bytes) -> None:
            whole = split(received)
            self.assertEqual(whole, split(*(received[at : at + 1] for at in range(len(received)))))
            lines = received.split(b"\n")
            expected = [None if len(line) > LIMIT else line.removesuffix(b"\r") for line in lines[:-1]]
            last = [None] if len(lines[-1]) > LIMIT else [lines[-1]] * bool(lines[-1])
            self.assertEqual(whole, [*expected, *last])

        check()
