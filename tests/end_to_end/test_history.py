"""The past from a shell: searched, exported, forgotten, without a server."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household


class HistoryTests(SynchronousTestCase):
    """Two profiles that have talked, and a server that is gone."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)
        self.house.do("alice", "send", BOB, "-m", "The first invoice\nof March")
        self.house.do("bob", "receive")
        self.house.do("bob", "send", ALICE, "-m", "paid")
        self.house.stop_server()

    def texts(self, *arguments: str) -> list[str]:
        return [one["text"] for one in self.house.do("bob", "history", "--json", *arguments).objects]

    def test_it_is_searched_exported_and_forgotten(self) -> None:
        self.assertEqual(self.texts(), ["The first invoice\nof March", "paid"])
        self.assertEqual(self.texts("--search", "INV mar", "--direction", "in"), self.texts()[:1])
        self.assertEqual(self.texts("--until", "1d"), [])
        first, second = self.house.do("bob", "history", "--json").objects
        done = self.house.do("bob", "forget", first["id"], "--json")
        gone = {"type": "forgotten", "id": first["id"], "address": None, "messages": 1}
        self.assertEqual((done.status, done.objects), (0, [gone]), done.err)
        self.assertEqual((self.texts(), self.texts("--search", "invoice")), (["paid"], []))
        self.assertEqual(self.house.do("bob", "forget", first["id"]).status, 2)
        done = self.house.do("bob", "forget", "--conversation", ALICE)
        self.assertEqual((done.status, done.out), (0, f"{ALICE} 1 message forgotten\n"), second)
        self.assertEqual((self.texts(), self.house.do("bob", "receive", "--timeout", "1").out), ([], ""))
