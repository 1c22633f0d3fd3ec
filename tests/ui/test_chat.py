"""The line interface, driven line by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from e2ee.client.events import FailedReason, KeyChanged, LinkDown, LinkEnded, LinkUp, SentState
from e2ee.errors import Code, Failure
from e2ee.ui.chat import Chat
from e2ee.ui.chat_end import END_OF_INPUT_SECONDS, QUIT_SECONDS
from e2ee.ui.commands import MENU
from e2ee.ui.streams import LineTooLong, OutputClosed
from tests.ui.fakes import (
    ALICE,
    BOB,
    CAROL,
    DIGITS,
    NOON,
    CoroutineTestCase,
    FakeConsole,
    FakeMessenger,
    failed,
    message,
    receipt,
)

ENTERED = "* chat with bob; /help lists commands, menu leaves"
LOST = Failure(Code.UNREACHABLE, "connection reset")


class ChatTestCase(CoroutineTestCase):
    """A chat over a messenger and a console in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.messenger = FakeMessenger()
        self.messenger.people = {BOB: "bob"}
        self.console = FakeConsole()
        self.entropy = 0

    def random(self, size: int) -> bytes:
        self.entropy += 1
        return self.entropy.to_bytes(size, "big")

    def begin(self, *lines: str | BaseException | None, partner: str | None = None) -> Deferred[None]:
        chat = Chat(
            self.messenger.as_messenger(), self.console, self.clock, lambda: NOON + 86_400_000, self.random
        )
        self.console.type(*lines)
        return self.start(chat.run(partner, 30.0))

    def shown(self) -> list[str]:
        """What was printed, without the menus."""
        return [record for record in self.console.printed if record not in MENU]

    def menus(self) -> int:
        return self.console.printed.count(MENU[0])

    def texts(self) -> Sequence[str]:
        return [text for _, text in self.messenger.texts]


class MenuTests(ChatTestCase):
    """docs/command-line.md, section 4: the menu and what is outside a chat."""

    def test_the_menu_is_printed_after_the_first_connection_only(self) -> None:
        self.begin("", "nonsense", "help")
        self.assertEqual(self.console.printed[: len(MENU)], list(MENU))
        self.assertEqual(self.menus(), 1)

    def test_without_a_first_connection_nothing_is_printed(self) -> None:
        self.messenger.connection = LOST
        ended = self.begin("1")
        self.assertIs(self.failureResultOf(ended, Failure).value, LOST)
        self.assertEqual(self.console.printed, [])

    def test_1_and_5_list_and_end(self) -> None:
        self.messenger.present = [(BOB, "bob"), (CAROL, None)]
        self.successResultOf(self.begin("1", "5"))
        self.assertEqual(self.shown(), ["+15550100102 bob", "+15550100103"])

    def test_nobody_online_is_said(self) -> None:
        self.begin("1")
        self.assertEqual(self.shown(), ["* nobody else is online"])

    def test_menu_prints_it_again(self) -> None:
        self.begin("menu")
        self.assertEqual(self.menus(), 2)

    def test_4_without_a_chat_is_a_notice(self) -> None:
        self.begin("4")
        self.assertEqual(self.shown(), ["* no chat is open"])
        self.assertEqual(self.menus(), 1)

    def test_2_asks_for_the_address(self) -> None:
        self.begin("2", "bob")
        self.assertEqual(self.console.prompts[:3], [">", "address:", "bob>"])
        self.assertEqual(self.shown(), [ENTERED])

    def test_who_is_verified_is_marked_when_a_chat_is_opened(self) -> None:
        self.messenger.marks[BOB] = (True, "Our company")
        self.begin("chat bob")
        both = "bob (verified, verified by Our company);"
        self.assertEqual(self.shown(), [ENTERED.replace("bob;", both)])

    def test_after_2_a_bad_address_is_an_error_and_the_chat_goes_on(self) -> None:
        self.begin("2", "nobody", "4")
        self.assertTrue(self.shown()[0].startswith("* error: "))
        self.assertEqual(self.shown()[1], "* no chat is open")

    def test_the_own_number_is_no_partner(self) -> None:
        self.begin(f"chat {ALICE}", "hello")
        self.assertEqual(self.shown()[0], "* error: your own number is no recipient")
        self.assertEqual(self.texts(), [])

    def test_an_unknown_line_is_an_error_and_never_sent(self) -> None:
        self.begin("hello")
        self.assertTrue(self.shown()[0].startswith("* error: there is no command hello"))
        self.assertEqual(self.texts(), [])

    def test_no_line_is_read_before_the_last_is_finished(self) -> None:
        self.messenger.present = []
        self.begin()
        self.assertTrue(self.console.waits)
        self.console.type("1")
        self.assertEqual(self.shown(), ["* nobody else is online"])
        self.assertTrue(self.console.waits)


