"""MessageProtocol: what a handler is given, and every way to end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code
from e2ee.net import protocol as protocol_module
from e2ee.net.deadlines import Overstay
from e2ee.net.protocol import MessageProtocol
from e2ee.wire import codec, limits
from e2ee.wire import messages as m
from e2ee.wire.connection import ServerConnection
from e2ee.wire.framing import frame
from e2ee.wire.phases import Phase
from e2ee.wire.violations import OutOfTurn, ProtocolViolation
from tests.net.conversation import NUMBER, Conversation, ConversationCase, envelope


class MessageTests(ConversationCase):
    """What a handler is given."""

    def test_nothing_is_sent_before_the_handshake(self) -> None:
        protocol = MessageProtocol(ServerConnection(), self.network, self.conversation.handler)
        self.assertRaises(OutOfTurn, protocol.send, m.Drained())

    def test_no_message_waits_for_the_acknowledgement_of_the_one_before(self) -> None:
        """Without Nagle's algorithm, on both sides and from the beginning."""
        self.conversation.connect()
        wire = self.conversation.wire
        self.assertTrue(wire.client.getTcpNoDelay() and wire.server.getTcpNoDelay())

    def test_a_ping_is_answered_without_the_handler(self) -> None:
        client = self.conversation.log_in()
        before = len(self.conversation.server.handler.messages)
        client.send(m.Ping(client.next_number()))
        self.network.settle()
        self.assertEqual(len(self.conversation.server.handler.messages), before)
        self.assertFalse(any(isinstance(each, m.Pong) for each in self.conversation.handler.messages))

    def test_what_is_illegal_is_not_sent(self) -> None:
        client = self.conversation.open()
        self.assertRaises(OutOfTurn, client.send, m.LookUp(1, NUMBER))
        self.assertRaises(OutOfTurn, client.next_push)
        self.assertRaises(OutOfTurn, self.conversation.server.latest.next_number)

    def test_what_is_sent_after_the_end_goes_nowhere(self) -> None:
        client = self.conversation.log_in()
        client.close()
        client.send(m.LookUp(9, NUMBER))
        self.network.settle()
        client.send(m.LookUp(9, NUMBER))
        self.assert_over()

    def test_byte_by_byte_on_the_wire(self) -> None:
        client = self.conversation.log_in()
        hold = self.network.wires[-1].client
        client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.advance(0)
        sent = bytes(hold.waiting)
        hold.waiting.clear()
        for byte in sent:
            self.conversation.wire.server.protocol.dataReceived(bytes([byte]))
        self.assertEqual(self.conversation.server.handler.messages[-1], m.LookUp(3, NUMBER))


class ViolationTests(ConversationCase):
    """A malformed frame gets one Refused, then the end, and never a traceback."""

    def assert_refused(self, data: bytes, code: m.RefusalCode) -> None:
        client = self.conversation.log_in()
        processed = len(self.conversation.server.handler.messages)
        self.raw(client, data + frame(b"\x92\xa4ping\x63"))
        [refused] = self.last_words()
        self.assertEqual((refused.n, refused.code), (None, code))
        self.assertEqual(len(self.conversation.server.handler.messages), processed)
        self.assert_over()
        self.assertEqual(self.conversation.server.handler.reasons[0].code, Code.FAILED)

    def test_malformed(self) -> None:
        self.assert_refused(frame(b"\xc1"), m.RefusalCode.MALFORMED)

    def test_illegal(self) -> None:
        self.assert_refused(frame(b"\x94\xa2hi\x09\x91\x01\x90"), m.RefusalCode.ILLEGAL)

    def test_too_large(self) -> None:
        self.assert_refused(b"\xff\xff\xff\xff", m.RefusalCode.FRAME_TOO_LARGE)
        self.assertIs(self.conversation.server.latest.overstay, Overstay.FRAME)

    def test_a_violation_that_the_handler_finds(self) -> None:
        client = self.conversation.log_in()

        def received(message: m.Message) -> None:
            raise ProtocolViolation(m.RefusalCode.MALFORMED, "a part of it is wrong")

        self.conversation.server.handler.received = received  # type: ignore[method-assign]
        client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        self.assertEqual([each.code for each in self.last_words()], [m.RefusalCode.MALFORMED])
        self.assert_over()

    def test_a_violation_that_is_found_after_the_end_changes_nothing(self) -> None:
        client = self.conversation.log_in()
        server = self.conversation.server

        def received(message: m.Message) -> None:
            server.latest.close(m.RefusalCode.DISPLACED, "a newer connection")
            raise ProtocolViolation(m.RefusalCode.FRAME_TOO_LARGE, "and it is wrong")

        server.handler.received = received  # type: ignore[method-assign]
        client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        self.assertEqual([each.code for each in self.last_words()], [m.RefusalCode.DISPLACED])
        self.assertIsNone(server.latest.overstay)
        self.assertNotIn("broke the protocol", server.handler.reasons[0].sentence)

    def test_nothing_behind_the_message_that_ends_it_is_handed_on(self) -> None:
        client = self.conversation.log_in()
        server, taken = self.conversation.server, []

        def received(message: m.Message) -> None:
            taken.append(message)
            server.latest.close(m.RefusalCode.DISPLACED, "a newer connection")

        server.handler.received = received  # type: ignore[method-assign]
        for _ in range(3):
            client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        self.assertEqual(len(taken), 1)
        self.assert_over()

    def test_what_comes_while_a_message_is_handled_waits_for_its_turn(self) -> None:
        client = self.conversation.log_in()
        server, steps = self.conversation.server, []
        client.send(m.LookUp(client.next_number(), NUMBER))

        def received(message: m.Message) -> None:
            assert isinstance(message, m.LookUp)
            steps.append(f"begin {message.n}")
            if message.n == 3:
                # A transport may deliver from within a write.
                server.latest.dataReceived(frame(codec.encode(m.LookUp(4, NUMBER))))
            steps.append(f"end {message.n}")

        server.handler.received = received  # type: ignore[method-assign]
        self.network.settle()
        self.assertEqual(steps, [f"{step} {n}" for n in (3, 4) for step in ("begin", "end")])

    def test_a_defect_in_the_handler_costs_this_connection_only(self) -> None:
        client = self.conversation.log_in()

        def received(message: m.Message) -> None:
            raise KeyError("a defect")

        self.conversation.server.handler.received = received  # type: ignore[method-assign]
        client.send(m.LookUp(client.next_number(), NUMBER))
        self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assert_over()

    def test_a_server_that_breaks_the_protocol(self) -> None:
        self.conversation.log_in()
        self.conversation.server.latest.transport.write(frame(b"\xc1"))
        self.network.settle()
        self.assert_over("broke the protocol")
        self.assertEqual(self.conversation.handler.reasons[0].code, Code.FAILED)

    def test_a_peer_that_does_not_close_is_cut_after_five_seconds(self) -> None:
        client = self.conversation.log_in()
        self.network.wires[-1].server.stalled = True
        self.raw(client, frame(b"\xc1"))
        self.network.settle(limits.CLOSE_SECONDS - 0.01)
        self.assertEqual(self.conversation.server.handler.reasons, [])
        self.network.settle(0.01)
        self.assert_over()


