"""The operator's socket: who may ask, how much, for how long, and nobody waits for another."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.admin_requests import (
    REQUEST_BYTES,
    AdminRequest,
    AskStatus,
    ChangeAccount,
    RotateCertificate,
)
from e2ee.server.admin_socket import (
    ASK_SECONDS,
    CONNECTIONS,
    TAKE_SECONDS,
    AdminFactory,
    AdminProtocol,
)


class Transport(StringTransportWithDisconnection):
    """Stays open until it is cut, as one does whose other side does not read."""

    cut = False
    reads = True

    def loseConnection(self) -> None:
        """When what was written has been read."""
        if self.reads:
            super().loseConnection()

    def abortConnection(self) -> None:
        """At once."""
        self.cut = True
        super().loseConnection()


class SocketTests(SynchronousTestCase):
    """Answers `answered`, or waits for it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[AdminRequest] = []
        self.uid: int | None = os.geteuid()
        self.waiting: Deferred[None] | None = None
        self.factory = AdminFactory(self.answer, self.clock, lambda transport: self.uid)

    async def answer(self, request: AdminRequest) -> dict[str, object]:
        self.asked.append(request)
        if self.waiting is not None:
            await self.waiting
        return {"type": "answered"}

    def connect(self) -> tuple[AdminProtocol, Transport]:
        protocol, transport = self.factory.buildProtocol(None), Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport

    def said(self, transport: Transport) -> dict[str, Any]:
        [line] = transport.value().splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, line: bytes) -> dict[str, Any]:
        protocol, transport = self.connect()
        protocol.dataReceived(line + b"\n")
        self.assertFalse(transport.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return self.said(transport)

    def test_one_question_one_answer(self) -> None:
        self.assertEqual(self.ask(b'{"verb": "status"}'), {"type": "answered"})
        self.ask(b'{"verb": "account", "address": "+15550100101", "action": "delete"}')
        self.assertEqual(self.asked, [AskStatus(), ChangeAccount("+15550100101", "delete")])

    def test_whatever_else_is_said_is_not_understood(self) -> None:
        for line in (
            b"", b"{}", b"[]", b"status", b'{"verb": "open"}', b'{"verb": "status", "more": 1}', b"\xff",
            b'{"verb": "\xf3\xf3"}',
            b'{"verb": "account", "address": "+1", "action": "read"}', b'{"verb": "account"}', b"[" * 5000,
            b'{"verb": "accounts", "after": "' + b"1" * 65 + b'"}',
        ):  # fmt: skip
            self.assertEqual(self.ask(line)["code"], "usage", line[:40])
        self.assertEqual(self.asked, [])

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=200).filter(lambda line: b"\n" not in line))
    def test_no_bytes_break_it(self, line: bytes) -> None:
        factory = AdminFactory(self.answer, Clock(), lambda transport: 0)
        protocol, transport = factory.buildProtocol(None), Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(line + b"\n")
        self.assertIn(b'"type"', transport.value())

    def test_a_second_question_is_not_read(self) -> None:
        protocol, _ = self.connect()
        protocol.dataReceived(b'{"verb": "status"}\n{"verb": "check"}\n')
        self.assertEqual(self.asked, [AskStatus()])

    def test_only_this_user_and_root_may_ask(self) -> None:
        for uid, may in ((os.geteuid(), True), (0, True), (None, True), (os.geteuid() + 1, False)):
            self.uid = uid
            _, transport = self.connect()
            self.assertIs(transport.cut, not may, uid)

    def test_a_question_has_a_size(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b"x" * (REQUEST_BYTES + 1))
        self.assertTrue(transport.cut)

    def test_a_question_has_a_time(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b"{")
        self.clock.advance(ASK_SECONDS - 1)
        protocol.dataReceived(b'"verb"')
        self.assertFalse(transport.cut)
        self.clock.advance(1)
        self.assertTrue(transport.cut)

    def test_an_answer_may_take_long_and_be_fetched_slowly_but_not_for_ever(self) -> None:
        self.waiting = Deferred()
        protocol, transport = self.connect()
        transport.reads = False
        protocol.dataReceived(b'{"verb": "status"}\n')
        self.clock.advance(3600)
        self.assertFalse(transport.cut)
        self.waiting.callback(None)
        self.clock.advance(TAKE_SECONDS - 1)
        self.assertFalse(transport.cut)
        self.clock.advance(1)
        self.assertTrue(transport.cut)

    def test_one_that_is_slow_keeps_nobody_waiting(self) -> None:
        slow, _ = self.connect()
        slow.dataReceived(b'{"verb')
        self.waiting = Deferred()
        long, _ = self.connect()
        long.dataReceived(b'{"verb": "check"}\n')
        self.waiting = None
        self.assertEqual(self.ask_beside(), {"type": "answered"})

    def ask_beside(self) -> dict[str, Any]:
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"verb": "status"}\n')
        return self.said(transport)

    def test_there_is_a_bound_of_connections(self) -> None:
        several = [self.connect() for _ in range(CONNECTIONS)]
        _, refused = self.connect()
        self.assertEqual(self.said(refused)["code"], "busy")
        several[0][1].abortConnection()
        self.assertEqual(self.ask_beside(), {"type": "answered"})

    def test_a_defect_is_an_answer_and_a_line_in_the_log_without_its_text(self) -> None:
        async def broken(request: AdminRequest) -> dict[str, object]:
            raise KeyError("a secret")

        self.factory.answer = broken
        answer = self.ask(b'{"verb": "status"}')
        self.assertEqual(answer["code"], "failed")
        self.assertNotIn("secret", json.dumps(answer))

    def test_an_asker_who_leaves_costs_nothing(self) -> None:
        self.waiting = Deferred()
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"verb": "status"}\n')
        transport.abortConnection()
        self.waiting.callback(None)
        self.assertEqual(transport.value(), b"")
        self.assertEqual(self.factory.connections, set())

    def test_no_repr_shows_a_key(self) -> None:
        self.assertNotIn("secret", repr(RotateCertificate("secret")))
