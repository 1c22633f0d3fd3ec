"""What TLS has encrypted leaves at once, in order, as far as the socket takes it; the rest when it does."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from zope.interface import implementedBy, providedBy

from e2ee.net.outlet import Outlet, PromptTLS
from tests.net.conversation import APPLICATION, HANDSHAKE, records
from tests.net.prompt_server import Noted, PromptCase
from tests.net.turning import Heard, MemoryConnection, MemorySocket, Pair


class TurnTests(PromptCase):
    """One turn of the reactor."""

    def test_many_writes_leave_as_one_record_with_one_send_in_order(self) -> None:
        pair = self.house.connect()
        self.write(pair, *(b"%d " % number for number in range(100)))
        self.assertEqual(pair.socket.tries, 0)
        self.reactor.advance(0)
        [sent] = pair.socket.sent
        self.assertEqual(records(sent), [APPLICATION])
        self.reactor.settle()
        self.assertEqual(pair.client.data, b"".join(b"%d " % number for number in range(100)))

    def test_neither_the_handshake_nor_what_fits_needs_a_round_of_the_reactor_on_either_side(self) -> None:
        self.house.clients.protocol = PromptTLS
        pair = Pair(self.reactor, self.house.factory, self.house.clients)
        self.assertEqual(records(pair.socket.arrived), [HANDSHAKE])
        self.reactor.settle()
        self.write(pair, bytes(64_000), b"more")
        pair.client.transport.write(b"some")
        self.reactor.settle()
        self.assertEqual((pair.client.data, pair.server.data), (bytes(64_000) + b"more", b"some"))
        self.assertEqual(self.reactor.asked, [])


class OutletTests(PromptCase):
    """Without TLS: any writes, any sizes."""

    def setUp(self) -> None:
        super().setUp()
        self.socket, self.far = MemorySocket(), MemorySocket()
        self.socket.other = self.far
        self.heard = Heard()
        self.below = MemoryConnection(self.socket, self.heard, self.reactor)
        self.outlet = Outlet(self.below, self.below)

    def test_what_the_socket_does_not_take_follows_in_order_when_it_does(self) -> None:
        self.socket.room = 5
        self.outlet.write(b"some")
        self.assertEqual((self.far.arrived, self.reactor.asked), (b"some", []))
        self.outlet.writeSequence([b"th", b"ing"])
        self.assertEqual((self.far.arrived, self.socket.tries), (b"somet", 2))
        self.socket.room = 2
        self.reactor.settle()
        self.assertEqual((self.far.arrived, self.socket.tries), (b"somethi", 3))
        self.outlet.writeSequence([b" ", b"and"])
        self.outlet.write(b" more")
        self.assertEqual(self.socket.tries, 3)
        self.socket.room = None
        self.reactor.settle()
        self.outlet.write(b".")
        self.assertEqual(self.far.arrived, b"something and more.")

    def test_more_than_64_KiB_that_wait_pause_the_producer_until_all_has_left(self) -> None:
        producer = Noted()
        self.outlet.registerProducer(producer, True)
        self.socket.room = 1_000
        self.outlet.write(bytes(1_000 + 32_768))
        self.outlet.write(bytes(32_768))
        self.assertEqual(producer.told, [])
        self.outlet.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        for room in (65_536, 1):
            self.assertEqual(producer.told, ["pause"])
            self.socket.room = room
            self.reactor.settle()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(self.far.arrived, bytes(66_536) + b"x")

    def test_it_provides_what_the_transport_below_provides(self) -> None:
        implementedBy(Outlet)  # with which zope.interface asks no instance's `__getattr__` any more
        self.assertEqual(list(providedBy(self.outlet)), list(providedBy(self.below)))
        self.assertFalse(self.outlet.disconnecting)

    def test_one_half_made_has_nothing_below(self) -> None:
        self.assertRaises(AttributeError, getattr, Outlet.__new__(Outlet), "write_to_nobody")


class EndTests(PromptCase):
    """Ends of connections that have written."""

    def test_what_was_written_arrives_before_an_orderly_end(self) -> None:
        for room in (None, 7):
            pair = self.house.connect()
            pair.socket.room = room
            self.write(pair, b"first", b"last")
            pair.server.transport.loseConnection()
            self.write(pair, b"too late")
            if room is None:
                self.assertEqual([records(sent) for sent in pair.socket.sent], [[APPLICATION]] * 2)
            self.reactor.settle()
            pair.socket.room = None
            self.reactor.settle()
            self.assertEqual(pair.client.data, b"firstlast")
            for end in (pair.server, pair.client):
                [reason] = end.reasons
                reason.trap(ConnectionDone)

    def test_once_the_socket_ends_the_reactor_sends_what_is_left(self) -> None:
        """A descriptor that ends says so in what `doWrite` returns: it must be the reactor who hears that."""
        pair = self.house.connect()
        self.write(pair, b"last")
        pair.descriptor.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(pair.socket.tries, 0)
        self.reactor.settle()
        self.assertEqual((pair.client.data, len(pair.server.reasons)), (b"last", 1))

    def test_an_abort_drops_what_has_not_left_and_says_no_farewell(self) -> None:
        for room, with_producer in ((None, False), (None, True), (0, False), (9, True)):
            pair = self.house.connect()
            if with_producer:
                self.produce(pair)
            self.write(pair, b"never")
            if room is not None:
                pair.socket.room = room
                self.reactor.advance(0)
                pair.socket.room = None
            self.house.forget(pair)
            pair.server.transport.abortConnection()
            self.write(pair, b"and more")
            self.reactor.settle()
            self.assertEqual((pair.socket.tries, pair.client.data, len(pair.server.reasons)), (0, b"", 1))
            [reason] = pair.client.reasons
            reason.trap(ConnectionLost)

    def test_nothing_is_sent_on_a_connection_that_was_lost_in_between(self) -> None:
        pair = self.house.connect()
        self.write(pair, b"into the void")
        pair.socket.ended = True
        self.reactor.poll()
        self.write(pair, b"and more")
        self.reactor.settle()
        self.assertEqual((len(pair.server.reasons), pair.socket.tries), (1, 0))


class ResetTests(PromptCase):
    """A reset that a prompt send meets."""

    def meet(self, pair: Pair) -> None:
        self.write(pair, b"into the void")
        pair.socket.reset = True
        self.reactor.advance(0)
        self.assertEqual((pair.socket.tries, pair.server.reasons), (1, []))

    def test_it_ends_the_connection_once_as_a_loss(self) -> None:
        pair = self.house.connect()
        self.meet(pair)
        self.write(pair, b"and more")
        self.reactor.advance(0)
        self.assertEqual(pair.socket.tries, 1)
        self.reactor.settle()
        [reason] = pair.server.reasons
        reason.trap(ConnectionLost)

    def test_it_does_so_although_nobody_reads_from_it(self) -> None:
        pair = self.house.connect()
        pair.descriptor.pauseProducing()
        self.meet(pair)
        self.reactor.settle()
        [reason] = pair.server.reasons
        reason.trap(ConnectionLost)

    def test_what_had_arrived_before_it_is_heard(self) -> None:
        pair = self.house.connect()
        pair.descriptor.pauseProducing()
        pair.client.transport.write(b"farewell")
        self.reactor.poll()
        pair.descriptor.resumeProducing()
        self.meet(pair)
        self.reactor.settle()
        self.assertEqual((pair.server.data, len(pair.server.reasons)), (b"farewell", 1))


class SlowPeerTests(PromptCase):
    """A peer that does not read."""

    def test_a_full_socket_is_tried_once_and_then_the_reactors(self) -> None:
        pair = self.house.connect()
        pair.socket.room = 0
        for number in range(5):
            self.write(pair, b"%d" % number)
            self.reactor.advance(0)
        self.assertEqual(pair.socket.tries, 1)
        pair.socket.room = None
        self.reactor.settle()
        self.assertEqual(pair.client.data, b"01234")

    def test_the_handshake_may_leave_in_parts(self) -> None:
        pair = Pair(self.reactor, self.house.factory, self.house.clients)
        self.write(pair, b"hasty")
        for _ in range(100):
            pair.socket.room = 30
            self.reactor.settle()
        self.assertEqual(pair.client.data, b"hasty")

    def test_its_producer_is_paused_and_later_all_of_it_arrives_in_order(self) -> None:
        pair = self.house.connect()
        producer = self.produce(pair)
        pair.socket.room = 1_000
        parts = [bytes([number]) * 20_000 for number in range(20)]
        for part in parts:
            self.write(pair, part)
            self.reactor.settle()
        self.assertEqual(producer.told[0], "pause")
        self.assertNotIn("resume", producer.told)
        for _ in range(500):
            pair.socket.room = 1_000
            self.reactor.settle()
        self.assertEqual(producer.told[-1], "resume")
        self.assertEqual(pair.client.data, b"".join(parts))

    def test_a_producer_that_is_resumed_may_write_or_end_it(self) -> None:
        for end in (False, True):
            pair = self.house.connect()
            producer, more = self.produce(pair), [bytes(140_000)] * 3

            def go_on(pair: Pair = pair, more: list[bytes] = more, end: bool = end) -> None:
                if more:
                    pair.socket.room = 70_000
                    self.write(pair, more.pop())
                elif end:
                    pair.server.transport.unregisterProducer()
                    pair.server.transport.loseConnection()

            producer.on_resume = go_on
            pair.socket.room = 0
            self.write(pair, b"x" * 80_000)
            for _ in range(10):
                self.reactor.settle()
                pair.socket.room = None
            self.assertEqual(pair.client.data, b"x" * 80_000 + bytes(420_000))
            self.assertEqual((producer.told.count("resume") > 3, len(pair.server.reasons)), (True, int(end)))
