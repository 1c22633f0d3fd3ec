"""No server, or one that goes away: not a matter of trust."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code
from tests.net.conversation import PORT, Conversation


class UnreachableTests(SynchronousTestCase):
    """No server, or one that goes away: exit 3, not a matter of trust."""

    def assert_unreachable(self, conversation: Conversation, words: str) -> None:
        failure = conversation.refused()
        self.assertEqual(failure.code, Code.UNREACHABLE)
        self.assertIn(words, failure.sentence)
        self.assertEqual(conversation.handler.reasons, [])

    def test_nobody_listens(self) -> None:
        conversation = Conversation()
        conversation.network.ports.clear()
        self.assert_unreachable(conversation, "nothing listens there")

    def test_an_unknown_name(self) -> None:
        self.assert_unreachable(Conversation(host="nowhere.example.org"), "name was not found")

    def test_an_end_before_the_handshakes(self) -> None:
        conversation = Conversation()

        class Goodbye(Protocol):
            transport: Any

            def dataReceived(self, data: bytes) -> None:
                self.transport.loseConnection()

        conversation.listen(Factory.forProtocol(Goodbye))
        self.assert_unreachable(conversation, "ended before its handshake")

    def give_up_after(self, conversation: Conversation, seconds: float) -> None:
        """Not one moment earlier."""
        failures: list[Any] = []
        connecting: Deferred[Any] = conversation.connect(timeout=seconds)
        connecting.addErrback(failures.append)
        conversation.network.settle(seconds - 0.01)
        self.assertEqual(failures, [])
        conversation.network.settle(0.01)
        self.assertEqual(failures[0].value.code, Code.UNREACHABLE)
        conversation.network.settle(60)
        self.assertEqual(conversation.network.getDelayedCalls(), [])

    def test_no_answer_to_tcp(self) -> None:
        conversation = Conversation()
        conversation.network.black_holes.add(PORT)
        self.give_up_after(conversation, 4.0)

    def test_no_answer_to_tls(self) -> None:
        conversation = Conversation()
        conversation.listen(Factory.forProtocol(Protocol))
        self.give_up_after(conversation, 4.0)

    def test_the_handshake_itself_has_ten_seconds(self) -> None:
        conversation = Conversation()
        conversation.listen(Factory.forProtocol(Protocol))
        failures: list[Any] = []
        conversation.connect(timeout=60).addErrback(failures.append)
        conversation.network.settle(9.99)
        self.assertEqual(failures, [])
        conversation.network.settle(0.01)
        self.assertEqual(failures[0].value.code, Code.UNREACHABLE)

    def test_cancelling_ends_the_attempt(self) -> None:
        conversation = Conversation()
        conversation.listen(Factory.forProtocol(Protocol))
        connecting = conversation.connect()
        connecting.cancel()
        conversation.network.settle()
        self.failureResultOf(connecting)
        self.assertEqual(conversation.network.getDelayedCalls(), [])
