"""`e2ee account delete`, between real processes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, Household


class AccountTests(SynchronousTestCase):
    """Alice has an account, and Bob writes to her."""

    def test_the_account_goes_the_profile_stays_and_senders_are_told(self) -> None:
        house = Household("--presence", "everyone")
        self.addCleanup(house.__exit__)
        link = house.start_server()
        house.register("alice", link, ALICE)
        house.register("bob", link, BOB)
        house.do("bob", "send", ALICE, "-m", "this she reads")
        house.do("alice", "receive")
        (sent,) = house.do("bob", "send", ALICE, "-m", "this she does not", "--json").objects
        # A command that connects fetches its mail: only what comes after that waits for nobody.
        done = house.do("alice", "account", "delete", "--json")
        self.assertEqual((done.status, done.objects), (0, [{"type": "deleted", "address": ALICE}]), done.err)

        self.assertIn(sent["state"], ("stored", "delivered"))
        self.assertEqual(house.do("bob", "send", ALICE, "-m", "and this neither").status, 1)
        for verb in (("online",), ("status",), ("send", BOB, "-m", "x"), ("account", "delete")):
            refused = house.do("alice", *verb, "--json")
            self.assertEqual((refused.status, refused.error["code"]), (6, "not_registered"), verb)
        past = house.do("alice", "history", "--json")
        self.assertIn("this she reads", [one["text"] for one in past.objects])
        self.assertEqual(house.do("alice", "contacts").status, 0)
