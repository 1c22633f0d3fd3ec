"""What strangers write, between real processes: docs/command-line.md, "Requests"."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household


class RequestTests(SynchronousTestCase):
    """Alice writes to Bob, who does not know her."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.house.register("alice", link, ALICE)
        self.house.register("bob", link, BOB)

    def send(self, text: str) -> None:
        self.assertEqual(self.house.do("alice", "send", BOB, "-m", text).status, 0)

    def received(self) -> list[tuple[str, bool]]:
        return [(one["text"], one["request"]) for one in self.house.do("bob", "receive", "--json").objects]

    def test_they_are_marked_until_they_are_added(self) -> None:
        self.send("hello")
        self.assertEqual(self.received(), [("hello", True)])
        self.assertTrue(self.house.do("bob", "--json", "contacts").objects[0]["request"])
        self.send("anybody there?")
        self.assertEqual(self.house.do("bob", "contacts", "add", ALICE, "alice").status, 0)
        self.assertEqual(self.received(), [("anybody there?", False)])

    def test_a_chat_lists_announces_and_accepts_them(self) -> None:
        self.send("hello")
        lines = f"requests\n3\nchat {ALICE}\n/accept\n/requests\nmenu\n5\n"
        chat = self.house.do("bob", "chat", given=lines)
        self.assertEqual(chat.status, 0, chat.err)
        said = [line for line in chat.out.splitlines() if ALICE in line or "request" in line]
        self.assertEqual(
            [line.split(": hello")[0].split("] ")[-1] for line in said],
            [
                "* 1 request waits for your word; requests, in a chat /requests, lists them",
                f"* {ALICE} (1 message unread)",
                f"* a request: you have not accepted {ALICE} yet; answer, /accept or /block {ALICE}",
                ALICE,
                f"* chat with {ALICE}; /help lists commands, menu leaves",
                f"* accepted: {ALICE}",
                "* no requests",
            ],
        )

    def test_of_a_blocked_one_nothing_is_printed(self) -> None:
        self.send("hello")
        self.house.do("bob", "chat", given=f"block {ALICE}\n3\n5\n")
        self.send("why?")
        self.assertEqual(self.received(), [])
