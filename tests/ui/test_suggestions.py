"""What Tab offers in a chat."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.commands import INSIDE_WORDS, OUTSIDE_WORDS, Unknown, inside_chat, outside_chat
from e2ee.ui.suggestions import Person, Place, Suggestion, suggestions

PEOPLE = (
    Person("+15550100102", "bob", online=True),
    Person("+15550100103", "Bo Carol"),
    Person("+15550100104", None),
)


class SuggestionTests(SynchronousTestCase):
    """Commands, names and numbers."""

    def offered(self, line: str, place: Place) -> list[str]:
        return [one.text for one in suggestions(line, place, PEOPLE)]

    def test_every_word_that_is_offered_is_one(self) -> None:
        for word in OUTSIDE_WORDS:
            self.assertNotIsInstance(outside_chat(word), Unknown)
        for word in INSIDE_WORDS:
            self.assertNotIsInstance(inside_chat(word), Unknown)

    def test_outside_a_chat_the_menus_words_are(self) -> None:
        self.assertEqual(self.offered("", Place.MENU), list(OUTSIDE_WORDS))
        self.assertEqual(self.offered("OFF", Place.MENU), ["offline"])

    def test_inside_only_what_begins_with_a_slash(self) -> None:
        self.assertEqual(self.offered("", Place.CHAT), [])
        self.assertEqual(self.offered("off", Place.CHAT), [])
        self.assertEqual(self.offered("/off", Place.CHAT), ["/offline"])
        self.assertEqual(self.offered("/search bo", Place.CHAT), [])

    def test_whom_to_chat_with_by_name_or_number(self) -> None:
        self.assertEqual(self.offered("chat b", Place.MENU), ["bob", "Bo Carol"])
        self.assertEqual(self.offered("chat Bo C", Place.MENU), ["Bo Carol"])
        self.assertEqual(self.offered("chat ", Place.MENU), ["bob", "Bo Carol", "+15550100104"])
        self.assertEqual(self.offered("+1555010010", Place.ADDRESS), [one.number for one in PEOPLE])
        self.assertEqual(self.offered("online b", Place.MENU), [])

    def test_whom_to_accept_or_block(self) -> None:
        for word in ("accept", "block"):
            self.assertEqual(self.offered(f"{word} bob", Place.MENU), ["bob"])
            self.assertEqual(self.offered(f"/{word} bob", Place.CHAT), ["bob"])
            self.assertEqual(self.offered(f"{word} bob", Place.CHAT), [])

    def test_what_is_replaced_and_what_stands_beside_it(self) -> None:
        self.assertEqual(
            suggestions("chat bo", Place.MENU, PEOPLE[:1]), [Suggestion("bob", 2, "+15550100102 online")]
        )

    def test_nothing_within_several_lines(self) -> None:
        self.assertEqual(self.offered("a\n/", Place.CHAT), [])
