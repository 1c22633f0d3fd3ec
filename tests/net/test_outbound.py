"""What the other side does not take: a server stops reading from it, and ends it in the end."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.deadlines import Overstay
from e2ee.net.outbound import TRANSPORT_BUFFER_BYTES, Outbound
from e2ee.wire import limits
from e2ee.wire import messages as m
from tests.net.conversation import NUMBER, ConversationCase, envelope


class BackpressureTests(ConversationCase):
    """A server does not read from a client that does not read, and ends it after 90 seconds."""

    def fill(self) -> Callable[[], bool]:
        """A client that does not read, with more than UNSENT_BYTES waiting for it."""
        self.conversation.log_in()
        self.conversation.wire.server.stalled = True
        server = self.conversation.server.latest
        for number in (1, 2, 3):
            server.send(envelope(number))
            self.network.settle()
        return lambda: self.conversation.wire.server.reading

    def test_it_is_not_read_from(self) -> None:
        reading = self.fill()
        self.assertFalse(reading())

    def test_it_is_read_from_again_when_it_has_read(self) -> None:
        reading = self.fill()
        self.conversation.wire.server.stalled = False
        self.network.settle()
        self.assertTrue(reading())
        for _ in range(3):
            self.network.settle(limits.UNREAD_SECONDS / 2)
        self.assertEqual(self.conversation.handler.reasons, [])

    def test_it_is_cut_after_90_seconds(self) -> None:
        self.fill()
        self.network.settle(limits.UNREAD_SECONDS - 0.01)
        self.assertEqual(self.conversation.server.handler.reasons, [])
        self.network.settle(0.01)
        [reason] = self.conversation.server.handler.reasons
        self.assertIn("does not read", reason.sentence)
        self.assertIs(self.conversation.server.latest.overstay, Overstay.UNREAD)

    def test_nor_is_more_handed_on_of_what_has_come_already(self) -> None:
        """A client that asks for much at once and reads nothing costs the server no more than the limit."""
        client = self.conversation.log_in()
        wire, server = self.conversation.wire, self.conversation.server
        before, answer = len(server.handler.messages), b"x" * 30 * 1024

        def received(message: m.Message) -> None:
            server.handler.messages.append(message)
            assert isinstance(message, m.LookUp)
            server.latest.send(m.LookedUp(message.n, answer))

        server.handler.received = received  # type: ignore[method-assign]
        wire.server.stalled = True
        for _ in range(100):
            client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        handed_on = len(server.handler.messages) - before
        self.assertLessEqual((handed_on - 1) * len(answer), limits.UNSENT_BYTES + TRANSPORT_BUFFER_BYTES)
        wire.server.stalled = False
        self.network.settle()
        self.assertEqual(len(server.handler.messages) - before, 100)

    def test_what_is_full_again_before_its_turn_is_not_read_from(self) -> None:
        self.fill()
        server, resumed = self.conversation.server.latest, []
        self.patch(server.transport, "resumeProducing", lambda: resumed.append(True))
        server.outbound.resumeProducing()
        server.outbound.pauseProducing()
        server.outbound.more(limits.UNSENT_BYTES)
        self.network.settle()
        self.assertEqual(resumed, [])
        server.outbound.resumeProducing()
        self.network.settle()
        self.assertEqual(resumed, [True])

    def test_a_client_always_reads(self) -> None:
        client = self.conversation.log_in()
        self.conversation.wire.client.stalled = True
        for number in (11, 12, 13):
            client.send(m.Send(number, NUMBER, b"h" * 32, None, b"x" * 90 * 1024, b"s" * 40))
            self.network.settle()
        self.assertTrue(self.conversation.wire.client.reading)

    def test_256_unanswered_requests_pause_reading_until_one_is_answered(self) -> None:
        client = self.conversation.log_in()
        handler, server = self.conversation.server.handler, self.conversation.server.latest
        before = len(handler.messages)
        for _ in range(limits.REQUESTS_IN_FLIGHT + 3):
            client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        self.assertEqual(len(handler.messages) - before, limits.REQUESTS_IN_FLIGHT)
        self.assertFalse(self.conversation.wire.server.reading)
        for number in range(3, 3 + limits.REQUESTS_IN_FLIGHT):
            server.send(m.LookedUp(number, b"statement"))
        self.network.settle()
        self.assertEqual(len(handler.messages) - before, limits.REQUESTS_IN_FLIGHT + 3)
        self.assertTrue(self.conversation.wire.server.reading)


class OutboundTests(SynchronousTestCase):
    """How unsent bytes are counted."""

    def test_both_sides_of_the_limit(self) -> None:
        outbound = Outbound(lambda: None)
        outbound.pauseProducing()
        outbound.more(limits.UNSENT_BYTES - TRANSPORT_BUFFER_BYTES)
        self.assertFalse(outbound.full)
        outbound.more(1)
        self.assertTrue(outbound.full)
        outbound.resumeProducing()
        self.assertFalse(outbound.full)

    def test_what_waits_already_counts_when_the_transport_says_again_that_it_is_full(self) -> None:
        outbound = Outbound(lambda: None)
        outbound.pauseProducing()
        outbound.more(limits.UNSENT_BYTES)
        outbound.more(1)
        outbound.pauseProducing()
        self.assertTrue(outbound.full)

    def test_there_is_room_at_once_or_when_all_was_taken_or_when_nothing_will_be(self) -> None:
        outbound = Outbound(lambda: None)
        self.assertTrue(outbound.room().called)
        for over in (outbound.resumeProducing, outbound.stopProducing):
            outbound.pauseProducing()
            waiting = outbound.room()
            self.assertFalse(waiting.called)
            over()
            self.assertTrue(waiting.called)
