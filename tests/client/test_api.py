"""The library over vaults in memory: sending, and events that are shown once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.api import Account
from e2ee.client.events import LinkEnded, MessageReceived, SentState, ShownEvent
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from tests.client.holding.sharing import Table
from tests.client.people import World

ALICE = Address("+15550100101")
BOB = Address("+15550100102")


class ApiTests(SynchronousTestCase):
    """Alice's vault is on a table; Bob writes to her."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.table = Table(self.world, self.alice)

    def account(self) -> Account:
        return Account(self.table.command(lasting=True))

    def bob_writes(self, text: str) -> None:
        self.bob.say(ALICE, text)
        self.table.settle()

    def one_of(self, events: AsyncIterator[ShownEvent]) -> Deferred[Any]:
        async def one() -> ShownEvent:
            return await anext(events)

        return self.table.begin(one())

    def text(self, events: AsyncIterator[ShownEvent]) -> tuple[str, bool]:
        event = self.successResultOf(self.one_of(events))
        assert isinstance(event, MessageReceived)
        return event.text, event.repeated

    def test_a_text_is_sent_to_a_number_or_a_name(self) -> None:
        account = self.account()
        self.table.result(account.conversations.add_contact(BOB, "bob"))
        for to in (BOB, str(BOB), "bob"):
            sent = self.table.result(account.send(to, f"to {to}"))
            self.assertTrue(sent.state.reaches(SentState.STORED))
        with self.assertRaises(Failure):
            self.table.result(account.send("nobody", "x"))

    def test_events_come_in_order_first_what_waited(self) -> None:
        self.bob_writes("one")
        self.bob_writes("two")
        events = self.account().events()
        self.assertEqual(self.text(events), ("one", False))
        self.assertEqual(self.text(events), ("two", False))
        waiting = self.one_of(events)
        self.assertNoResult(waiting)
        self.bob_writes("three")
        self.assertEqual(self.successResultOf(waiting).text, "three")

    def test_what_was_not_dealt_with_comes_again(self) -> None:
        self.bob_writes("one")
        self.bob_writes("two")
        account = self.account()
        events = account.events()
        self.assertEqual(self.text(events), ("one", False))
        self.assertEqual(self.text(events), ("two", False))
        self.table.result(account.conversations.close())
        again = self.account().events()
        self.assertEqual(self.text(again), ("two", True))
        self.assertNoResult(self.one_of(again))

    def test_they_end_with_the_connection(self) -> None:
        account = self.account()
        waiting = self.one_of(account.events())
        failure = Failure(Code.DISPLACED, "another device")
        account.conversations._hear(LinkEnded(failure))
        self.assertIs(self.failureResultOf(waiting, Failure).value, failure)
