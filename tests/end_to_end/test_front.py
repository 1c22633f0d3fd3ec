"""A server behind a front that speaks the PROXY protocol, as `--listen haproxy:…` makes it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.counters import Limit
from e2ee.server.policy import FRONT_WAITING_CONNECTIONS
from e2ee.wire.limits import LOGIN_SECONDS
from examples.stage import PATIENCE_SECONDS, wait_until
from tests.end_to_end.household import ALICE, BOB, Household
from tests.end_to_end.test_open_files import free_port

LIMIT = 2


class FrontedHousehold(Household):
    """The server listens for the front; clients come through `front`."""

    def listen(self) -> str:
        """Behind a front."""
        return f"haproxy:tcp:{self.port}:interface=127.0.0.1"


class Front:
    """A front on a port of its own, which passes everything on behind a PROXY header, version 1."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody comes through any more."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = through(self._server, "203.0.113.9")
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def through(port: int, address: str) -> socket.socket:
    """A connection to the server that its front says is from this address."""
    kind, own = ("TCP6", "2001:db8::1") if ":" in address else ("TCP4", "198.51.100.1")
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
    connection.sendall(f"PROXY {kind} {address} {own} 40000 8443\r\n".encode())
    return connection


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


class FrontTests(SynchronousTestCase):
    """docs/limits.md: a source is what the front says."""

    def setUp(self) -> None:
        limits = self.mktemp()
        with open(limits, "w") as file:
            file.write(f"[limits]\nconnections_before_login = {LIMIT}\n")
        self.metrics = free_port()
        metrics = f"tcp:{self.metrics}:interface=127.0.0.1"
        self.house = FrontedHousehold("--config", limits, "--metrics", metrics)
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()

    @contextmanager
    def waiting(self, address: str) -> Iterator[socket.socket]:
        """Somebody who has begun a handshake and goes no further."""
        with closing(through(self.house.port, address)) as connection:
            connection.sendall(b"\x16\x03\x01")
            yield connection

    def is_turned_away(self, connection: socket.socket, patience: float) -> bool:
        connection.settimeout(patience)
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def test_messages_come_through_it(self) -> None:
        front = Front(self.house.port)
        self.addCleanup(front.close)
        link = self.link.replace(f":{self.house.port}/", f":{front.port}/")
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, link, address)
        self.assertEqual(self.house.do("alice", "send", BOB, "-m", "through the front").status, 0)
        received = self.house.do("bob", "receive", "--json").objects
        self.assertIn("through the front", [one.get("text") for one in received])

    def test_one_source_takes_no_place_of_another(self) -> None:
        self.oldest_of_three_makes_room(*["192.0.2.{}1"] * 3, other="192.0.2.{}2")

    def test_addresses_of_one_ipv6_network_are_one_source(self) -> None:
        self.oldest_of_three_makes_room(
            "2001:db8:{}:2::1", "2001:db8:{}:2:9::2", "2001:db8:{}:2::3", other="2001:db8:{}:3::1"
        )

    def test_those_who_send_nothing_make_room_for_each_other(self) -> None:
        """They are counted long before their time is over."""
        sample, more = f'e2ee_limits_hit_total{{limit="{Limit.FRONT_WAITING.value}"}}', 20
        with ExitStack() as stack:
            for _ in range(FRONT_WAITING_CONNECTIONS + more):
                stack.enter_context(closing(through(self.house.port, "192.0.2.1")))
            wait_until("the oldest are cut", lambda: f"{sample} {more}.0\n" in self.page())

    def page(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as page:
            return str(page.read().decode())

    def oldest_of_three_makes_room(self, *addresses: str, other: str) -> None:
        """And nobody else does, least of all a source that has done nothing."""
        for number in range(1, 6):
            began = time.monotonic()
            gone = self.who_goes(*(each.format(number) for each in (*addresses, other)))
            if time.monotonic() - began < LOGIN_SECONDS:
                break  # else it took so long that the time of all of them was over
        self.assertEqual(gone, [True, False, False, False])

    def who_goes(self, oldest: str, second: str, third: str, other: str) -> list[bool]:
        """Of four who wait; the third comes last."""
        with ExitStack() as stack:
            coming = (oldest, second, other, third)
            first, *stay = (stack.enter_context(self.waiting(each)) for each in coming)
            turned_away = self.is_turned_away(first, PATIENCE_SECONDS)
            return [turned_away, *(self.is_turned_away(each, 0.05) for each in stay)]