class InsideTests(ChatTestCase):
    """docs/command-line.md, section 4: inside a chat."""

    def test_an_address_on_the_command_line_begins_inside_without_the_menu(self) -> None:
        self.begin("hi", partner="bob")
        self.assertEqual(self.menus(), 0)
        self.assertEqual(self.messenger.texts, [(BOB, "hi")])

    def test_a_bad_address_on_the_command_line_is_a_usage_error(self) -> None:
        ended = self.begin(partner="nobody")
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.USAGE)

    def test_digits_and_words_are_sent(self) -> None:
        self.begin("1", "5", "quit", partner="bob")
        self.assertEqual(self.texts(), ["1", "5", "quit"])

    def test_menu_leaves_and_prints_the_menu_once(self) -> None:
        self.begin("chat bob", "menu", "4")
        self.assertEqual(self.menus(), 2)
        self.assertEqual(self.shown()[-1], "* no chat is open")

    def test_exit_leaves_and_prints_the_menu(self) -> None:
        self.begin("/exit", partner="bob")
        self.assertEqual(self.menus(), 1)

    def test_an_unknown_command_is_an_error_and_never_sent(self) -> None:
        self.begin("/nonsense hello", "//hello", partner="bob")
        self.assertTrue(self.shown()[-1].startswith("* error: there is no command /nonsense"))
        self.assertEqual(self.texts(), ["/hello"])

    def test_a_file_is_sent_with_its_whole_path(self) -> None:
        Path("some photo.png").write_bytes(b"photo")
        whole = str(Path("some photo.png").absolute())
        self.begin("/file some photo.png", f"/file '{whole}'", partner="bob")
        self.assertEqual(self.messenger.files.sent, [(BOB, whole, ""), (BOB, whole, "")])

    def test_what_is_no_file_is_an_error_and_never_sent(self) -> None:
        Path("folder").mkdir(exist_ok=True)
        self.begin("/file", "/file none", "/file folder", partner="bob")
        for shown, why in zip(
            self.shown()[-3:], ("needs the path", "cannot be read", "not a regular file"), strict=True
        ):
            self.assertIn(why, shown)
        self.assertEqual(self.messenger.files.sent, [])

    def test_the_safety_number_is_shown_and_compared(self) -> None:
        self.begin("/verify", f"/verify {DIGITS}", f"/verify {'1' * 60}", partner="bob")
        self.assertEqual(self.shown()[2], "* not verified")
        self.assertEqual(self.shown()[4], "* verified")
        self.assertEqual(self.shown()[5], "* error: the safety number is another one")

    def test_trust_history_and_who_answer(self) -> None:
        self.begin("/trust", "/history", "/search x", "/who", partner="bob")
        self.assertEqual(
            self.shown()[1:],
            ["* nothing to accept", "* nothing found", "* nothing found", "* +15550100102 bob"],
        )

    def test_what_cannot_be_queued_is_an_error_and_the_chat_goes_on(self) -> None:
        async def refuse(*_: object) -> None:
            raise Failure(Code.USAGE, "the text is too long")

        self.patch(self.messenger, "queue", refuse)
        ended = self.begin("long", None, partner="bob")
        self.successResultOf(ended)
        self.assertEqual(self.shown()[-1], "* error: the text is too long")

    def test_a_line_that_is_too_long_is_an_error_and_the_chat_goes_on(self) -> None:
        self.begin(LineTooLong(), "hi", partner="bob")
        self.assertTrue(self.shown()[-1].startswith("* error: the line is longer"))
        self.assertEqual(self.texts(), ["hi"])

    def test_input_that_is_not_utf_8_ends_it(self) -> None:
        ended = self.begin(Failure(Code.USAGE, "the input is not UTF-8"), partner="bob")
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.USAGE)


