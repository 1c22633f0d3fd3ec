"""The line editor and its console, on a terminal in memory, with its real thread."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from e2ee.ui.line_editor import LEAVE_HINT
from e2ee.ui.status_line import Standing
from e2ee.ui.streams import LineRefused, OutputClosed
from e2ee.ui.suggestions import Suggestion
from e2ee.ui.terminal_console import TerminalConsole
from examples.screen import END, ENTER, ESCAPE, INTERRUPT, TAB, UP
from tests.ui.terminal_double import Desk, eventually, no_suggestions


class FakePrinter:
    """What is printed past the editor."""

    def __init__(self) -> None:
        self.records: list[str] = []

    async def print(self, *records: str) -> None:
        self.records.extend(records)


class EditorTestCase(TestCase):
    """One console at a desk."""

    def setUp(self) -> None:
        self.desk = Desk(self)
        self.printer = FakePrinter()
        self.remembered: list[str] = []
        self.console = TerminalConsole(
            reactor, self.printer, self.desk.make_editor, self.remembered.append  # type: ignore[arg-type]
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.console.close()))

    def open(self, *typed: str, suggest: Callable[[str], list[Suggestion]] | None = None) -> None:
        self.keys = 0
        self.console.open(typed, suggest or no_suggestions, self._count)

    def _count(self) -> None:
        self.keys += 1

    def reading(self, prompt: str = ">") -> Deferred[str | None]:
        return Deferred.fromCoroutine(self.console.read_line(prompt))

    async def see(self, *rows: str) -> None:
        await self.desk.until("the screen", *rows)


class LineTests(EditorTestCase):
    """What is typed."""

    async def test_that_a_text_is_being_written_is_told_and_no_command(self) -> None:
        self.open()
        line = self.reading("bob>")
        self.desk.type("/who\r")
        self.assertEqual(await line, "/who")
        self.assertEqual(self.keys, 0)
        line = self.reading("bob>")
        self.desk.type("hi\r")
        self.assertEqual(await line, "hi")
        self.assertGreaterEqual(self.keys, 1)

    async def test_a_line_is_edited_and_read(self) -> None:
        self.open()
        line = self.reading("bob>")
        await self.see("bob>")
        self.desk.type("caf\u00e9 \u6f22x\x7f")
        await self.see("bob> caf\u00e9 \u6f22")
        self.desk.type(ENTER)
        self.assertEqual(await line, "caf\u00e9 \u6f22")
        await self.see("bob>")

    async def test_lines_that_nobody_has_asked_for_wait_in_order(self) -> None:
        self.open()
        self.desk.type(f"one{ENTER}two{ENTER}")
        self.assertEqual([await self.reading(), await self.reading()], ["one", "two"])

    async def test_a_paste_of_several_lines_is_one(self) -> None:
        self.open()
        line = self.reading()
        self.desk.type("\x1b[200~one\r\ntwo\rthree\x1b[201~")
        await self.see("> one", "    | two", "    | three")
        self.assertFalse(line.called)
        self.desk.type(ENTER)
        self.assertEqual(await line, "one\ntwo\nthree")
        await eventually("the room of the paste to be given back", lambda: len(self.desk.rows) == 1)

    async def test_alt_enter_begins_another_line(self) -> None:
        self.open()
        line = self.reading()
        self.desk.type(f"one{ESCAPE}{ENTER}two{ENTER}")
        self.assertEqual(await line, "one\ntwo")

    async def test_earlier_lines_come_back_and_new_ones_are_remembered(self) -> None:
        self.open("older", "old")
        self.desk.type(UP + UP)
        await self.see("> older")
        self.desk.type(f"!{ENTER}")
        self.assertEqual(await self.reading(), "older!")
        await eventually("it to be remembered", lambda: self.remembered == ["older!"])

    async def test_tab_completes(self) -> None:
        asked: list[str] = []

        def suggest(line: str) -> list[Suggestion]:
            asked.append(line)
            return [Suggestion("/offline", 4, "later\x1b[2J")]

        self.open(suggest=suggest)
        self.desk.type(f"/off{TAB}")
        await self.see("> /offline")
        self.assertEqual(set(asked), {"/off"})
        self.desk.type(ENTER)
        self.assertEqual(await self.reading(), "/offline")

    async def test_bytes_that_are_not_utf_8_refuse_their_line_only(self) -> None:
        self.open()
        self.desk.keyboard.send_bytes(b"caf\xe9" + ENTER.encode())
        await self.assertFailure(self.reading(), LineRefused)
        self.desk.type(f"next{ENTER}")
        self.assertEqual(await self.reading(), "next")

    async def test_a_line_feed_in_what_was_typed_asks_the_terminal_nothing(self) -> None:
        self.open()
        self.desk.type(f"text{ENTER}")
        await self.reading()
        self.assertNotIn("\x1b[6n", self.desk.wire.written)
        self.assertEqual(self.desk.screen.answers, [])


class LeavingTests(EditorTestCase):
    """Ctrl-C clears the line, twice or Ctrl-D leaves."""

    async def test_ctrl_c_clears_the_line_and_says_how_to_leave(self) -> None:
        self.open()
        line = self.reading()
        self.desk.type("half")
        await self.see("> half")
        self.desk.type(INTERRUPT)
        await self.see(">", LEAVE_HINT)
        self.desk.type(f"whole{ENTER}")
        self.assertEqual(await line, "whole")

    async def test_twice_leaves(self) -> None:
        self.open()
        self.desk.type(f"half{INTERRUPT}{INTERRUPT}")
        self.assertIsNone(await self.reading())

    async def test_not_if_something_was_typed_in_between(self) -> None:
        self.open()
        self.desk.type(f"half{INTERRUPT}more{INTERRUPT}last{ENTER}")
        self.assertEqual(await self.reading(), "last")

    async def test_ctrl_d_leaves_from_an_empty_line_only(self) -> None:
        self.open()
        self.desk.type(f"ab\x1b[D{END}{ENTER}{END}")
        self.assertEqual(await self.reading(), "a")
        self.assertIsNone(await self.reading())

    async def test_the_terminal_is_given_back(self) -> None:
        self.open()
        self.reading("bob>")
        await self.console.print("before")
        await self.console.show_own(1, "own (stored)")
        await self.console.close()
        self.assertEqual(self.desk.rows, ["before", "own (stored)"])
        self.assertTrue(self.desk.wire.written.rstrip("\x1b[0m").count("\x1b[?2004l"))
        await self.console.print("after")
        self.assertEqual(self.printer.records, ["after"])
        self.assertIsNone(await self.reading())

    async def test_a_terminal_that_has_gone_ends_it(self) -> None:
        self.open()
        line = self.reading()
        await self.console.print("before")
        self.desk.wire.broken = True
        await self.assertFailure(Deferred.fromCoroutine(self.console.print("lost")), OutputClosed)
        self.assertIsNone(await line)
        await self.assertFailure(Deferred.fromCoroutine(self.console.print("later")), OutputClosed)


class RecordTests(EditorTestCase):
    """What is printed above the line being typed."""

    async def test_arrivals_do_not_disturb_it(self) -> None:
        self.open()
        self.reading("bob>")
        self.desk.type("half a li")
        await self.see("bob> half a li")
        for number in range(30):
            await self.console.print(f"[12:00] bob: {number}")
        self.assertEqual(self.desk.rows[-3:-1], ["[12:00] bob: 28", "[12:00] bob: 29"])
        self.assertEqual(self.desk.rows[-1], "bob> half a li")
        self.assertEqual(self.desk.screen.scrolled[:2], ["[12:00] bob: 0", "[12:00] bob: 1"])
        self.desk.type("ne")
        await self.see("bob> half a line")

    async def test_own_messages_change_in_their_place(self) -> None:
        self.open()
        self.reading()
        await self.console.show_own(1, "me (queued): one")
        await self.console.print("bob: two")
        for state in ("stored", "delivered", "read"):
            self.console.change_own(1, f"me ({state}): one", settled=state == "read", beyond=self.fail)
            await self.see(f"me ({state}): one")
            self.assertEqual(self.desk.rows[:2], [f"me ({state}): one", "bob: two"])

    async def test_what_has_scrolled_off_cannot_change_and_says_so(self) -> None:
        self.open()
        for number in range(20):
            await self.console.show_own(number, f"me (queued): {number}")
        beyond: Deferred[None] = Deferred()
        self.console.change_own(0, "me", settled=True, beyond=lambda: beyond.callback(None))
        await beyond
        self.console.change_own(19, "me (read): 19", settled=True, beyond=self.fail)
        await self.see("me (read): 19")

    async def test_long_records_fold_and_fit_on_narrow_and_low_terminals(self) -> None:
        self.desk.resize(14, 4)
        self.open()
        self.reading("+15550100102>")
        await self.console.show_own(1, "me (queued): \u6f22\u5b57\u6f22\u5b57 and more words")
        self.desk.type("typed")
        await self.see("+1… typed")

    async def test_the_status_line_follows(self) -> None:
        self.console.show_standing(Standing(online=("bob",)))
        self.open()
        await self.see("online: bob")
        self.console.show_standing(Standing(connected=False))
        await self.see("not connected, trying again")

    async def test_another_size_is_noticed(self) -> None:
        self.open()
        self.reading()
        self.desk.resize(20, 10)
        await self.console.print("a record that is longer than that")
        await self.see("    | longer than", "    | that", ">")
        self.assertTrue(all(len(row) <= 20 for row in self.desk.rows))
