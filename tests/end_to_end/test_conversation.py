"""Two people talk through a real server: docs/protocol.md, section 6, seen from a shell."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import Chat
from tests.end_to_end.household import ALICE, BOB, CAROL, Household


class ConversationTests(SynchronousTestCase):
    """One server, two registered profiles."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def test_offline_both_ways_in_order_with_the_same_ids(self) -> None:
        """What is sent to somebody away is stored, and received once, in order, under the same id."""
        sent = [
            self.house.do("alice", "send", BOB, "--json", "-m", f"line {number}").objects[0]
            for number in range(5)
        ]
        self.assertEqual({one["state"] for one in sent}, {"stored"})
        received = self.house.do("bob", "receive", "--json").objects
        self.assertEqual([one["text"] for one in received], [f"line {number}" for number in range(5)])
        self.assertEqual([one["id"] for one in received], [one["id"] for one in sent])
        self.assertEqual({one["from"] for one in received}, {ALICE})
        self.assertEqual(self.house.do("bob", "receive", "--json").out, "")
        answer = self.house.do("bob", "send", ALICE, "--json", "-m", "back").objects[0]
        self.assertEqual([one["id"] for one in self.house.do("alice", "receive", "--json").objects],
                         [answer["id"]])
        self.house.do("bob", "receive")  # the receipt for it
        self.house.wait_for_empty_mailboxes()

    def test_a_server_killed_in_between_loses_nothing(self) -> None:
        """`stored` is answered after the commit: a SIGKILL right after it changes nothing."""
        self.house.do("alice", "send", BOB, "-m", "before the kill")
        self.house.stop_server(signal.SIGKILL)
        queued = self.house.do("alice", "send", BOB, "-m", "while it is down", "--json", "--timeout", "1")
        self.assertEqual((queued.status, queued.objects[0]["state"]), (3, "queued"))
        self.house.start_server()
        self.house.do("alice", "send", BOB, "-m", "after it")
        received = self.house.do("bob", "receive", "--json").objects
        self.assertEqual([one["text"] for one in received],
                         ["before the kill", "while it is down", "after it"])

    def test_any_later_connection_sends_the_outbox(self) -> None:
        """Even one that only asks for something else: what waits goes first."""
        self.house.stop_server()
        for verb in ("receive", "online", "status"):
            with self.subTest(verb):
                queued = self.house.do("alice", "send", BOB, "-m", verb, "--timeout", "1")
                self.assertEqual(queued.status, 3)
                self.house.start_server()
                self.assertEqual(self.house.do("alice", verb).status, 0)
                self.assertEqual(self.house.do("alice", "outbox").out, "")
                received = self.house.do("bob", "receive", "--json").objects
                self.assertEqual([one["text"] for one in received], [verb])
                self.house.stop_server()

    def test_sigterm_ends_the_server_with_zero(self) -> None:
        """SIGTERM settles and exits 0."""
        self.assertEqual(self.house.stop_server(signal.SIGTERM), 0)

    def test_both_online(self) -> None:
        """Lines typed in one chat appear in the other."""
        alice = Chat(self.house, "alice", BOB, show=False)
        bob = Chat(self.house, "bob", ALICE, show=False)
        bob.see(ALICE)
        alice.see(BOB)
        for number in range(20):
            alice.type(f"ping {number}")
            bob.screen.wait_for(f"ping {number}")
            bob.type(f"pong {number}")
            alice.screen.wait_for(f"pong {number}")
        alice.leave()
        bob.leave()
        self.assertEqual(len([line for line in bob.screen.lines if "ping" in line]), 20)

    def test_the_menu_on_a_pipe(self) -> None:
        """`printf '1\\n5\\n' | e2ee chat` lists who is online and ends."""
        done = self.house.do("alice", "chat", given="1\n5\n")
        self.assertEqual(done.status, 0, done.err)
        self.assertIn("--- MENU ---\n1. View online users\n", done.out)

    def test_offline_messages_are_menu_item_three(self) -> None:
        """They are announced by number, then listed; the last line needs no newline."""
        self.house.do("alice", "send", BOB, "-m", "first")
        self.house.do("alice", "send", BOB, "-m", "second")
        done = self.house.do("bob", "chat", given="3\n5")
        self.assertEqual(done.status, 0, done.err)
        self.assertLess(done.out.index("first"), done.out.index("second"))
        self.assertEqual(self.house.do("bob", "receive").out, "")

    def test_a_text_of_every_kind_arrives_unaltered(self) -> None:
        """64 KiB, Unicode, control characters: JSON carries them as they are."""
        for text in ("x" * 65536, "Grüße, мир, 世界, 👩‍👩‍👧, \u202eabc", "a\x1b[31mb\x00c\r\nd"):
            sent = self.house.do("alice", "send", BOB, given=text)
            self.assertEqual(sent.status, 0, sent.err)
            self.assertEqual(self.house.do("bob", "receive", "--json").objects[0]["text"], text)
        self.assertEqual(self.house.do("alice", "send", BOB, given="x" * 65537).status, 2)
        self.assertEqual(self.house.do("alice", "send", BOB, given="").status, 2)
        self.assertEqual(self.house.do("alice", "send", BOB, given=b"\xff").status, 2)

    def test_a_profile_with_rsa_among_others(self) -> None:
        """`register --kem rsa-3072`: both directions, whoever begins."""
        self.house.register("carol", self.link, CAROL, "--kem", "rsa-3072")
        for sender, recipient, to in (("carol", "alice", ALICE), ("bob", "carol", CAROL)):
            self.assertEqual(self.house.do(sender, "send", to, "-m", "hello").status, 0)
            (received,) = self.house.do(recipient, "receive", "--json").objects
            self.assertEqual(received["text"], "hello")
            answer = self.house.do(recipient, "send", received["from"], "-m", "answer")
            self.assertEqual(answer.status, 0, answer.err)
            self.assertEqual(self.house.do(sender, "receive", "--json").objects[0]["text"], "answer")

    def test_the_same_id_is_sent_once(self) -> None:
        """`--id` makes a command that a script can repeat."""
        again = ("send", BOB, "--json", "--id", "ab" * 16, "-m", "once")
        self.assertEqual([self.house.do("alice", *again).objects[0]["id"] for _ in range(2)], ["ab" * 16] * 2)
        self.assertEqual(len(self.house.do("bob", "receive", "--json").objects), 1)
        other = self.house.do("alice", "send", BOB, "--id", "ab" * 16, "-m", "other")
        self.assertEqual(other.status, 2)
