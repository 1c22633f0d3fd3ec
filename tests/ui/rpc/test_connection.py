"""The agent's end of a socket, over a transport that a test reads when it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure as TwistedFailure

from e2ee.errors import Code, Failure
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc import connection as connection_module
from e2ee.ui.rpc.connection import Connection
from e2ee.ui.rpc.jsonrpc import LINE_BYTES
from e2ee.ui.streams import OutputClosed
from tests.ui.described import check
from tests.ui.fakes import CoroutineTestCase, FakeCall, FakeMessenger, message

OUTBOX = b'{"jsonrpc":"2.0","id":1,"method":"outbox"}\n'


class Transport:
    """What is written waits until `take`."""

    def __init__(self) -> None:
        self.written = b""
        self.producer: Any = None
        self.reading = True
        self.ended = ""

    def write(self, written: bytes) -> None:
        self.written += written

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        assert not streaming
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseConnection(self) -> None:
        self.ended = "in order"

    def abortConnection(self) -> None:
        self.ended = "cut"

    def take(self) -> list[Any]:
        """Everything that was written, taken by the other side."""
        lines, self.written = self.written.splitlines(), b""
        if self.producer is not None:
            self.producer.resumeProducing()
        found = [json.loads(line) for line in lines]
        for one in found:
            check(one, "#/$defs/rpc")
        return found


class House:
    """Counts programs."""

    def __init__(self) -> None:
        self.present: list[Connection] = []
        self.gone = 0
        self.admits = True

    def came(self, connection: Connection) -> bool:
        self.present.append(connection)
        return self.admits

    def went(self, connection: Connection) -> None:
        self.present.remove(connection)
        self.gone += 1


class ConnectionTests(CoroutineTestCase):
    """Lines over a socket: who may, how much, and the end."""

    def setUp(self) -> None:
        self.own = True
        self.patch(connection_module, "is_own_user", lambda _: self.own)
        self.messenger = FakeMessenger()
        self.house = House()

    def connect(self, call: FakeCall | None = None) -> tuple[Connection, Transport]:
        made = Connection(cast(Invocation, call or FakeCall(self.messenger)), self.house)
        transport = Transport()
        made.transport = transport
        made.connectionMade()
        self.addCleanup(self.lose, made)
        return made, transport

    def lose(self, made: Connection) -> None:
        if made in self.house.present:
            made.connectionLost(TwistedFailure(ConnectionDone()))

    def test_lines_are_answered(self) -> None:
        made, transport = self.connect()
        made.dataReceived(OUTBOX[:10])
        self.assertEqual(transport.written, b"")
        made.dataReceived(OUTBOX[10:] + OUTBOX + b"\xff\n" + b"x" * (LINE_BYTES + 1) + b"\n{\n")
        answers = transport.take()
        self.assertEqual([one["result"] for one in answers[:2]], [[], []])
        self.assertEqual([one["error"]["code"] for one in answers[2:]], [-32700, -32600, -32700])
        self.assertTrue(transport.reading)

    def test_other_users_are_cut_off(self) -> None:
        self.own = False
        _, transport = self.connect()
        self.assertEqual((transport.ended, self.house.present), ("cut", []))

    def test_so_is_one_too_many(self) -> None:
        self.house.admits = False
        _, transport = self.connect()
        self.assertEqual(transport.ended, "cut")

    def test_who_takes_no_answers_is_not_read(self) -> None:
        made, transport = self.connect()
        made.dataReceived(OUTBOX * 40)
        self.assertFalse(transport.reading)
        taken = 0
        for _ in range(40):
            taken += len(transport.take())
        self.assertEqual((taken, transport.reading), (40, True))

    def test_a_message_counts_as_shown_once_taken(self) -> None:
        made, transport = self.connect()
        self.messenger.arrive(message("hello"))
        made.dataReceived(b'{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n')
        transport.take()
        self.assertNotIn(("shown", [1]), self.messenger.calls)
        self.assertEqual(transport.take()[0]["params"]["text"], "hello")
        self.assertIn(("shown", [1]), self.messenger.calls)

    def test_a_message_that_nobody_took_stays_unshown(self) -> None:
        made, transport = self.connect()
        self.messenger.arrive(message("hello"))
        made.dataReceived(b'{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n')
        transport.take()
        self.lose(made)
        self.assertNotIn(("shown", [1]), self.messenger.calls)
        self.assertEqual(self.house.present, [])

    def test_who_has_said_everything_still_gets_the_answers(self) -> None:
        made, transport = self.connect()
        made.dataReceived(OUTBOX + OUTBOX.rstrip())
        made.readConnectionLost()
        self.assertEqual(transport.ended, "")
        self.assertEqual(len(transport.take()), 2)
        # A transport with a producer waits for that before it closes.
        self.assertEqual((transport.ended, transport.producer), ("in order", None))
        self.assertEqual(self.house.present, [made])
        made.connectionLost(TwistedFailure(ConnectionDone()))
        self.assertEqual(self.house.present, [])

    def test_who_reads_nothing_more_is_parted_from(self) -> None:
        made, transport = self.connect()
        made.writeConnectionLost()
        self.assertEqual(transport.ended, "cut")

    def test_who_has_gone_is_told_nothing_more_and_hears_of_nothing(self) -> None:
        made, transport = self.connect()
        made.dataReceived(b'{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n')
        transport.take()
        self.assertEqual(len(self.messenger._listeners), 1)
        self.lose(made)
        self.assertEqual(self.messenger._listeners, [])
        transport.ended = ""
        made.abort()
        self.failureResultOf(self.start(made.write("late")), OutputClosed)
        self.assertEqual((transport.written, transport.ended), (b"", ""))

    def test_who_goes_before_the_last_answer_was_taken_goes_once(self) -> None:
        made, transport = self.connect()
        made.dataReceived(OUTBOX)
        made.readConnectionLost()
        self.lose(made)
        self.assertEqual((transport.ended, self.house.present, self.house.gone), ("", [], 1))

    def test_nothing_is_read_before_the_conversations_are_there(self) -> None:
        opened: Deferred[None] = Deferred()
        call = FakeCall(self.messenger)

        @asynccontextmanager
        async def slowly(**_: object) -> AsyncIterator[FakeMessenger]:
            await opened
            yield self.messenger

        self.patch(call, "conversations", slowly)
        _, transport = self.connect(call)
        self.assertFalse(transport.reading)
        opened.callback(None)
        self.assertTrue(transport.reading)

    def test_what_nobody_foresaw_is_logged_and_costs_this_program(self) -> None:
        call = FakeCall(self.messenger)

        def fail(**_: object) -> Any:
            raise ZeroDivisionError("a defect")

        self.patch(call, "conversations", fail)
        _, transport = self.connect(call)
        self.assertEqual(transport.ended, "in order")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_without_a_vault_the_reason_is_told(self) -> None:
        failure = Failure(Code.PROFILE_BUSY, "the profile is in use")
        call = FakeCall(self.messenger)

        def refuse(**_: object) -> Any:
            raise failure

        self.patch(call, "conversations", refuse)
        _, transport = self.connect(call)
        self.assertEqual(transport.take()[0]["error"]["data"]["code"], "profile_busy")
        self.assertEqual(transport.ended, "in order")
