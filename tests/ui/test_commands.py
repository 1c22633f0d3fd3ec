"""One line → one command."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.commands import (
    MENU,
    Ask,
    Blank,
    Say,
    Unknown,
    Verb,
    address_asked,
    inside_chat,
    outside_chat,
)


class OutsideTests(SynchronousTestCase):
    """Outside a chat a line is a menu choice or its word."""

    def test_the_menu_is_the_one_of_the_contract(self) -> None:
        self.assertEqual(
            "\n".join(MENU),
            "--- MENU ---\n1. View online users\n2. Start chat\n3. View offline messages\n4. Exit chat\n"
            "5. Quit application\n(Type 'menu' anytime to return)",
        )

    def test_digits_are_choices(self) -> None:
        verbs = [Verb.ONLINE, Verb.CHAT, Verb.OFFLINE, Verb.EXIT, Verb.QUIT]
        for digit, verb in enumerate(verbs, 1):
            self.assertEqual(outside_chat(f" {digit} "), Ask(verb))

    def test_words_are_choices_in_any_case(self) -> None:
        for word in ("online", "offline", "requests", "accept", "block", "exit", "quit", "menu", "help"):
            self.assertEqual(outside_chat(word), Ask(Verb(word)))
            self.assertEqual(outside_chat(word.upper()), Ask(Verb(word)))
            self.assertEqual(outside_chat(f"/{word}"), Ask(Verb(word)))

    def test_chat_takes_an_address(self) -> None:
        self.assertEqual(outside_chat("chat +1 555 010 0102"), Ask(Verb.CHAT, "+1 555 010 0102"))
        self.assertEqual(outside_chat("chat"), Ask(Verb.CHAT))

    def test_full_width_digits_are_no_choices(self) -> None:
        self.assertEqual(outside_chat("１"), Unknown("１"))

    def test_anything_else_is_unknown(self) -> None:
        for line in ("6", "1 2", "hello", "/nonsense", "//online", "verify"):
            self.assertIsInstance(outside_chat(line), Unknown)

    def test_blank_lines_ask_nothing(self) -> None:
        self.assertEqual(outside_chat("  "), Blank())

    def test_after_2_the_line_is_an_address_or_menu(self) -> None:
        self.assertEqual(address_asked(" bob "), Ask(Verb.CHAT, "bob"))
        self.assertEqual(address_asked("5"), Ask(Verb.CHAT, "5"))
        self.assertEqual(address_asked("menu"), Ask(Verb.MENU))
        self.assertEqual(address_asked(""), Blank())


class InsideTests(SynchronousTestCase):
    """Inside a chat a line is a message, except `menu` and lines that begin with `/`."""

    def test_digits_and_words_are_text(self) -> None:
        for line in ("1", "5", "quit", "online", "menu please", "Menu", " 2 "):
            self.assertEqual(inside_chat(line), Say(line))

    def test_menu_leaves(self) -> None:
        self.assertEqual(inside_chat("menu"), Ask(Verb.MENU))
        self.assertEqual(inside_chat("/menu"), Ask(Verb.MENU))

    def test_every_command_of_the_contract_is_known(self) -> None:
        words = "online offline verify trust history search file who exit quit menu help"
        for word in (*words.split(), "requests", "accept", "block"):
            self.assertEqual(inside_chat(f"/{word}"), Ask(Verb(word)))

    def test_a_command_has_the_rest_of_its_line(self) -> None:
        self.assertEqual(inside_chat("/search two  words "), Ask(Verb.SEARCH, "two  words"))

    def test_two_slashes_send_a_line_with_one(self) -> None:
        self.assertEqual(inside_chat("//quit"), Say("/quit"))
        self.assertEqual(inside_chat("//"), Say("/"))

    def test_a_text_is_kept_as_it_was_typed(self) -> None:
        self.assertEqual(inside_chat("  two  words "), Say("  two  words "))

    def test_blank_lines_are_not_sent(self) -> None:
        self.assertEqual(inside_chat(""), Blank())
        self.assertEqual(inside_chat("   "), Blank())

    @given(st.text(st.characters(exclude_characters="\n"), max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_an_unknown_word_with_a_slash_is_never_a_text(self, rest: str) -> None:
        command = inside_chat(f"/{rest}")
        if rest.startswith("/"):
            self.assertEqual(command, Say(f"/{rest[1:]}"))
        else:
            self.assertIsInstance(command, Ask | Unknown)
