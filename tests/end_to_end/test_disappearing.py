"""Disappearing messages between real processes: docs/command-line.md, "Disappearing messages"."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import wait_until
from tests.end_to_end.household import ALICE, BOB, Household


class TimerTests(SynchronousTestCase):
    """Alice and Bob have accepted each other."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.house.register("alice", link, ALICE)
        self.house.register("bob", link, BOB)
        for profile, to in (("alice", BOB), ("bob", ALICE)):
            self.house.do(profile, "send", to, "-m", "hello")
        for profile in ("alice", "bob"):
            self.house.do(profile, "receive")

    def texts(self, profile: str) -> list[str]:
        return [one["text"] for one in self.house.do(profile, "--json", "history").objects]

    def wait_until_gone(self, profile: str) -> None:
        wait_until("it has gone", lambda: "unmistakable words" not in self.texts(profile))

    def test_what_one_side_sets_both_keep_and_what_is_due_is_gone_at_the_next_opening(self) -> None:
        done = self.house.do("alice", "--json", "contacts", "timer", BOB, "1s")
        self.assertEqual((done.status, done.objects[0]["timer"]), (0, 1), done.err)
        # That command needs no server; the next one that has it tells the contact.
        self.house.do("alice", "send", BOB, "-m", "unmistakable words")
        received = self.house.do("bob", "--json", "receive").objects
        timer, message = (one for one in received if one["type"] in ("timer", "message"))
        self.assertEqual((timer["type"], timer["seconds"], timer["from"]), ("timer", 1, ALICE))
        self.assertEqual((message["text"], message["expires_in"]), ("unmistakable words", 1))
        shown = self.house.do("bob", "contacts", "timer", ALICE)
        self.assertIn("disappearing after 1 second", shown.out)
        for profile in ("alice", "bob"):
            self.wait_until_gone(profile)
            self.assertEqual(self.house.do(profile, "history", "--search", "unmistakable").out, "")
            self.assertEqual(self.texts(profile)[:1], ["hello"])

    def test_in_a_chat(self) -> None:
        chat = self.house.do("bob", "chat", ALICE, given="/timer\n/timer 4w\nlater\n/timer\n")
        self.assertEqual(chat.status, 0, chat.err)
        told = [line for line in chat.out.splitlines() if "disappear" in line]
        self.assertEqual([("4 weeks" in line) for line in told], [False, True, True])
        alice = self.house.do("alice", "receive")
        self.assertIn("has set a timer: messages disappear 4 weeks after they are read", alice.out)
        self.assertEqual(self.house.do("alice", "contacts", "timer", BOB, "367d").status, 2)
        self.assertEqual(self.house.do("alice", "contacts", "timer", BOB, "soon").status, 2)
        off = self.house.do("alice", "--json", "contacts", "timer", BOB, "off")
        self.assertEqual(off.objects[0]["timer"], 0)
