"""Nothing of a connection stays in memory when it is over, however it ends; its messages are not counted
by the garbage collector, so that a circle through one of them would stay for ever."""

from __future__ import annotations

import gc
import weakref

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from e2ee.ids import EnvelopeId
from e2ee.server import connection, factory
from e2ee.store.server.ports import Account
from e2ee.wire import messages as m
from tests.server.test_connection import Caller, ConnectionCase
from tests.server.town import ALICE, BOB, TOKEN, token_hash


class MemoryTests(ConnectionCase):
    """Alice writes to Bob, and both go."""

    def setUp(self) -> None:
        super().setUp()
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        self.ends: list[weakref.ref[connection.Connection]] = []
        ends = self.ends

        class Watched(connection.Connection):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments)  # type: ignore[arg-type]
                ends.append(weakref.ref(self))

        self.patch(factory, "Connection", Watched)
        self.alice = self.log_in(self.town.devices[ALICE])
        self.bob = self.log_in(self.town.devices[BOB])

    def send(self, caller: Caller, envelope: bytes, number: str = str(BOB)) -> None:
        """With the contact token; nothing of it is settled."""
        message = self.town.send(BOB, envelope, TOKEN, n=caller.protocol.next_number())
        caller.protocol.send(replace(message, number=number))

    def assert_nothing_left(self) -> None:
        """After both have gone."""
        for caller in (self.alice, self.bob):
            caller.protocol.abort()
        self.network.advance(5)
        self.network.settle()
        self.assertEqual(len(self.ends), 2)
        self.network.wires.clear()
        del self.alice.protocol, self.bob.protocol  # whose transport knows the other end
        gc.collect()
        self.assertEqual([one() for one in self.ends], [None, None])

    def test_what_was_pushed_and_not_acknowledged(self) -> None:
        self.send(self.alice, b"one")
        self.send(self.alice, b"two")
        self.network.settle()
        self.assertEqual(sum(isinstance(one, m.Push) for one in self.bob.told), 2)
        self.assert_nothing_left()

    def test_what_was_delivered(self) -> None:
        self.send(self.alice, b"one")
        self.network.settle()
        push = self.bob.told[-1]
        assert isinstance(push, m.Push)
        self.ask(self.bob, m.Acknowledge(push.push, bytes(EnvelopeId.of(push.envelope)), m.Verdict.OPENED))
        self.assertIn(m.Accepted(3, m.Outcome.DELIVERED), self.alice.told)
        self.assert_nothing_left()

    def test_what_waited_for_a_look_up(self) -> None:
        self.town.rooms.known.forget(BOB)
        gate: Deferred[Account | None] = Deferred()
        self.patch(self.town.accounts, "find", lambda address: gate)
        for envelope in (b"one", b"two", b"three"):
            self.send(self.alice, envelope)
        self.network.settle()
        self.alice.protocol.abort()
        self.network.settle()
        gate.callback(None)
        self.assert_nothing_left()

    def test_what_was_no_number(self) -> None:
        self.send(self.alice, b"one")
        self.send(self.alice, b"two", "no number")
        self.network.settle()
        self.assertTrue(self.alice.over)
        self.assert_nothing_left()
