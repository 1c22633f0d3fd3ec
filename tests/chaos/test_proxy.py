"""The proxy does to a connection what its fate says, seen from two plain sockets."""

from __future__ import annotations

import socket
from collections.abc import Coroutine
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.proxy import Proxy
from tests.chaos.weather import End, Fate, Way

PATIENCE_SECONDS = 60.0


class ProxyTests(SynchronousTestCase):
    """A client and a server, both of them here."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_SECONDS)
        self.addCleanup(self.listener.close)
        self.proxy = Proxy(self.listener.getsockname()[1])
        self.addCleanup(self.proxy.stop)

    def wire(self, fate: Fate | None = None) -> tuple[socket.socket, socket.socket]:
        """The client's socket and the server's."""
        if fate is not None:
            self.proxy.draw = lambda number: fate
        client = socket.create_connection(("127.0.0.1", self.proxy.port), PATIENCE_SECONDS)
        server, _ = self.listener.accept()
        server.settimeout(PATIENCE_SECONDS)
        for end in (client, server):
            self.addCleanup(end.close)
        return client, server

    def received(self, end: socket.socket) -> tuple[bytes, str]:
        """All that comes, and how it ends."""
        data = b""
        try:
            while piece := end.recv(1_000):
                data += piece
        except ConnectionResetError:
            return data, "reset"
        except TimeoutError:
            return data, "silence"
        return data, "closed"

    def test_without_a_fate_everything_passes_and_an_end_is_an_end(self) -> None:
        client, server = self.wire()
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.received(server), (b"x" * 100_000, "closed"))
        server.sendall(b"y" * 100_000)
        server.close()
        self.assertEqual(self.received(client), (b"y" * 100_000, "closed"))
        self.assertEqual(self.proxy.struck, [])

    def test_it_cuts_after_so_many_bytes_up(self) -> None:
        client, server = self.wire(Fate(End.CUT, Way.UP, 10))
        client.sendall(b"0123456789ab")
        self.assertEqual(self.received(server), (b"0123456789", "closed"))
        self.assertEqual(self.received(client), (b"", "closed"))
        self.assertEqual(self.proxy.struck, ["connection 0: CUT after 10 bytes up"])

    def test_it_counts_the_other_direction_and_resets(self) -> None:
        client, server = self.wire(Fate(End.RESET, Way.DOWN, 0))
        client.sendall(b"all of this")
        self.assertEqual(server.recv(100), b"all of this")
        server.sendall(b"none of this")
        self.assertEqual(self.received(client), (b"", "reset"))
        self.assertEqual(self.received(server), (b"", "reset"))

    def test_in_a_black_hole_nothing_passes_and_nobody_is_told_at_first(self) -> None:
        client, server = self.wire(Fate(End.HOLE_BOTH, Way.UP, 3, silence=60.0))
        client.sendall(b"abcdef")
        self.assertEqual(server.recv(100), b"abc")
        client.sendall(b"more")
        server.sendall(b"answer")
        for end in (client, server):
            end.settimeout(0.3)
            self.assertEqual(self.received(end), (b"", "silence"))

    def test_a_hole_in_one_direction_leaves_the_other_open(self) -> None:
        client, server = self.wire(Fate(End.HOLE_UP, Way.UP, 3, silence=600.0))
        client.sendall(b"abcdef")
        self.assertEqual(server.recv(100), b"abc")
        server.sendall(b"answer")
        self.assertEqual(client.recv(100), b"answer")
        self.proxy.cut()
        self.assertEqual(self.received(client), (b"", "reset"))
        self.assertEqual(self.received(server), (b"", "reset"))

    def test_a_hole_down_cuts_what_the_server_says_and_not_the_client(self) -> None:
        client, server = self.wire(Fate(End.HOLE_DOWN, Way.UP, 3, silence=600.0))
        client.sendall(b"abcdef")
        self.assertEqual(server.recv(3), b"abc")
        self.assertEqual(server.recv(3), b"def")
        server.sendall(b"lost")
        client.settimeout(0.3)
        self.assertEqual(self.received(client), (b"", "silence"))
        client.settimeout(PATIENCE_SECONDS)
        self.proxy.cut()
        self.assertEqual(self.received(client), (b"", "reset"))
        self.assertEqual(self.received(server), (b"", "reset"))

    def test_after_the_silence_both_sides_are_told(self) -> None:
        for end, passed in ((End.HOLE_UP, b""), (End.HOLE_DOWN, b"x"), (End.HOLE_BOTH, b"")):
            with self.subTest(end):
                client, server = self.wire(Fate(end, Way.UP, 0, silence=0.05))
                client.sendall(b"x")
                self.assertEqual(self.received(server), (passed, "reset"))
                self.assertEqual(self.received(client), (b"", "reset"))

    def test_one_side_is_gone_and_the_other_hears_nothing(self) -> None:
        for end, told, untold in ((End.CLIENT_GONE, 0, 1), (End.SERVER_GONE, 1, 0)):
            with self.subTest(end):
                pair = self.wire(Fate(end, Way.UP, 0, silence=60.0))
                pair[0].sendall(b"x")
                self.assertEqual(self.received(pair[told]), (b"", "reset"))
                pair[untold].settimeout(0.3)
                self.assertEqual(self.received(pair[untold]), (b"", "silence"))

    def test_it_dribbles_single_bytes_first(self) -> None:
        """As it writes them: whoever reads slowly gets some of them together."""
        pieces: list[bytes] = []
        send = self.proxy._loop.sock_sendall

        def noted(sink: socket.socket, piece: bytes) -> Coroutine[Any, Any, None]:
            pieces.append(piece)
            return send(sink, piece)

        self.patch(self.proxy._loop, "sock_sendall", noted)
        client, server = self.wire(Fate(dribble=5, delay=0.01))
        client.sendall(b"0123456789")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.received(server), (b"0123456789", "closed"))
        self.assertEqual(pieces, [b"0", b"1", b"2", b"3", b"4", b"56789"])

    def test_it_swallows_on_demand(self) -> None:
        client, server = self.wire()
        client.sendall(b"before")
        self.assertEqual(server.recv(100), b"before")
        self.proxy.swallow(Way.UP)
        server.sendall(b"still passes")
        self.assertEqual(client.recv(100), b"still passes")
        client.sendall(b"swallowed")
        self.proxy.cut()
        self.assertEqual(self.received(server), (b"", "reset"))

    def test_calm_weather_spares_the_connections_that_stand(self) -> None:
        client, server = self.wire(Fate(End.RESET, Way.UP, 10))
        client.sendall(b"0123456789")
        self.assertEqual(server.recv(100), b"0123456789")
        self.proxy.calm()
        again, _ = self.wire()
        again.sendall(b"the loop has turned")
        client.sendall(b"0123456789")
        self.assertEqual(server.recv(100), b"0123456789")

    def test_nobody_behind_it_is_a_reset(self) -> None:
        self.listener.close()
        try:
            client = socket.create_connection(("127.0.0.1", self.proxy.port), PATIENCE_SECONDS)
        except ConnectionResetError:
            outcome = b"", "reset"  # it came before the connection was there
        else:
            self.addCleanup(client.close)
            outcome = self.received(client)
        self.assertEqual(outcome, (b"", "reset"))