class ArrivalTests(ChatTestCase):
    """What arrives is shown; what came while the user was away waits for `3`."""

    def test_arrivals_are_shown_wherever_they_come_from(self) -> None:
        self.begin(partner="bob")
        self.messenger.arrive(message("hi", BOB, "bob", number=1))
        self.messenger.arrive(message("hello", CAROL, number=2))
        self.assertEqual(
            [record.partition("] ")[2] for record in self.shown()[1:]], ["bob: hi", "+15550100103: hello"]
        )
        self.assertEqual(self.messenger.waiting, [])

    def test_what_came_before_is_announced_by_number_and_listed_by_3_once(self) -> None:
        self.messenger.waiting = [message("one", number=1), message("two", number=2)]
        self.begin()
        self.assertEqual(self.shown(), ["* 2 messages came while you were away; 3 lists them"])
        self.console.type("3", "3")
        self.assertEqual(
            self.shown()[1:],
            [
                "[2023-11-15 12:00] +15550100102: one",
                "[2023-11-15 12:00] +15550100102: two",
                "* no offline messages",
            ],
        )

    def test_what_comes_while_the_mailbox_is_drained_waits_as_well(self) -> None:
        draining: Deferred[None] = Deferred()

        async def drained(_: object) -> None:
            await draining

        self.patch(self.messenger, "drained", drained)
        self.begin()
        self.messenger.arrive(message("one"))
        self.assertEqual(self.shown(), [])
        draining.callback(None)
        self.assertEqual(self.shown(), ["* 1 message came while you were away; 3 lists them"])

    def test_older_messages_of_the_same_sender_go_first(self) -> None:
        self.messenger.waiting = [message("old", BOB, number=1), message("other", CAROL, number=2)]
        self.begin()
        self.messenger.arrive(message("new", BOB, number=3))
        self.assertEqual([record[-3:] for record in self.shown()[1:]], ["old", "new"])
        self.assertEqual([event.position for event in self.messenger.waiting], [2])

    def test_what_went_wrong_meanwhile_is_said_at_the_start(self) -> None:
        self.messenger.waiting = [failed(1, BOB, FailedReason.EXPIRED), KeyChanged(BOB, "bob", NOON)]
        self.begin()
        self.assertEqual(len(self.shown()), 2)
        self.assertTrue(all(record.startswith("* ") for record in self.shown()))

    def test_a_closed_output_ends_it(self) -> None:
        ended = self.begin(partner="bob")
        self.console.broken = OutputClosed()
        self.messenger.arrive(message("hi"))
        self.failureResultOf(ended, OutputClosed)
        self.assertEqual(len(self.messenger.waiting), 1)


class LinkTests(ChatTestCase):
    """The connection is lost, comes back, or is given up."""

    def test_losing_the_connection_is_said_once(self) -> None:
        self.begin(partner="bob")
        self.messenger.tell(LinkDown(LOST))
        self.messenger.tell(LinkDown(LOST))
        self.messenger.tell(LinkUp(0))
        self.assertEqual(
            self.shown()[1:], ["* connection lost (connection reset); trying again", "* connected again"]
        )

    def test_before_the_first_connection_nothing_is_said(self) -> None:
        connecting: Deferred[None] = Deferred()

        async def connected(_: object) -> None:
            await connecting

        self.patch(self.messenger, "connected", connected)
        self.begin()
        self.messenger.tell(LinkDown(LOST))
        self.messenger.tell(LinkUp(0))
        self.assertEqual(self.console.printed, [])
        connecting.callback(None)
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.menus(), 1)

    def test_being_displaced_ends_it_with_that_error(self) -> None:
        ended = self.begin(partner="bob")
        displaced = Failure(Code.DISPLACED, "another connection of this device")
        self.messenger.tell(LinkEnded(displaced))
        self.assertIs(self.failureResultOf(ended, Failure).value, displaced)

    def test_a_reason_to_wait_is_said_once(self) -> None:
        self.begin("hi", partner="bob")
        self.messenger.refuse(Failure(Code.QUOTA, "too many waiting", 5.0))
        self.messenger.refuse(Failure(Code.QUOTA, "too many waiting", 5.0))
        self.assertEqual(self.shown()[1:], ["* not sent yet: too many waiting (try again in 5 s)"])

    def test_a_failed_message_is_said_once_and_with_its_reason(self) -> None:
        self.begin("hi", partner="bob")
        self.messenger.refuse(Failure(Code.UNKNOWN_RECIPIENT, "nobody is there"), state=SentState.FAILED)
        self.messenger.arrive(failed(1, BOB, FailedReason.NOT_ACCEPTED))
        self.assertEqual(self.shown()[1:], ["* not delivered: nobody is there"])
        self.assertEqual(self.messenger.waiting, [])


    def test_receipts_are_not_printed_and_bring_no_older_messages_with_them(self) -> None:
        self.begin("one", partner=BOB)
        self.messenger.waiting = [message("older", number=3)]
        before = len(self.console.printed)
        self.messenger.arrive(receipt(self.messenger.queued[0].message_id, SentState.READ, number=5))
        self.assertEqual(self.console.printed[before:], [])
        self.assertEqual([event.position for event in self.messenger.waiting], [3])

    def test_what_is_news_while_something_is_being_shown_is_said_before_the_end(self) -> None:
        ended = self.begin("hi", partner="bob")
        flushed: Deferred[None] = Deferred()
        unhindered = self.console.print

        async def hindered(*records: str) -> None:
            await unhindered(*records)
            await flushed

        self.patch(self.console, "print", hindered)
        self.messenger.arrive(message("one", BOB, "bob"))
        self.messenger.arrive(failed(2, BOB, FailedReason.NOT_ACCEPTED))
        self.messenger.refuse(Failure(Code.UNKNOWN_RECIPIENT, "nobody is there"), state=SentState.FAILED)
        self.console.type(None)
        flushed.callback(None)
        self.successResultOf(ended)
        self.assertIn("was not delivered", self.shown()[-1])
        self.assertEqual(self.messenger.waiting, [])


