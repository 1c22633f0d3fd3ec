"""What people look for becomes an expression that the index understands, whatever they type."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.client.search import Search, parse_search


class SearchTests(SynchronousTestCase):
    """docs/command-line.md, `history --search`."""

    def setUp(self) -> None:
        self.index = dbapi2.connect(":memory:")
        self.addCleanup(self.index.close)
        self.index.execute(
            "CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')"
        )

    def found(self, wanted: str, *texts: str) -> list[str]:
        """Those of the texts in which it is found, by the index and exactly, as the vault does it."""
        search = parse_search(wanted)
        self.index.execute("DELETE FROM words")
        self.index.executemany("INSERT INTO words (text) VALUES (?)", [(text,) for text in texts])
        if search.match is None:
            rows = self.index.execute("SELECT text FROM words ORDER BY rowid")
        else:
            rows = self.index.execute("SELECT text FROM words (?) ORDER BY rowid", (search.match,))
        return [
            text for (text,) in rows
            if search.holds(text) and (search.caseless is None or search.caseless in text)
        ]

    def assert_found(self, wanted: str, *texts: str) -> None:
        self.assertEqual(self.found(wanted, *texts, "Something else entirely."), list(texts), wanted)

    def test_all_words_must_be_there_in_any_order_and_case(self) -> None:
        self.assert_found("INVOICE march", "The invoice of March", "march: invoice")
        self.assertEqual(self.found("invoice march", "invoice", "march"), [])

    def test_the_beginning_of_a_word_is_enough_and_its_middle_is_not(self) -> None:
        self.assert_found("inv", "Invoices")
        self.assertEqual(self.found("voice", "Invoices"), [])

    def test_a_phrase_is_words_one_after_the_other(self) -> None:
        self.assert_found('"first remind"', "The first reminder")
        self.assertEqual(self.found('"first remind"', "remind me first", "first, a reminder"), [])

    def test_diacritics_and_sharp_s_do_not_matter(self) -> None:
        self.assert_found("cafe", "Café", "Cafe\u0301", "CAFÉ")
        self.assert_found("café", "Cafe")
        self.assert_found("strasse", "Straße", "STRASSE")
        self.assert_found("straße", "Straße", "Strasse")

    def test_scripts_without_spaces_are_found_in_the_middle(self) -> None:
        self.assert_found("世界", "你好世界朋友")
        self.assert_found("カタ", "これはカタカナです")
        self.assert_found("โลก", "สวัสดีชาวโลกครับ")
        self.assert_found("hello 世界", "hello, 你好世界")

    def test_other_scripts_are_found_by_their_words(self) -> None:
        self.assert_found("мир", "Привет, Мира!")
        self.assert_found("नमस्ते", "नमस्ते दुनिया")
        self.assert_found("안녕", "안녕하세요")

    def test_punctuation_and_pictures_are_looked_for_as_they_are(self) -> None:
        self.assert_found("c++", "C++ it is")
        self.assertEqual(self.found("c++", "c and d", "+"), [])
        self.assert_found("a@b.org", "to A@b.org")
        self.assertEqual(self.found("a@b.org", "a b org"), [])
        self.assert_found("👍", "fine 👍")
        self.assert_found("100%", "100% sure")

    def test_the_language_of_the_index_is_text(self) -> None:
        for wanted in ("NOT", "a AND b", "text:x", "^a", "NEAR(a b)", "a*", '"', '""', "a\0b", "-x", "'"):
            self.found(wanted, "x")
        self.assertEqual(self.found("NOT", "I will not", "yes"), ["I will not"])

    def test_nothing_is_in_every_text(self) -> None:
        for nothing in ("", "  ", '""', '" "'):
            self.assertEqual(parse_search(nothing), Search())

    @given(st.text(max_size=40), st.text(max_size=40))
    @settings(deadline=None, max_examples=300)
    def test_whatever_is_typed_is_a_legal_expression(self, wanted: str, text: str) -> None:
        self.assertLessEqual(set(self.found(wanted, text.encode("utf-8", "replace").decode())), {text})

    @given(st.lists(st.text("abcäßéжψ7", min_size=1, max_size=6), min_size=1, max_size=5))
    @settings(deadline=None, max_examples=200)
    def test_every_text_is_found_by_each_of_its_words(self, words: list[str]) -> None:
        text = " ".join(words)
        for word in words:
            self.assertEqual(self.found(word, text), [text])
