"""State tokens on the server: whoever is told `stored` has his on disk; docs/cryptography.md, 6."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.errors import StoreUnavailable
from e2ee.server.refusal import Refusal
from e2ee.store.memory.state import Device
from e2ee.wire import messages as m
from tests.server.town import ALICE, BOB, TOKEN, PeerDouble, TownCase, token_hash

FIRST, SECOND, THIRD = (b"%d" % number * 40 for number in (1, 2, 3))


class StateTokenTests(TownCase):
    """Alice writes to Bob, who has given her his contact token."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.now(self.town.log_in(ALICE))
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))

    def send(self, token: bytes, envelope: bytes = b"one") -> Deferred[m.Message]:
        return self.town.submit(self.alice, self.town.send(BOB, envelope, TOKEN, state_token=token))

    @property
    def on_disk(self) -> bytes | None:
        device: Device = self.town.store.devices[ALICE]
        return device.state_token

    def log_in(self) -> m.LoggedIn:
        peer = PeerDouble(self.town.where(ALICE))
        entered = self.now(self.town.rooms.login.enter(peer, self.now(self.town.account(ALICE)), 1))
        return entered.answer

    def test_stored_means_that_the_token_is_on_disk(self) -> None:
        self.successResultOf(self.send(FIRST))
        self.assertEqual(self.on_disk, FIRST)

    def test_the_fast_path_touches_no_disk_until_the_connection_ends(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        for token in (SECOND, FIRST):
            answer = self.send(token, token)
            self.town.acknowledge(bob, bob.pushes[-1])
            self.assertEqual(self.successResultOf(answer), m.Accepted(1, m.Outcome.DELIVERED))
        self.assertIsNone(self.on_disk)
        self.town.rooms.login.leave(self.alice, 1, False)
        self.assertEqual(self.on_disk, SECOND)

    def test_what_was_set_aside_is_answered_after_the_token_is_on_disk(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        answer = self.send(FIRST)
        self.town.acknowledge(bob, bob.pushes[-1], opened=False)
        self.assertEqual(self.successResultOf(answer), m.Accepted(1, m.Outcome.STORED))
        self.assertEqual(self.on_disk, FIRST)

    def test_a_login_while_the_older_connection_is_still_there_learns_its_token(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.send(THIRD)
        self.town.acknowledge(bob, bob.pushes[-1])
        self.assertEqual(self.log_in().state_token, THIRD)

    def test_the_end_of_the_server_writes_all(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.send(FIRST)
        self.town.acknowledge(bob, bob.pushes[-1])
        self.now(self.town.rooms.settle())
        self.assertEqual(self.on_disk, FIRST)

    def test_a_full_disk_keeps_the_token_in_memory_and_lets_the_device_in(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        answer = self.send(SECOND)
        self.town.acknowledge(bob, bob.pushes[-1])
        self.successResultOf(answer)
        self.town.mailbox.token_failure = StoreUnavailable("full")
        self.assertIsNone(self.log_in().state_token)
        self.now(self.town.rooms.settle())
        self.assertIsNone(self.on_disk)
        self.town.mailbox.token_failure = None
        self.assertEqual(self.log_in().state_token, SECOND)

    def test_a_full_disk_refuses_what_was_set_aside(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.town.mailbox.token_failure = StoreUnavailable("full")
        answer = self.send(FIRST)
        self.town.acknowledge(bob, bob.pushes[-1], opened=False)
        self.failureResultOf(answer, Refusal)
