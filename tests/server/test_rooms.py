"""A policy that is read again: every room goes on under it at once, and what is there stays."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.server.policy import Policy, PresencePolicy, RegistrationMode
from e2ee.server.refusal import Refusal
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode
from tests.server.test_admission import GuestDouble
from tests.server.town import ALICE, BOB, STATE_TOKEN, TOKEN, TownCase, token_hash


class AnotherPolicyTests(TownCase):
    """Each limit that a room has read before is another one now."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.town.peer(ALICE)
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))

    def stored(self, envelope: bytes) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, envelope, TOKEN, restart=True))
        self.assertEqual(self.successResultOf(answer), m.Accepted(1, m.Outcome.STORED))

    def refused(self, message: m.Send) -> RefusalCode:
        refusal: Refusal = self.failureResultOf(self.town.submit(self.alice, message), Refusal).value
        return refusal.code

    def test_the_rate_of_messages(self) -> None:
        self.stored(b"one")
        self.town.rooms.apply(Policy(messages_burst=2))
        self.stored(b"two")
        three = self.town.send(BOB, b"three", TOKEN)
        self.assertIs(self.refused(three), RefusalCode.RATE_LIMITED)
        self.town.rooms.apply(Policy(messages_burst=3))
        self.stored(b"three")

    def test_how_many_people_one_may_look_for(self) -> None:
        probes = [m.Send(1, f"+155501001{n}", bytes(32), None, b"x", STATE_TOKEN) for n in (77, 78, 79)]
        self.assertIs(self.refused(probes[0]), RefusalCode.UNKNOWN_RECIPIENT)
        self.town.rooms.apply(Policy(lookups_per_day=2))
        self.assertIs(self.refused(probes[1]), RefusalCode.UNKNOWN_RECIPIENT)
        self.assertIs(self.refused(probes[2]), RefusalCode.RATE_LIMITED)

    def test_how_much_waits_for_one(self) -> None:
        self.stored(b"one")
        self.town.rooms.apply(Policy(mailbox_messages=1))
        self.assertIs(self.refused(self.town.send(BOB, b"two", TOKEN)), RefusalCode.MAILBOX_FULL)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [b"one"])

    def test_whose_business_presence_is(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        self.town.rooms.apply(Policy(presence=PresencePolicy.NOBODY))
        self.stored(b"one")
        self.assertEqual(bob.envelopes, [b"one"])

    def test_how_many_keys_of_one_go_to_strangers(self) -> None:
        self.now(self.town.rooms.directory.publish(self.town.where(BOB), self.town.publication(BOB, 5, 5)))
        fetch = m.FetchBundle(1, str(BOB), None)
        self.town.rooms.apply(Policy(bundles_per_target=1))
        bundles = [self.now(self.town.rooms.directory.fetch_bundle(ALICE, fetch)) for _ in range(2)]
        self.assertEqual([bundle.one_time is None for bundle in bundles], [False, True])

    def test_how_many_connections_there_are(self) -> None:
        guests = [GuestDouble() for _ in range(2)]
        self.town.rooms.apply(Policy(connections=1))
        for guest in guests:
            self.town.rooms.admission.enter(guest, "192.0.2.1")
        self.assertEqual(len(self.town.rooms.admission), 1)

    def test_who_may_register(self) -> None:
        self.town.rooms.apply(Policy(registration=RegistrationMode.CLOSED))
        asked = self.town.rooms.registration.request_code("192.0.2.1", m.RequestCode(1, "+15550100103"))
        refusal: Refusal = self.failureResultOf(Deferred.fromCoroutine(asked), Refusal).value
        self.assertIs(refusal.code, RefusalCode.REGISTRATION_CLOSED)
