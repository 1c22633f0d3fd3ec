"""What leaves the sanitiser can be printed, whoever wrote it."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.render import as_json
from e2ee.ui.sanitiser import COMBINING_RUN, FURTHER_LINE, REPLACEMENT, cells, clean_line, printable

hostile = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\x00\x07\x08\t\n\x0b\x0c\r\x1b\x7f\x80\x85\x90\x9b\x9c\x9d\u061c\u200b\u200d\u200e\u200f"
            "\u2028\u2029\u202a\u202e\u2066\u2069\ufe0f\ufeff\u115f\u3164\U000e0001\U000e0041\U000e0100\u0301"
        ),
    ),
    max_size=60,
)


def is_forbidden(character: str) -> bool:
    """Whether a terminal could be steered, or a reader misled, by this one."""
    point = ord(character)
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        or 0xFE00 <= point <= 0xFE0F
        or 0xE0000 <= point <= 0xE0FFF
        or character in "\u115f\u1160\u3164\uffa0\u034f"
    )


class SanitiserTests(SynchronousTestCase):
    """docs/command-line.md: no control bytes, no escape sequences, no bidi overrides reach the terminal."""

    def test_ordinary_text_passes_unaltered(self) -> None:
        for text in ("", "See you at nine.", "café Ж 漢字 عربى 😀 naïve e\u0301"):
            self.assertEqual(printable(text), text)

    def test_escape_sequences_lose_their_escape(self) -> None:
        self.assertEqual(printable("\x1b[2Jgone"), f"{REPLACEMENT}[2Jgone")
        self.assertEqual(
            printable("\x9b2J\x9d0;title\x07"), f"{REPLACEMENT}2J{REPLACEMENT}0;title{REPLACEMENT}"
        )

    def test_delete_and_backspace_are_replaced(self) -> None:
        self.assertEqual(printable("a\x7fb\x08c"), f"a{REPLACEMENT}b{REPLACEMENT}c")

    def test_bidirectional_controls_are_replaced(self) -> None:
        for control in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
            self.assertEqual(printable(f"a{control}b"), f"a{REPLACEMENT}b")

    def test_invisible_characters_are_left_out(self) -> None:
        for invisible in "\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0f\u3164\u115f\U000e0041\U000e0100":
            self.assertEqual(printable(f"a{invisible}b"), "ab")

    def test_each_invisible_range_is_left_out_from_its_first_to_its_last(self) -> None:
        for first, last in (
            (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
            (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
            (0xE0000, 0xE0FFF),
        ):  # fmt: skip
            for point in {first, (first + last) // 2, last}:
                self.assertEqual(printable(f"a{chr(point)}b"), "ab", hex(point))
        for visible in (0x034E, 0x115E, 0x1161, 0x17B3, 0x2801, 0x3163, 0x3165, 0xFE10, 0xFFA1, 0xFFFC):
            self.assertEqual(printable(f"a{chr(visible)}b"), f"a{chr(visible)}b", hex(visible))

    def test_what_is_no_character_is_replaced(self) -> None:
        """The last two code points of every plane, and 32 in the middle of the first (Unicode, 23.7)."""
        lasts = [plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)]
        for point in (*lasts, 0xFDD0, 0xFDE0, 0xFDEF):
            self.assertEqual(printable(f"a{chr(point)}b"), f"a{REPLACEMENT}b", hex(point))
        for character in ("\ufdcf", "\ufdf0", "\ufffd", "\U0001fffd"):
            self.assertEqual(printable(f"a{character}b"), f"a{character}b", ascii(character))

    def test_blanks_of_every_width_are_blanks(self) -> None:
        for blank in "\u00a0\u2003\u3000":
            self.assertEqual(printable(f"a{blank}b"), "a b")

    def test_a_tab_becomes_blanks(self) -> None:
        self.assertEqual(printable("a\tb"), "a    b")

    def test_every_kind_of_line_end_makes_a_marked_line(self) -> None:
        for end in ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
            self.assertEqual(printable(f"[12:00] bob: a{end}* b"), f"[12:00] bob: a\n{FURTHER_LINE}* b")

    def test_heaps_of_combining_marks_are_thinned(self) -> None:
        self.assertEqual(printable("a" + "\u0301" * 50), "a" + "\u0301" * COMBINING_RUN)

    def test_heaps_of_enclosing_marks_as_well(self) -> None:
        self.assertEqual(printable("a" + "\u20dd" * 50), "a" + "\u20dd" * COMBINING_RUN)

    def test_each_character_is_counted_with_the_most_cells_that_a_terminal_gives_it(self) -> None:
        widths = {"a": 1, "ç": 1, "Ж": 2, "·": 2, "漢": 2, "ａ": 2, "☺": 2, "😀": 2, "\u0301": 0, "\u20dd": 0}
        self.assertEqual({character: cells(character) for character in widths}, widths)

    def test_marks_take_no_room_when_folding(self) -> None:
        self.assertEqual(printable("e\u0301" * 20, columns=40), "e\u0301" * 20)

    def test_a_terminal_narrower_than_the_mark_still_gets_everything(self) -> None:
        for columns in (1, len(FURTHER_LINE), len(FURTHER_LINE) + 1):
            folded = printable("abc", columns).split("\n")
            self.assertEqual("".join(line.removeprefix(FURTHER_LINE) for line in folded), "abc")

    def test_a_long_line_is_folded_with_the_mark(self) -> None:
        folded = printable("[12:00] bob: " + " " * 27 + "[12:01] carol: hi", columns=40).split("\n")
        self.assertTrue(all(line.startswith(FURTHER_LINE) for line in folded[1:]))
        self.assertGreater(len(folded), 1)

    def test_folding_keeps_words_and_every_character(self) -> None:
        text = "the quick brown fox jumps over the lazy dog"
        folded = printable(text, columns=20)
        self.assertEqual(
            folded.split("\n"), ["the quick brown fox ", "    | jumps over ", "    | the lazy dog"]
        )

    def test_wide_characters_count_twice_when_folding(self) -> None:
        self.assertEqual(len(printable("漢" * 20, columns=24).split("\n")), 2)
        self.assertEqual(len(printable("漢" * 10, columns=24).split("\n")), 1)

    @given(hostile)
    @settings(deadline=None, max_examples=300)
    def test_nothing_forbidden_passes(self, text: str) -> None:
        for character in printable(text).replace("\n", ""):
            self.assertFalse(is_forbidden(character), ascii(character))

    @given(hostile, st.integers(1, 100))
    @settings(deadline=None, max_examples=200)
    def test_all_lines_but_the_first_are_marked_whatever_the_width(self, text: str, columns: int) -> None:
        first, *further = printable(f"[12:00] bob: {text}", columns).split("\n")
        self.assertTrue("[12:00] bob: ".startswith(first[:13]))
        for line in further:
            self.assertTrue(line.startswith(FURTHER_LINE))

    @given(hostile, st.integers(10, 100))
    @example("\té字é字", 10)
    @settings(deadline=None, max_examples=200)
    def test_folded_lines_fit(self, text: str, columns: int) -> None:
        for line in printable(text, columns).split("\n"):
            cells = sum(
                0
                if unicodedata.category(c) in ("Mn", "Me")
                else 1 + (unicodedata.east_asian_width(c) in "WF")
                for c in line
            )
            self.assertLessEqual(cells, columns)

    @given(hostile)
    @settings(deadline=None, max_examples=100)
    def test_json_passes_unaltered_and_carries_the_text_unaltered(self, text: str) -> None:
        line = as_json({"text": text})
        self.assertEqual(printable(line), line)
        self.assertEqual(json.loads(line), {"text": text})

    @given(hostile)
    @settings(deadline=None, max_examples=100)
    def test_a_line_is_cleaned_only_once(self, text: str) -> None:
        once = clean_line(text)
        self.assertEqual(clean_line(once), once)
