"""The end of any output becomes a text of bounded size without anything that steers a terminal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.sanitiser import REPLACEMENT, clean_line
from e2ee.ui.tail import KEPT_BYTES, LEFT_OUT, TAIL_BYTES, TAIL_LINES, Tail, tail_text


class TailTests(SynchronousTestCase):
    """`e2ee run`, docs/command-line.md."""

    def test_little_output_is_kept_whole_without_its_last_newlines(self) -> None:
        self.assertEqual(tail_text(b"one\n\n  two\n\n"), "one\n\n  two")
        self.assertEqual(tail_text(b""), "")
        self.assertEqual(tail_text(b"\n\n"), "")

    def test_only_the_last_lines_are_kept_and_the_rest_is_marked(self) -> None:
        lines = [str(number) for number in range(TAIL_LINES + 1)]
        self.assertEqual(tail_text("\n".join(lines[1:]).encode()), "\n".join(lines[1:]))
        self.assertEqual(tail_text("\n".join(lines).encode()), "\n".join([LEFT_OUT, *lines[1:]]))

    def test_a_long_line_is_cut_between_characters(self) -> None:
        fits = "ü" * (TAIL_BYTES // 2)
        self.assertEqual(tail_text(fits.encode()), fits)
        cut = tail_text((fits + "x").encode())
        self.assertTrue(cut.startswith(f"{LEFT_OUT}\nü"))
        self.assertTrue(cut.endswith("üx"))
        self.assertLessEqual(len(cut.encode()), TAIL_BYTES)

    def test_colours_titles_and_other_sequences_go(self) -> None:
        coloured = b"\x1b[1;31merror\x1b[0m: \x1b]0;title\x07no \x1b]8;;http://x\x1b\\link\x1bP+q\x1b\\\x1b(B."
        self.assertEqual(tail_text(coloured), "error: no link.")

    def test_a_progress_bar_is_its_last_state(self) -> None:
        self.assertEqual(tail_text(b"10%\r50%\r100%\r\ndone\r\n"), "100%\ndone")

    def test_overstruck_letters_are_one(self) -> None:
        self.assertEqual(tail_text(b"N\x08NA\x08AME"), "NAME")

    def test_what_is_not_utf_8_or_steers_is_replaced(self) -> None:
        self.assertEqual(tail_text(b"caf\xe9 \x00\x07\xe2\x80\xae"), f"caf{REPLACEMENT} {REPLACEMENT * 3}")

    def test_a_stream_without_end_is_not_held(self) -> None:
        tail = Tail()
        for number in range(20_000):
            tail.add(b"line %d\n" % number)
        self.assertLessEqual(len(tail._kept), 2 * KEPT_BYTES)
        self.assertEqual(tail.text().split("\n")[-1], "line 19999")
        self.assertEqual(tail.text().split("\n")[:2], [LEFT_OUT, f"line {20_000 - TAIL_LINES}"])

    @given(st.lists(st.binary(max_size=300) | st.just(b"\x1b]" * 50 + b"\n"), max_size=30), st.booleans())
    @settings(deadline=None, max_examples=100)
    def test_whatever_is_printed_the_text_is_small_and_harmless(self, chunks: list[bytes], cut: bool) -> None:
        text = tail_text(b"".join(chunks), cut=cut)
        self.assertLessEqual(len(text.encode("utf-8")), TAIL_BYTES)
        lines = text.split("\n")
        self.assertLessEqual(len(lines), TAIL_LINES + 1)
        for line in lines:
            self.assertEqual(line, clean_line(line))
