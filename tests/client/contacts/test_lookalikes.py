"""Names that could be taken for one another, or for the interface itself."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.contacts.lookalikes import NAME_CHARACTERS, look_alike, name_refused
from e2ee.ui.sanitiser import clean_line


class LookAlikeTests(SynchronousTestCase):
    """docs/command-line.md, contacts."""

    def test_the_same_shapes_in_other_scripts_look_alike(self) -> None:
        for one, other in (
            ("bob", "b\u043eb"), ("Carol", "\u0421\u0430rol"), ("coco", "\u0441\u043e\u0441\u043e"),
            ("Ava", "\u0391va"), ("bob", "ｂｏｂ"), ("bob", "𝐛𝐨𝐛"), ("fine", "ﬁne"),
        ):  # fmt: skip
            self.assertTrue(look_alike(one, other), (one, other))

    def test_digits_strokes_and_pairs_that_look_like_letters_do(self) -> None:
        for one, other in (("Bill", "BiII"), ("Al", "A1"), ("Otto", "0tto"), ("modem", "modern")):
            self.assertTrue(look_alike(one, other), (one, other))

    def test_capitals_and_blanks_make_no_other_name(self) -> None:
        for one, other in (("bob", "Bob"), ("bob", "BOB"), ("Anna Maria", "Anna  Maria"), ("ß", "SS")):
            self.assertTrue(look_alike(one, other), (one, other))

    def test_different_names_are_different(self) -> None:
        names = ("Ian", "Lan", "bob", "bób", "rob", "Анна", "Иван", "漢字", "Δημήτρης", "Bob 2", "Bob 3")
        for one in names:
            for other in names:
                self.assertEqual(look_alike(one, other), one == other, (one, other))

    @given(st.text(max_size=20), st.text(max_size=20))
    @settings(deadline=None, max_examples=100)
    def test_it_does_not_matter_which_is_first(self, one: str, other: str) -> None:
        self.assertTrue(look_alike(one, one))
        self.assertEqual(look_alike(one, other), look_alike(other, one))


class NameTests(SynchronousTestCase):
    """What a name may be."""

    def test_ordinary_names_are_names(self) -> None:
        for name in ("bob", "Anna Maria", "O'Neill", "Иван", "Team 1", "12:30 train", "x" * NAME_CHARACTERS):
            self.assertIsNone(name_refused(name), name)

    def test_what_breaks_the_line_that_it_begins_is_refused(self) -> None:
        for name in ("carol: pay me", "carol:", "me → carol (read)", "a\nb", "a\u202eb", "x" * 101, "", " a"):
            self.assertIsNotNone(name_refused(name), name)

    def test_what_looks_like_the_own_messages_is_refused(self) -> None:
        for name in ("me", "Me", "ME", "m\u0435", "rne"):
            self.assertIsNotNone(name_refused(name), name)

    def test_no_name_has_a_character_that_is_not_printed_as_it_is(self) -> None:
        """Every code point that the sanitiser drops or replaces."""
        passed = [
            hex(point)
            for point in range(sys.maxunicode + 1)
            if clean_line(chr(point)) not in (chr(point), " ") and name_refused(f"a{chr(point)}b") is None
        ]
        self.assertEqual(passed, [])
