"""Floods of handshakes that never log in, and of logins that are wrong: docs/limits.md.

Over real TLS in memory. Honest people come from other sources and from the flood's own, and are served
in the middle of it; each connection that a limit ends is counted.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol

from e2ee.ids import Address
from e2ee.server import admission
from e2ee.server.counters import Limit
from e2ee.server.policy import Policy
from e2ee.store.server.ports import Account
from e2ee.wire import messages as m
from e2ee.wire.limits import CLOSE_SECONDS, LOGIN_SECONDS
from tests.server.hostile import Stranger
from tests.server.test_connection import PORT
from tests.server.test_hostile_input import PhaseCase
from tests.server.town import ALICE, BOB

OF_ONE_SOURCE = 8
FLOOD = 40
HONEST_SOURCE = "192.0.2.7"
FLOODER = "198.51.100.1"


class FloodCase(PhaseCase):
    """Who floods comes from the addresses that `flood` is told."""

    policy = Policy(connections_before_login=OF_ONE_SOURCE)

    def flood(self, come: Callable[[], Stranger], sources: int = 1) -> list[Stranger]:
        """So many strangers in a row, from so many sources in turn."""
        strangers = []
        for number in range(FLOOD):
            self.network.client_address = f"198.51.100.{1 + number % sources}"
            strangers.append(come())
        self.network.client_address = HONEST_SOURCE
        return strangers

    def hits(self, limit: Limit) -> int:
        """How often it was counted."""
        return self.town.rooms.counters.limits[limit]

    def assert_gone(self, strangers: list[Stranger]) -> None:
        """None of them is connected, and none is counted as waiting."""
        self.assertTrue(all(one.over for one in strangers))
        self.assertEqual((len(self.town.rooms.admission), self.town.rooms.admission.waiting), (0, 0))
        self.check()


class HandshakeTests(FloodCase):
    """TLS is done, and then nothing is said."""

    def test_one_source_has_its_number_of_places_and_keeps_nobody_out(self) -> None:
        strangers = self.flood(self.stranger)
        self.assertEqual([one.over for one in strangers], [True] * 32 + [False] * OF_ONE_SOURCE)
        self.assertEqual({one.last_word for one in strangers[:32]}, {m.RefusalCode.BUSY})
        self.assertEqual(self.hits(Limit.CONNECTIONS_BEFORE_LOGIN), 32)
        self.honest_people_talk()
        self.assertEqual(self.hits(Limit.CONNECTIONS_BEFORE_LOGIN), 32)
        self.assertEqual(self.town.rooms.admission.waiting, OF_ONE_SOURCE)
        self.network.settle(LOGIN_SECONDS)
        self.assertEqual(self.hits(Limit.LOGIN_SECONDS), OF_ONE_SOURCE)
        self.assert_gone(strangers)

    def test_honest_people_of_the_same_source_are_let_in_as_well(self) -> None:
        """Behind one address with the flood: the newest is not who makes room."""
        self.flood(self.stranger)
        self.network.client_address = FLOODER
        self.honest_people_talk()
        self.assertEqual(self.town.rooms.counters.logins, 2)

    def test_many_sources_have_their_ten_seconds_and_not_more(self) -> None:
        strangers = self.flood(self.stranger, sources=FLOOD)
        self.honest_people_talk()
        self.network.settle(LOGIN_SECONDS - 0.01)
        self.assertFalse(any(one.over for one in strangers))
        self.assertEqual(self.hits(Limit.LOGIN_SECONDS), 0)
        self.network.settle(0.01)
        self.assertEqual({one.last_word for one in strangers}, {m.RefusalCode.TIMEOUT})
        self.assertEqual(
            (self.hits(Limit.LOGIN_SECONDS), self.hits(Limit.CONNECTIONS_BEFORE_LOGIN)), (FLOOD, 0)
        )
        self.assert_gone(strangers)
        counters = self.town.rooms.counters
        self.assertEqual((counters.connections, counters.handshakes), (FLOOD + 2, FLOOD + 2))
        self.assertEqual(counters.logins, 2)

    def test_those_who_never_begin_a_handshake_have_ten_seconds_as_well(self) -> None:
        factory = ClientFactory()
        factory.noisy = False
        factory.protocol = Protocol
        for _ in range(OF_ONE_SOURCE):
            self.network.connectTCP("127.0.0.1", PORT, factory)
        self.network.settle()
        self.network.settle(LOGIN_SECONDS - 0.01)
        waiting = self.town.rooms.admission
        self.assertEqual((self.hits(Limit.LOGIN_SECONDS), len(waiting)), (0, OF_ONE_SOURCE))
        self.network.settle(0.01)
        self.assertEqual((self.hits(Limit.LOGIN_SECONDS), len(waiting)), (OF_ONE_SOURCE, 0))
        self.assertEqual(self.town.rooms.counters.handshakes, 0)

    def test_who_is_turned_away_and_stays_is_cut_when_there_are_too_many(self) -> None:
        """Its end is one of our open files until it takes our last word."""
        self.patch(admission, "LEAVING_CONNECTIONS", 5)

        def deaf() -> Stranger:
            stranger = self.stranger()
            self.network.wires[-1].server.stalled = True
            return stranger

        strangers = self.flood(deaf)
        standing = [one for one in strangers if not one.over]
        self.assertEqual(standing, strangers[-(OF_ONE_SOURCE + 5) :])
        self.honest_people_talk()
        self.network.settle(LOGIN_SECONDS)
        self.network.settle(CLOSE_SECONDS)
        self.assert_gone(strangers)


class LoginTests(FloodCase):
    """A signature costs a handshake of its own, one look for the account, and one verification."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[Address] = []
        self.gate: Deferred[None] | None = None
        find = self.town.accounts.find

        async def noted(address: Address) -> Account | None:
            self.asked.append(address)
            if self.gate is not None and address not in self.town.devices:
                await self.gate
            return await find(address)

        self.patch(self.town.accounts, "find", noted)

    def wrong_signature(self) -> Stranger:
        """Of Bob's own device, made by somebody else."""
        return self.logging_in(BOB, bytes(self.town.devices[BOB].device))

    def unknown_account(self) -> Stranger:
        """A number that nobody has, a new one each time."""
        return self.logging_in(Address(f"+1555{2_000_000 + len(self.asked):07d}"), b"device 8")

    def logging_in(self, address: Address, device: bytes) -> Stranger:
        stranger = self.in_greeted()
        signature = self.town.devices[ALICE].sign_login(stranger.exporter)
        self.says(stranger, m.LogIn(91, str(address), device, signature))
        return stranger

    def test_each_is_refused_at_once_counted_and_forgotten(self) -> None:
        for come in (self.wrong_signature, self.unknown_account):
            for sources in (1, FLOOD):
                counters, before = self.town.rooms.counters, len(self.asked)
                counters.refusals.clear()
                strangers = self.flood(come, sources)
                refused = ("login", m.RefusalCode.LOGIN_REFUSED)
                self.assertEqual(counters.refusals, {refused: FLOOD})
                self.assertEqual(len(self.asked) - before, FLOOD)
                self.assertEqual(self.hits(Limit.CONNECTIONS_BEFORE_LOGIN), 0)
                self.assert_gone(strangers)
                self.honest_people_talk()

    def test_who_is_there_already_is_not_displaced_by_it(self) -> None:
        bob, alice = self.log_in(self.town.devices[BOB]), self.log_in(self.town.devices[ALICE])
        self.flood(self.wrong_signature)
        self.ask(alice, self.town.send(BOB, b"in spite of them", n=7))
        self.assertEqual([one.envelope for one in self.acknowledged(bob)], [b"in spite of them"])
        self.assertFalse(bob.over or alice.over)
        self.assertEqual(self.town.rooms.counters.logins, 2)

    def test_logins_that_wait_for_the_database_are_bounded_and_end_in_time(self) -> None:
        """One read for each connection at most, and connections have their limits and their time."""
        self.gate = Deferred()
        strangers = self.flood(self.unknown_account)
        self.assertEqual(self.town.rooms.admission.waiting, OF_ONE_SOURCE)
        self.assertEqual(self.hits(Limit.CONNECTIONS_BEFORE_LOGIN), FLOOD - OF_ONE_SOURCE)
        self.honest_people_talk()
        self.network.settle(LOGIN_SECONDS)
        self.assertEqual(self.hits(Limit.LOGIN_SECONDS), OF_ONE_SOURCE)
        gate, self.gate = self.gate, None
        gate.callback(None)
        self.network.settle()
        self.assertEqual(self.town.rooms.counters.logins, 2)
        self.assert_gone(strangers)
