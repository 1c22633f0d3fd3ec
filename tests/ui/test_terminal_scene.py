"""The line interface on a terminal: what stands around the conversation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from e2ee.client.events import ContactTyping, KeyChanged, LinkDown, LinkUp, PresenceChanged, SentState
from e2ee.errors import Code, Failure
from e2ee.ui.chat import Chat
from e2ee.ui.commands import MENU
from e2ee.ui.scene import PlainTerminal, Scene
from e2ee.ui.status_line import Partner, Standing
from e2ee.ui.suggestions import Suggestion
from e2ee.ui.terminal_scene import NEWS_SECONDS, TerminalScene
from e2ee.ui.typists import SHOWN_SECONDS, TOLD_SECONDS
from tests.ui.fakes import (
    BOB,
    CAROL,
    NOON,
    CoroutineTestCase,
    FakeConsole,
    FakeMessenger,
    message,
)

LOST = Failure(Code.UNREACHABLE, "connection reset")
HEAD = "* chat with bob; /help lists commands, menu leaves"


class FakeTerminal(FakeConsole):
    """A terminal whose own messages can be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.typed_before: Sequence[str] = ()
        self.suggest: Callable[[str], list[Suggestion]] = lambda line: []
        self.opened = False
        self.press_key: Callable[[], None] = lambda: None
        self.own: dict[Hashable, str] = {}
        self.settled: set[Hashable] = set()
        self.scrolled: set[Hashable] = set()
        self.standing = Standing()

    def open(self, typed: Sequence[str], suggest: Any, typing: Callable[[], None]) -> None:
        self.opened, self.typed_before, self.suggest, self.press_key = True, typed, suggest, typing

    async def close(self) -> None:
        self.opened = False

    async def show_own(self, key: Hashable, record: str) -> None:
        self.own[key] = record

    def change_own(
        self, key: Hashable, record: str, *, settled: bool, beyond: Callable[[], None]
    ) -> None:
        if key in self.scrolled:
            beyond()
            return
        self.own[key] = record
        if settled:
            self.settled.add(key)

    def show_standing(self, standing: Standing) -> None:
        self.standing = standing

    @property
    def states(self) -> list[str]:
        """The own messages as they are shown, without their times."""
        return [record.partition("] ")[2] for record in self.own.values()]