class EndTests(ChatTestCase):
    """docs/command-line.md, section 4: the end of input acts like `5`, after waiting for acceptance."""

    def test_the_end_of_input_ends_it(self) -> None:
        self.successResultOf(self.begin(None))

    def test_it_waits_until_all_is_accepted(self) -> None:
        ended = self.begin("one", "two", None, partner="bob")
        self.messenger.accept(0)
        self.assertNoResult(ended)
        self.messenger.accept(1, SentState.DELIVERED)
        self.successResultOf(ended)

    def test_news_that_come_before_the_outbox_answers_count(self) -> None:
        queue = self.messenger.queue

        async def at_once(*arguments: object) -> object:
            queued = await queue(*arguments)  # type: ignore[arg-type]
            self.messenger.accept()
            return queued

        self.patch(self.messenger, "queue", at_once)
        self.successResultOf(self.begin("one", None, partner="bob"))

    def test_it_gives_up_30_seconds_after_the_last_acceptance(self) -> None:
        ended = self.begin("one", "two", None, partner="bob")
        self.clock.advance(END_OF_INPUT_SECONDS - 1)
        self.messenger.accept(0)
        self.clock.advance(END_OF_INPUT_SECONDS - 1)
        self.assertNoResult(ended)
        self.clock.advance(1)
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.TIMEOUT)

    def test_a_running_retry_after_is_waited_for(self) -> None:
        ended = self.begin("one", None, partner="bob")
        self.messenger.refuse(Failure(Code.RATE_LIMITED, "slowly", 100.0))
        self.clock.advance(100 + END_OF_INPUT_SECONDS - 1)
        self.assertNoResult(ended)
        self.messenger.accept()
        self.successResultOf(ended)

    def test_without_a_connection_the_rest_stays_and_the_server_is_unreachable(self) -> None:
        ended = self.begin("one", None, partner="bob")
        self.messenger.is_connected = False
        self.clock.advance(END_OF_INPUT_SECONDS)
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.UNREACHABLE)

    def test_a_changed_key_is_not_waited_for(self) -> None:
        ended = self.begin("one", None, partner="bob")
        self.messenger.refuse(Failure(Code.KEY_CHANGED, "another key"))
        self.assertIs(self.failureResultOf(ended, Failure).value.code, Code.KEY_CHANGED)

    def test_quit_waits_for_a_moment_only(self) -> None:
        ended = self.begin("one", "/quit", partner="bob")
        self.assertNoResult(ended)
        self.clock.advance(QUIT_SECONDS)
        self.successResultOf(ended)
        self.assertEqual(self.shown()[-1], "* 1 message in the outbox, sent at the next connection")

    def test_arrivals_are_shown_while_it_waits(self) -> None:
        self.begin("one", None, partner="bob")
        self.messenger.arrive(message("hi"))
        self.assertTrue(self.shown()[-1].endswith(": hi"))
