"""`e2ee chat` on a real pseudo-terminal, against a real server: docs/command-line.md, "On a terminal"."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.commands import MENU
from examples.screen import END, ENTER, INTERRUPT, TAB, UP, Terminal
from examples.stage import program
from tests.end_to_end.household import ALICE, BOB, CAROL, Household

OWN_STATE = re.compile(r"me → \S+ \((\w+)\)")


class TerminalTestCase(SynchronousTestCase):
    """Alice, Bob and Carol, who know each other."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        for name, number in (("alice", ALICE), ("bob", BOB)):
            self.house.register(name, self.link, number)
        self.house.do("alice", "contacts", "add", BOB, "bob")
        self.house.do("bob", "contacts", "add", ALICE, "alice")

    def chat(
        self, profile: str, *arguments: str, columns: int = 80, rows: int = 24, **environment: str
    ) -> Terminal:
        """`e2ee chat` on a terminal of its own."""
        terminal = Terminal(
            [program("e2ee"), "--profile", profile, "chat", *arguments],
            {**self.house.environment, "TERM": "xterm-256color", **environment}, columns, rows,
        )  # fmt: skip
        self.addCleanup(terminal.close)
        return terminal


class ConversationTests(TerminalTestCase):
    """Two people at two terminals."""

    def test_a_conversation(self) -> None:
        alice, bob = self.chat("alice", "bob"), self.chat("bob", "alice", columns=60, rows=16)
        for terminal in (alice, bob):
            terminal.see("* chat with")
            terminal.see("not verified, online")
        bob.type("half a l\u00efne \u6f22")
        bob.see("alice> half a l\u00efne \u6f22")
        for number in range(3):
            alice.enter(f"message {number}")
        bob.see("alice: message 2")
        # What is typed is drawn again below what came.
        bob.wait_for(lambda: bob.row("alice>") == "alice> half a l\u00efne \u6f22", "the line being typed")
        self.assertEqual([row.partition("] ")[2] for row in bob.screen.rows if "alice: " in row],
                         [f"alice: message {number}" for number in range(3)])
        alice.wait_for(lambda: self.states(alice) <= {"delivered", "read"}, "all delivered")
        bob.type(f"!{ENTER}")
        alice.see("bob: half a l\u00efne \u6f22!")
        alice.paste("first\nsecond\n> third")
        alice.see("    | > third")
        alice.type(ENTER)
        bob.see("    | > third")
        self.assertIn("alice: first", "\n".join(bob.screen.rows))
        for terminal in (alice, bob):
            terminal.type(END)
            self.assertEqual(terminal.finish(), 0)
            self.assertNotIn("\x1b[6n", terminal.output)
        last = self.house.do("bob", "history", "--limit", "1", "--json").objects[0]
        self.assertEqual(last["text"], "first\nsecond\n> third")

    def test_who_is_writing_is_shown_until_he_has_written(self) -> None:
        alice, bob = self.chat("alice", "bob"), self.chat("bob", "alice")
        for terminal in (alice, bob):
            terminal.see("not verified, online")
        alice.enter("hello")
        bob.see("alice: hello")
        bob.enter("hello yourself")
        alice.see("bob: hello yourself")

        def shown() -> bool:
            return any("online, typing" in row for row in alice.screen.rows)

        def shown_or_typed() -> bool:
            bob.type("a\x7f")  # whoever goes on typing says so again
            return shown()

        bob.type("a line")
        alice.wait_for(shown_or_typed, "that Bob is typing")
        bob.type(ENTER)
        alice.see("bob: a line")
        alice.wait_for(lambda: not shown(), "that he has written")
        self.assertNotIn("typing", self.house.do("alice", "--json", "history").out)

    def states(self, terminal: Terminal) -> set[str]:
        return set(OWN_STATE.findall("\n".join(terminal.screen.rows)))

    def test_the_connection_is_lost_and_comes_back(self) -> None:
        alice = self.chat("alice", "bob")
        alice.see("bob>")
        alice.see("bob +15550100102, not verified")
        self.house.stop_server(signal.SIGKILL)
        alice.see("* connection lost")
        alice.see("not connected, trying again")
        alice.enter("written without a server")
        alice.see("(queued): written without a server")
        alice.see("1 not accepted")
        self.house.start_server()
        alice.see("* connected again")
        alice.see("(stored): written without a server")
        self.assertEqual(sum("connection lost" in row for row in alice.screen.rows), 1)
        alice.type(INTERRUPT * 2)
        self.assertEqual(alice.finish(), 0)

    def test_what_others_write_is_counted_until_it_is_asked_for(self) -> None:
        self.house.register("carol", self.link, CAROL)
        alice = self.chat("alice", "bob")
        alice.see("bob>")
        self.house.do("carol", "send", ALICE, "-m", "from somebody else")
        alice.see(f"* {CAROL} has written; /offline lists it")
        alice.see(f"unread: {CAROL} 1")
        self.assertNotIn("from somebody else", alice.output)
        alice.type(f"/off{TAB}")
        alice.see("bob> /offline")
        alice.type(ENTER)
        alice.see(f"{CAROL}: from somebody else")
        alice.wait_for(lambda: "unread" not in alice.screen.rows[-1], "nothing unread")

    def test_other_commands_work_beside_it(self) -> None:
        """An open chat holds the vault; its own history works beside another one's, too."""
        first = self.chat("alice", "bob")
        first.see("bob>")
        second = self.chat("alice")
        second.see(MENU[-1])
        second.enter("chat bob")
        second.see("bob>")
        second.enter("/who")
        second.see("* +15550100102 bob")
        self.house.do("bob", "send", ALICE, "-m", "to both")
        for terminal in (first, second):
            terminal.see("bob: to both")
        first.type(END)
        self.assertEqual(first.finish(), 0)
        second.enter("/verify")
        second.see("* not verified")
        second.type(END)
        self.assertEqual(second.finish(), 0)