class SceneTestCase(CoroutineTestCase):
    """A chat on a terminal in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.messenger = FakeMessenger()
        self.messenger.people = {BOB: "bob", CAROL: "carol"}
        self.console = FakeTerminal()
        self.entropy = 0

    def random(self, size: int) -> bytes:
        self.entropy += 1
        return self.entropy.to_bytes(size, "big")

    def scene(self, tell: Callable[[str], None]) -> Scene:
        return TerminalScene(
            self.messenger.as_messenger(), self.console, self.clock, lambda: NOON, tell  # type: ignore[arg-type]
        )

    def begin(self, *lines: str | None, partner: str | None = "bob") -> Deferred[None]:
        chat = Chat(
            self.messenger.as_messenger(), self.console, self.clock, lambda: NOON, self.random, self.scene
        )
        self.console.type(*lines)
        return self.start(chat.run(partner, 30.0))

    def shown(self) -> list[str]:
        return [record for record in self.console.printed if record not in (*MENU, HEAD)]


class OwnMessageTests(SceneTestCase):
    """queued → stored → delivered → read."""

    def test_each_shows_how_far_it_has_come(self) -> None:
        self.begin("hello")
        self.assertEqual(self.console.states, ["me → bob (queued): hello"])
        for state in (SentState.STORED, SentState.DELIVERED, SentState.READ):
            self.messenger.accept(0, state)
            self.assertEqual(self.console.states, [f"me → bob ({state.value}): hello"])
            self.assertEqual(bool(self.console.settled), state is SentState.READ)

    def test_what_cannot_be_queued_says_so(self) -> None:
        async def refuse(*_: object) -> None:
            raise Failure(Code.USAGE, "the text is too long")

        self.patch(self.messenger, "queue", refuse)
        self.begin("long")
        self.assertEqual(self.console.states, ["me → bob (not sent): long"])
        self.assertEqual(self.shown(), ["* error: the text is too long"])

    def test_what_failed_is_settled(self) -> None:
        self.begin("hello")
        self.messenger.refuse(Failure(Code.UNKNOWN_RECIPIENT, "nobody"), state=SentState.FAILED)
        self.assertEqual(self.console.states, ["me → bob (failed): hello"])
        self.assertEqual(len(self.console.settled), 1)

    def test_news_of_what_has_scrolled_up_is_told_together(self) -> None:
        self.begin("one", "two", "three")
        self.console.scrolled = set(list(self.console.own)[:2])
        for index in range(3):
            self.messenger.accept(index, SentState.DELIVERED)
        self.assertEqual(self.shown(), [])
        self.clock.advance(NEWS_SECONDS)
        self.assertEqual(self.shown(), ["* delivered: 2 earlier messages"])
        self.messenger.accept(0, SentState.READ)
        self.clock.advance(NEWS_SECONDS)
        self.assertEqual(self.shown()[1:], ["* read: one"])

    def test_what_other_commands_send_is_not_shown(self) -> None:
        self.begin("one")
        self.result(self.messenger.queue(BOB, "elsewhere"))
        self.messenger.accept(1)
        self.assertEqual(len(self.console.own), 1)

    def test_a_paste_in_a_chat_is_one_message_and_outside_line_by_line(self) -> None:
        self.begin("one\ntwo", "menu", "chat carol\nthree")
        self.assertEqual(self.messenger.texts, [(BOB, "one\ntwo"), (CAROL, "three")])


class StandingTests(SceneTestCase):
    """The status line."""

    def test_who_is_online_updates_by_itself(self) -> None:
        self.messenger.present = [(CAROL, "carol")]
        self.begin()
        self.assertIn(("watch_presence", []), self.messenger.calls)
        self.assertEqual(self.console.standing.online, ("carol",))
        self.messenger.tell(PresenceChanged(BOB, "bob", True))
        self.messenger.tell(PresenceChanged(CAROL, "carol", False))
        self.assertEqual(self.console.standing.partner, Partner(BOB, "bob", online=True))
        self.assertEqual(self.console.standing.online, ())

    def test_after_a_reconnect_it_is_asked_again(self) -> None:
        self.begin()
        self.messenger.is_connected = False
        self.messenger.tell(LinkDown(LOST))
        self.assertFalse(self.console.standing.connected)
        self.messenger.present = [(BOB, "bob")]
        self.messenger.is_connected = True
        self.messenger.tell(LinkUp(0))
        self.assertTrue(self.console.standing.connected)
        self.assertEqual(self.console.standing.partner, Partner(BOB, "bob", online=True))
        self.assertEqual(
            self.shown(), ["* connection lost (connection reset); trying again", "* connected again"]
        )

    def test_without_a_first_connection_the_reason_is_said_once(self) -> None:
        waiting: Deferred[None] = Deferred()
        self.patch(self.messenger, "connected", lambda timeout: waiting)
        self.begin()
        self.messenger.tell(LinkDown(LOST))
        self.messenger.tell(LinkDown(LOST))
        self.assertEqual(self.shown(), ["* no connection yet (connection reset); trying again"])
        self.assertFalse(self.console.opened)
        waiting.callback(None)
        self.assertTrue(self.console.opened)

    def test_what_waits_to_be_accepted_is_counted(self) -> None:
        self.begin("one", "two")
        self.assertEqual(self.console.standing.waiting, 2)
        self.messenger.accept()
        self.assertEqual(self.console.standing.waiting, 1)


class TypingTests(SceneTestCase):
    """Who is writing stands in the status line for as long as that is so."""

    def typing(self) -> bool:
        assert self.console.standing.partner is not None
        return self.console.standing.partner.typing

    def test_the_partner_is_shown_as_long_as_he_goes_on(self) -> None:
        self.begin()
        for _ in range(3):
            self.messenger.tell(ContactTyping(BOB))
            self.assertTrue(self.typing())
            self.clock.advance(5)
        self.assertTrue(self.typing())
        self.clock.advance(SHOWN_SECONDS - 5)
        self.assertFalse(self.typing())
        self.assertEqual(self.shown(), [])

    def test_what_he_has_written_ends_it(self) -> None:
        self.begin()
        self.messenger.tell(ContactTyping(BOB))
        self.messenger.arrive(message("hello", BOB, "bob"))
        self.assertFalse(self.typing())

    def test_others_are_not_shown(self) -> None:
        self.begin()
        self.messenger.tell(ContactTyping(CAROL))
        self.assertFalse(self.typing())

    def test_nothing_is_left_at_the_end(self) -> None:
        running = self.begin()
        self.messenger.tell(ContactTyping(BOB))
        self.console.type("/quit")
        self.successResultOf(running)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_partner_is_told_if_he_is_there_and_not_at_each_key(self) -> None:
        self.messenger.present = [(BOB, "bob")]
        self.begin()
        for seconds in (0.0, TOLD_SECONDS - 0.1, 0.1, 0.1):
            self.clock.advance(seconds)
            self.console.press_key()
        self.assertEqual(self.messenger.told_typing, [BOB, BOB])

    def test_nobody_is_told_who_is_not_there(self) -> None:
        self.begin()
        self.console.press_key()
        self.assertEqual(self.messenger.told_typing, [])

    def test_nor_anybody_outside_a_chat(self) -> None:
        self.messenger.present = [(BOB, "bob")]
        self.begin("chat bob", "menu", partner=None)
        self.console.press_key()
        self.assertEqual(self.messenger.told_typing, [])

    def test_that_it_could_not_be_told_is_nothing(self) -> None:
        self.messenger.present = [(BOB, "bob")]
        running = self.begin()
        self.messenger.connection = LOST
        self.console.press_key()
        self.assertNoResult(running)


class OtherChatTests(SceneTestCase):
    """What others write while a chat is open is counted, and shown when it is asked for."""

    def test_it_is_counted_announced_once_and_not_shown(self) -> None:
        self.begin()
        for number in (1, 2):
            self.messenger.arrive(message("hello", CAROL, "carol", number))
        self.assertEqual(self.shown(), ["* carol has written; /offline lists it"])
        self.assertEqual(self.console.standing.unread, (("carol", 2),))
        self.assertEqual([event.position for event in self.messenger.waiting], [1, 2])

    def test_the_partners_is_shown_at_once(self) -> None:
        self.begin()
        self.messenger.arrive(message("hello", BOB, "bob"))
        self.assertIn("bob: hello", self.shown()[0])

    def test_offline_shows_all(self) -> None:
        self.begin()
        self.messenger.arrive(message("hello", CAROL, "carol"))
        self.console.type("/offline")
        self.assertIn("carol: hello", self.shown()[-1])
        self.assertEqual(self.console.standing.unread, ())

    def test_opening_a_chat_shows_what_its_partner_wrote(self) -> None:
        self.begin()
        self.messenger.arrive(message("hello", CAROL, "carol"))
        self.console.type("menu", "chat carol")
        self.assertIn("carol: hello", self.shown()[-1])
        self.assertEqual(self.messenger.waiting, [])

    def test_without_a_chat_everything_is_shown(self) -> None:
        self.begin(partner=None)
        self.messenger.arrive(message("hello", CAROL, "carol"))
        self.assertIn("carol: hello", self.shown()[-1])

    def test_a_changed_key_is_announced_whoever_it_is(self) -> None:
        self.begin()
        self.messenger.arrive(message("hello", CAROL, "carol", 1))
        self.messenger.arrive(KeyChanged(CAROL, "carol", NOON, False, 2))
        self.assertTrue(self.shown()[-1].startswith("* the key of carol has changed"))
        self.assertEqual([event.position for event in self.messenger.waiting], [1])

    def test_at_the_start_all_are_announced_and_the_partners_shown(self) -> None:
        self.messenger.waiting = [message("one", BOB, "bob", 1), message("two", CAROL, "carol", 2)]
        self.begin()
        self.assertEqual(self.shown()[0], "* 2 messages came while you were away; /offline lists them")
        self.assertIn("bob: one", self.shown()[1])
        self.assertEqual(len(self.shown()), 2)
        self.assertEqual(self.console.standing.unread, (("carol", 1),))


    def test_what_is_shown_at_once_is_not_to_be_asked_for(self) -> None:
        self.messenger.waiting = [message("one", BOB, "bob", 1)]
        self.begin()
        self.assertEqual(self.shown()[0], "* 1 message came while you were away")


class LineTests(SceneTestCase):
    """What is typed."""

    def test_commands_stay_on_the_screen_and_texts_do_not_twice(self) -> None:
        self.begin("/who", "hello", "menu")
        self.assertEqual(self.shown(), ["bob> /who", "* +15550100102 bob", "bob> menu"])

    def test_earlier_lines_come_from_the_vault(self) -> None:
        self.messenger.typed = ["older"]
        self.begin()
        self.assertEqual(self.console.typed_before, ["older"])

    def test_completion_knows_where_the_chat_stands(self) -> None:
        self.begin(partner=None)
        self.assertEqual([one.text for one in self.console.suggest("chat c")], ["carol"])
        self.console.type("2")
        self.assertEqual([one.text for one in self.console.suggest("b")], ["bob"])
        self.console.type("bob")
        self.assertEqual([one.text for one in self.console.suggest("/off")], ["/offline"])

    def test_who_leaves_is_told_what_is_waited_for(self) -> None:
        ended = self.begin("hello", None)
        self.assertFalse(self.console.opened)
        self.assertEqual(
            self.shown(),
            ["* waiting for the server to accept 1 message; Ctrl-C leaves it for later"],
        )
        self.messenger.accept()
        self.successResultOf(ended)

    def test_quit_gives_the_terminal_back(self) -> None:
        self.successResultOf(self.begin("/quit"))
        self.assertFalse(self.console.opened)

    def test_so_does_whatever_ends_it(self) -> None:
        ended = self.begin()
        ended.cancel()
        self.failureResultOf(ended)
        self.assertFalse(self.console.opened)


class PlainTerminalTests(SceneTestCase):
    """A terminal without a cursor."""

    def scene(self, tell: Callable[[str], None]) -> Scene:
        return PlainTerminal(tell)

    def test_states_are_notices(self) -> None:
        self.begin("hello\nthere")
        for state in (SentState.STORED, SentState.STORED, SentState.DELIVERED):
            self.messenger.accept(0, state)
        self.assertEqual(self.shown(), ["* stored: hello…", "* delivered: hello…"])

    def test_it_opens_no_chats_and_shows_everybody(self) -> None:
        self.begin()
        self.messenger.arrive(message("hello", CAROL, "carol"))
        self.assertIn("carol: hello", self.shown()[0])
