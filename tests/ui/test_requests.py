"""Requests and timers in a chat: announced, listed, decided on."""

from __future__ import annotations

from e2ee.client.events import TimerChanged
from tests.ui.fakes import BOB, CAROL, NOON, message
from tests.ui.test_chat import ChatTestCase

NOTICE = f"* a request: you have not accepted {CAROL} yet; answer, /accept or /block {CAROL}"


class TimerTests(ChatTestCase):
    """`/timer` in a chat."""

    def test_it_is_shown_set_and_switched_off(self) -> None:
        self.begin(f"chat {BOB}", "/timer", "/timer 1d", "/timer", "/timer off", "/timer soon", "5")
        off, on = "* messages do not disappear", "* messages disappear 1 day after they are read"
        shown = [record[: len(on)] for record in self.shown()[1:]]
        self.assertEqual(shown[:4], [off, on, on, off])
        self.assertTrue(shown[4].startswith("* error: 'soon' is not a time"))
        self.assertEqual(self.texts(), ["5"])

    def test_a_contact_who_sets_it_is_named(self) -> None:
        self.begin()
        self.messenger.arrive(TimerChanged(BOB, "bob", 3600, NOON, position=1))
        said = "* bob has set a timer: messages disappear 1 hour after they are read"
        self.assertIn(said, self.shown()[-1])

    def test_outside_a_chat_there_is_none(self) -> None:
        self.begin("/timer 1d", "5")
        self.assertEqual(self.shown(), ["* error: no chat is open"])


class RequestTests(ChatTestCase):
    """Strangers are listed until the user has decided."""

    def setUp(self) -> None:
        super().setUp()
        self.messenger.strangers = {CAROL}

    def test_the_beginning_says_how_many_wait(self) -> None:
        self.begin()
        self.assertEqual(
            self.shown(), ["* 1 request waits for your word; requests, in a chat /requests, lists them"]
        )

    def test_without_any_it_says_nothing(self) -> None:
        self.messenger.strangers.clear()
        self.begin("requests", "5")
        self.assertEqual(self.shown(), ["* no requests"])

    def test_they_are_listed_with_what_is_unread(self) -> None:
        self.messenger.waiting = [message("hello", CAROL, request=True)]
        self.begin("requests", "5")
        self.assertEqual(self.shown()[-1], f"* {CAROL} (1 message unread)")

    def test_the_first_text_of_a_stranger_is_announced_and_no_other(self) -> None:
        self.begin()
        before = len(self.shown())
        for number in (1, 2):
            self.messenger.arrive(message("hello", CAROL, number=number, request=True))
        self.messenger.arrive(message("hello", BOB, "bob", number=3))
        shown = self.shown()[before:]
        self.assertEqual(shown[0], NOTICE)
        self.assertEqual([record.endswith("hello") for record in shown], [False, True, True, True])

    def test_accept_inside_a_chat_accepts_its_partner(self) -> None:
        self.begin(f"chat {CAROL}", "/accept", "/requests", "5")
        self.assertEqual(self.shown()[-2:], [f"* accepted: {CAROL}", "* no requests"])

    def test_accept_and_block_outside_a_chat_name_somebody(self) -> None:
        for word, told in (("accept", f"* accepted: {CAROL}"), ("block", f"* blocked: {CAROL}")):
            with self.subTest(word):
                self.setUp()
                self.begin(word, f"{word} {CAROL}", "requests", "5")
                self.assertEqual(
                    self.shown()[1:], [f"* error: {word} needs an ADDRESS", told, "* no requests"]
                )