class EndTests(ConversationCase):
    """The ends that are meant."""

    def test_a_server_closes_with_a_last_word(self) -> None:
        self.conversation.log_in()
        self.conversation.server.latest.close(m.RefusalCode.DISPLACED, "a newer connection")
        self.network.settle()
        self.assertEqual(self.last_words(), [m.Refused(None, m.RefusalCode.DISPLACED, "a newer connection")])
        # At once: both sides close in good order, and nothing had to be cut.
        self.assertEqual(len(self.conversation.server.handler.reasons), 1)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assert_over()

    def test_what_was_sent_before_a_close_arrives(self) -> None:
        self.conversation.log_in()
        server = self.conversation.server.latest
        server.send(envelope(1))
        server.send(m.Drained())
        server.close()
        self.network.settle()
        self.assertEqual(self.conversation.handler.messages[-2:], [envelope(1), m.Drained()])
        self.assert_over()

    def test_after_a_close_nothing_is_processed(self) -> None:
        client = self.conversation.log_in()
        processed = list(self.conversation.server.handler.messages)
        client.send(m.LookUp(client.next_number(), NUMBER))
        self.conversation.server.latest.close(m.RefusalCode.DISPLACED, "a newer connection")
        self.network.settle()
        self.assertEqual(self.conversation.server.handler.messages, processed)
        self.assert_over()

    def test_a_reached_purpose_closes_both_ends(self) -> None:
        client = self.conversation.open()
        client.send(m.Hello(1, (1,), ()))
        self.network.settle()
        self.conversation.server.latest.send(m.Welcome(1, 1, (), b"p" * 32))
        self.network.settle()
        client.send(m.RequestCode(2, NUMBER))
        self.network.settle()
        self.conversation.server.latest.send(m.CodeRequested(2, b"s" * 16, 600.0))
        self.network.settle()
        self.assertEqual(client.phase, Phase.CLOSING)
        self.assertEqual(self.conversation.handler.messages[-1], m.CodeRequested(2, b"s" * 16, 600.0))
        self.assert_over("has ended")

    def test_an_abort_drops_what_has_not_left(self) -> None:
        client = self.conversation.log_in()
        processed = list(self.conversation.server.handler.messages)
        client.send(m.LookUp(client.next_number(), NUMBER))
        client.abort()
        client.abort()
        self.network.settle()
        self.assertEqual(self.conversation.server.handler.messages, processed)
        self.assert_over()

    def test_a_cut_wire(self) -> None:
        self.conversation.log_in()
        self.conversation.wire.cut()
        self.assert_over("has ended")
        self.assertEqual(self.conversation.handler.reasons[0].code, Code.UNREACHABLE)

    def test_each_end_in_each_phase_leaves_nothing_behind(self) -> None:
        for end in ("close", "abort"):
            for steps in (Conversation.open, Conversation.log_in):
                for whose in ("client", "server"):
                    conversation = Conversation()
                    client = steps(conversation)
                    getattr(client if whose == "client" else conversation.server.latest, end)()
                    conversation.network.settle(limits.CLOSE_SECONDS)
                    self.assertEqual(len(conversation.handler.reasons), 1)
                    self.assertEqual(len(conversation.server.handler.reasons), 1)
                    self.assertEqual(conversation.network.getDelayedCalls(), [])


class LogTests(SynchronousTestCase):
    """A client logs that the key exchange fell back; a server, whose log anybody could fill so, counts it."""

    def test_another_group(self) -> None:
        conversation = Conversation()
        self.patch(MessageProtocol, "_log", log := _Log())
        conversation.open()
        self.assertEqual(log.events, [])
        self.patch(protocol_module, "EXPECTED_GROUP", "another")
        conversation.open()
        self.assertEqual(log.events, ["X25519MLKEM768"])


class _Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def warn(self, text: str, group: str) -> None:
        self.events.append(group)