class LineTests(TerminalTestCase):
    """What is typed, and where it is kept."""

    def test_the_menu_is_the_same_and_lines_come_back_from_the_vault(self) -> None:
        alice = self.chat("alice")
        alice.see("5. Quit application")
        alice.see(">")
        rows = alice.screen.rows
        self.assertEqual(rows[rows.index(MENU[0]) :][: len(MENU)], list(MENU))
        alice.type("never finished")
        alice.see("> never finished")
        alice.type(INTERRUPT)
        alice.see("Ctrl-C again, or Ctrl-D, leaves")
        self.assertEqual(alice.row(">"), ">")
        for line in ("2", "bob", "a secret of today", "/menu"):
            alice.enter(line)
        alice.wait_for(lambda: alice.screen.rows.count(MENU[0]) == 2, "the menu")
        alice.enter("5")
        self.assertEqual(alice.finish(), 0)
        for path in self.house.client_files("alice"):
            self.assertNotIn(b"a secret of today", path.read_bytes(), path.name)
        again = self.chat("alice", "bob")
        again.see("bob>")
        again.type(UP * 3)
        again.see("bob> a secret of today")
        again.type(END * 20 + INTERRUPT + END)
        self.assertEqual(again.finish(), 0)
        self.house.do("alice", "forget", "--conversation", "bob")
        last = self.chat("alice", "bob")
        last.see("bob>")
        last.type(UP)
        last.see("bob> 5")
        last.type(UP)
        last.see("bob> /menu")
        last.type(UP)
        last.see("bob> bob")


class OtherTerminalTests(TerminalTestCase):
    """Narrow, low, without colours, without a cursor, and taken away."""

    def test_each_works(self) -> None:
        for check in (self.narrow_and_low, self.colours, self.dumb, self.taken_away):
            with self.subTest(check.__name__):
                check()

    def narrow_and_low(self) -> None:
        alice = self.chat("alice", "bob", columns=24, rows=6)
        alice.see("bob>")
        self.house.do("bob", "send", ALICE, "-m", "\u6f22\u5b57" * 10 + " and some words")
        alice.see("    | words")
        alice.type("typing on")
        alice.see("bob> typing on")
        alice.resize(60, 12)
        alice.see("bob +15550100102, not verified")
        alice.type(INTERRUPT * 2)
        self.assertEqual(alice.finish(), 0)

    def colours(self) -> None:
        coloured = re.compile(r"\x1b\[([0-9]+;)*(3[0-8]|9[0-7])(;[0-9]+)*m")
        for no_color in ("1", ""):
            alice = self.chat("alice", "bob", NO_COLOR=no_color)
            alice.see("* chat with bob")
            alice.see("bob>")
            self.assertEqual(bool(coloured.search(alice.output)), not no_color)
            alice.type(END)
            self.assertEqual(alice.finish(), 0)

    def dumb(self) -> None:
        alice = self.chat("alice", "bob", TERM="dumb")
        alice.see("bob>")
        alice.enter("hello")
        alice.see("* stored: hello")
        alice.enter("/quit")
        self.assertEqual(alice.finish(), 0)
        self.assertNotIn("\x1b", alice.output)

    def taken_away(self) -> None:
        """SIGTERM gives the terminal back to the shell: echo is on, and no mode is left over."""
        chat = f"{program('e2ee')} --profile alice chat bob"
        shell = Terminal(
            ["/bin/sh", "-c", f"{chat}; echo status $?; stty -a; echo over"],
            {**self.house.environment, "TERM": "xterm"}, 100, 24,
        )  # fmt: skip
        self.addCleanup(shell.close)
        shell.see("bob>")
        lock = Path(self.house.environment["E2EE_DATA_DIR"], "alice", "lock")
        os.kill(int(lock.read_text().split()[0]), signal.SIGTERM)
        shell.see("over")
        self.assertIn("status 0", shell.screen.rows)
        self.assertNotIn("-echo ", shell.output.partition("speed")[2])
        self.assertIn("\x1b[?2004l", shell.output[shell.output.rindex("\x1b[?2004h") :])
