"""Who sees whom: docs/protocol.md, "Presence", under each policy."""

from __future__ import annotations

from dataclasses import replace

from e2ee.ids import Address
from e2ee.server.policy import Policy, PresencePolicy
from e2ee.wire import messages as m
from e2ee.wire.limits import ONLINE_PAGE
from tests.server.town import ALICE, BOB, CAROL, TOKEN, PeerDouble, TownCase, token_hash


class PresenceCase(TownCase):
    """Bob has a token; Alice asks."""

    def setUp(self) -> None:
        super().setUp()
        self.now(self.town.settle_in(CAROL))
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        self.alice = self.now(self.town.log_in(ALICE))

    def online(self, token: bytes = TOKEN, subscribe: bool = False, after: str = "") -> tuple[str, ...]:
        """What Alice is told when she asks for Bob and Carol."""
        targets = (m.Target(str(BOB), token), m.Target(str(CAROL), token))
        watch = m.Watch(7, targets, after, subscribe)
        return self.town.rooms.presence.watch(self.alice, watch).numbers

    def changes(self) -> list[tuple[str, bool]]:
        """What was pushed to Alice."""
        return [(one.number, one.online) for one in self.alice.told if isinstance(one, m.PresenceChanged)]

    def leave(self, peer: PeerDouble, epoch: int) -> None:
        """The end of a connection."""
        self.town.rooms.login.leave(peer, epoch, displaced=False)

    def choose(self, peer: PeerDouble, token: bytes, hidden: bool) -> None:
        """Change token or hiding."""
        self.now(self.town.rooms.set_presence(peer, m.SetPresence(1, token_hash(token), hidden)))


class ContactsTests(PresenceCase):
    """The default: holders of the contact token."""

    def test_only_the_right_token_sees(self) -> None:
        self.now(self.town.log_in(BOB))
        self.now(self.town.log_in(CAROL))
        self.assertEqual(self.online(), (BOB,))
        self.assertEqual(self.online(b"not bob's token."), ())

    def test_changes_are_pushed_to_those_who_subscribed(self) -> None:
        self.online(subscribe=True)
        bob = self.now(self.town.log_in(BOB))
        self.leave(bob, 1)
        self.assertEqual(self.changes(), [(BOB, True), (BOB, False)])

    def test_without_subscribing_nothing_is_pushed(self) -> None:
        self.online(subscribe=True)
        self.online()
        self.now(self.town.log_in(BOB))
        self.assertEqual(self.changes(), [])

    def test_hiding_looks_like_leaving(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.online(subscribe=True)
        self.choose(bob, TOKEN, True)
        self.assertEqual((self.changes(), self.online()), ([(BOB, False)], ()))

    def test_another_token_ends_what_the_old_one_showed(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.online(subscribe=True)
        self.choose(bob, b"a new token now.", False)
        self.assertEqual(self.changes(), [(BOB, False)])

    def test_a_newer_login_does_not_flicker(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.online(subscribe=True)
        self.now(self.town.log_in(BOB))
        self.leave(bob, 1)
        self.assertEqual((self.changes(), self.online()), ([], (BOB,)))

    def test_who_has_left_is_told_nothing(self) -> None:
        self.online(subscribe=True)
        self.leave(self.alice, 1)
        self.now(self.town.log_in(BOB))
        self.assertEqual(self.changes(), [])


class EveryoneTests(PresenceCase):
    """As in the demonstration."""

    policy = Policy(presence=PresencePolicy.EVERYONE)

    def test_everyone_but_oneself_and_the_hidden_sorted(self) -> None:
        carol = self.now(self.town.log_in(CAROL))
        self.now(self.town.log_in(BOB))
        self.assertEqual(self.online(b"no token at all."), (BOB, CAROL))
        self.choose(carol, TOKEN, True)
        self.assertEqual(self.online(), (BOB,))
        self.assertEqual(self.online(after=str(BOB)), ())

    def test_all_changes_are_pushed_but_the_own(self) -> None:
        self.town.rooms.presence.watch(self.alice, m.Watch(7, (), "", True))
        self.now(self.town.log_in(ALICE))
        self.now(self.town.log_in(BOB))
        self.assertEqual(self.changes(), [(BOB, True)])

    def test_pages(self) -> None:
        account = self.now(self.town.account(BOB))
        for number in range(ONLINE_PAGE + 1):
            address = Address(f"+1555{number:07d}")
            self.town.rooms.presence.arrive(replace(account, address=address), 1)
        first = self.town.rooms.presence.watch(self.alice, m.Watch(1, ()))
        self.assertEqual((len(first.numbers), first.more), (ONLINE_PAGE, True))
        second = self.town.rooms.presence.watch(self.alice, m.Watch(1, (), first.numbers[-1]))
        self.assertEqual((len(second.numbers), second.more), (1, False))


class NobodyTests(PresenceCase):
    """Nobody sees anybody."""

    policy = Policy(presence=PresencePolicy.NOBODY)

    def test_nobody(self) -> None:
        self.online(subscribe=True)
        self.now(self.town.log_in(BOB))
        self.assertEqual((self.online(), self.changes()), ((), []))
