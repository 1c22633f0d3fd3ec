"""docs/cryptography.md, "X.509 identities": who is verified by whom, and what a changed key means then."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.internet.defer import Deferred

from e2ee.client.events import HistoryQuery, KeyChanged, MessageReceived, SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.wire import messages as m
from tests.client.certified import NOW_MS, CertifiedCase, identity_of
from tests.client.test_trust import ALICE, CAROL
from tests.net.authorities import DAY, NOW, TestAuthority, key_pem, p256, pem, tel

DAY_SECONDS = 24 * 60 * 60


class SeenTests(CertifiedCase):
    """A contact is shown as verified by the authority that is trusted, as long as it is."""

    def test_at_the_first_contact(self) -> None:
        self.trust(self.company)
        carol = self.world.person(CAROL).start()
        carol.stored.identity = identity_of(carol, self.company)
        self.alice.say(carol, "hello")
        carol.say(self.alice, "hello back")
        [seen] = [one for one in self.alice.run(self.alice.messenger.contacts()) if one.address == CAROL]
        self.assertEqual((seen.verified, seen.verified_by), (False, "Our company"))
        [text] = [one for one in self.alice.unshown() if isinstance(one, MessageReceived)]
        self.assertEqual((text.verified, text.verified_by), (False, "Our company"))
        archive, query = self.alice.messenger.archive, HistoryQuery(Address(CAROL), direction="in")
        [kept] = self.alice.run(archive.load(self.alice.run(archive.find(query))))
        self.assertEqual(kept.verified_by, "Our company")

    def test_at_the_first_message_of_a_stranger(self) -> None:
        self.trust(self.company)
        carol = self.world.person(CAROL).start()
        carol.stored.identity = identity_of(carol, self.company)
        carol.say(self.alice, "hello")
        [text] = [one for one in self.alice.unshown() if isinstance(one, MessageReceived)]
        self.assertEqual(text.verified_by, "Our company")

    def test_of_a_contact_that_is_known_when_the_authority_is_trusted(self) -> None:
        self.attach()
        self.ask()
        self.assertNotVerified("no certification authority is trusted")
        self.trust(self.company)
        self.assertEqual((self.issuer, self.number().verified_by), ("Our company", "Our company"))
        self.assertIsNone(self.number().refusal)

    def test_all_in_the_address_book_who_are_not_certified_are_asked_about(self) -> None:
        self.attach()
        self.trust(self.company)
        before = self.world.relay.count(self.alice.address, m.LookUp)
        for _ in range(2):
            for address in self.alice.run(self.alice.messenger.identities.all_open()):
                self.alice.run(self.alice.messenger.identities.ask(address))
        self.assertEqual(self.issuer, "Our company")
        self.assertEqual(self.world.relay.count(self.alice.address, m.LookUp), before + 1)

    def test_without_a_certificate_there_is_nothing_to_say(self) -> None:
        self.trust(self.company)
        self.ask()
        self.assertEqual((self.issuer, self.number().refusal), (None, None))

    def test_only_as_long_as_the_authority_is_trusted(self) -> None:
        """The key that was accepted by its word stays in use: a stop would come from nowhere."""
        self.attach()
        [company] = self.trust(self.company)
        self.ask()
        gone = self.alice.run(self.alice.messenger.identities.authorities.distrust("Our company"))
        self.assertEqual(gone, company)
        self.assertNotVerified("no certification authority")
        self.assertEqual(self.alice.say(self.bob, "on").state, SentState.DELIVERED)

    def test_a_contact_verified_by_digits_is_both(self) -> None:
        self.attach()
        self.trust(self.company)
        self.ask()
        self.verify()
        self.assertEqual((self.contact().verified, self.issuer), (True, "Our company"))


class RefusedTests(CertifiedCase):
    """What proves nothing is not shown as verified, and the safety number says why."""

    def setUp(self) -> None:
        super().setUp()
        self.trust(self.company)

    def refused(self, identity: bytes, because: str) -> None:
        self.serve(identity)
        self.ask()
        self.assertNotVerified(because)

    def test_wrong_number_other_authority_expired_and_weak(self) -> None:
        bob, weak = self.bob, rsa.generate_private_key(65537, 1024)
        self.refused(identity_of(bob, self.company, number=ALICE), f"for {ALICE}, not for {bob.address}")
        self.refused(identity_of(bob, TestAuthority()), "does not lead to a trusted")
        self.refused(identity_of(bob, self.company, ends=NOW - DAY / 2), "expired at")
        self.refused(identity_of(bob, self.company, weak), "1024 bits")
        self.refused(b"rubbish", "cannot be read")
        self.serve(identity_of(bob, self.company))
        self.ask()
        self.assertEqual(self.issuer, "Our company")

    def test_a_signature_over_another_account_key_or_number(self) -> None:
        """What somebody else proved of himself, and what Bob proved of the key that he had before."""
        carol = self.world.person(CAROL)
        names = tel(CAROL, str(self.bob.address))
        self.refused(identity_of(carol, self.company, names=names), "has not signed this account key")

    def test_a_revoked_one(self) -> None:
        key = p256()
        certificate = self.company.issue(str(self.bob.address), key)
        self.bob.run(self.bob.messenger.identities.attach(pem(certificate), key_pem(key)))
        self.ask()
        self.assertEqual(self.issuer, "Our company")
        self.trust(lists=[self.company.revoke(certificate)])
        self.assertNotVerified("revoked")

    def test_an_outdated_revocation_list(self) -> None:
        self.attach()
        self.ask()
        self.trust(lists=[self.company.revoke(until=NOW + DAY)])
        self.assertEqual(self.issuer, "Our company")
        self.world.clock.advance(DAY_SECONDS + 1)
        self.assertNotVerified("revocation list is not valid any more")

    def test_it_ends_with_the_certificate(self) -> None:
        self.attach(ends=NOW + DAY)
        self.ask()
        self.assertEqual(self.issuer, "Our company")
        self.world.clock.advance(DAY_SECONDS + 1)
        self.assertNotVerified("expired")


class LyingServerTests(CertifiedCase):
    """The server can withhold an identity. It can take none away, and make none."""

    def setUp(self) -> None:
        super().setUp()
        self.trust(self.company)
        self.attach()
        self.ask()

    def test_less_than_was_proven_changes_nothing(self) -> None:
        shorter = identity_of(self.bob, self.company, ends=NOW + DAY)
        for less in (None, b"rubbish", identity_of(self.bob, TestAuthority()), shorter):
            self.serve(less)
            self.ask()
            self.assertEqual(self.issuer, "Our company")
        self.world.clock.advance(2 * DAY_SECONDS)
        self.assertEqual(self.issuer, "Our company")

    def test_a_later_one_takes_its_place(self) -> None:
        self.serve(identity_of(self.bob, self.company, ends=NOW + 60 * DAY))
        self.ask()
        self.world.clock.advance(40 * DAY_SECONDS)
        self.assertEqual(self.issuer, "Our company")

    def test_one_that_runs_out_is_asked_for_again_once_a_day(self) -> None:
        def asked() -> int:
            return self.world.relay.count(self.alice.address, m.LookUp)

        def connect_again() -> None:
            self.alice.link.disconnect()
            self.alice.link.connect()
            self.world.settle()

        before = asked()
        self.world.clock.advance(20 * DAY_SECONDS)
        connect_again()
        self.assertEqual(asked(), before)
        self.world.clock.advance(4 * DAY_SECONDS)
        self.serve(identity_of(self.bob, self.company, ends=NOW + 90 * DAY))
        connect_again()
        connect_again()
        self.assertEqual(asked(), before + 1)
        self.world.clock.advance(40 * DAY_SECONDS)
        self.assertEqual(self.issuer, "Our company")

    def test_nobody_is_asked_about_where_no_authority_is_trusted(self) -> None:
        self.alice.run(self.alice.messenger.identities.authorities.distrust("Our company"))
        before = self.world.relay.count(self.alice.address, m.LookUp)
        self.world.clock.advance(40 * DAY_SECONDS)
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.world.relay.count(self.alice.address, m.LookUp), before)


class ChangedKeyTests(CertifiedCase):
    """Another account key: with a certificate a notice, without one a stop."""

    def setUp(self) -> None:
        super().setUp()
        self.trust(self.company)
        self.attach()
        self.ask()

    def changes(self) -> list[str | None]:
        return [one.verified_by for one in self.alice.unshown() if isinstance(one, KeyChanged)]

    def test_what_is_sent_goes_to_the_new_key(self) -> None:
        self.replace_bob()
        self.attach()
        self.assertEqual(self.alice.say(self.bob, "one").state, SentState.DELIVERED)
        self.assertEqual((self.bob.read(), self.changes()), (["one"], ["Our company"]))
        self.assertEqual([one.verified_by for one in self.alice.heard(KeyChanged)], ["Our company"])
        self.assertEqual((self.issuer, self.contact().verified), ("Our company", False))

    def test_what_comes_is_shown_with_the_notice_before_it(self) -> None:
        self.replace_bob()
        self.attach()
        self.bob.say(self.alice, "one")
        notice, text = self.alice.unshown()
        assert isinstance(notice, KeyChanged)
        assert isinstance(text, MessageReceived)
        self.assertEqual((notice.verified_by, text.verified_by), ("Our company", "Our company"))
        self.assertEqual(self.alice.say(self.bob, "two").state, SentState.DELIVERED)

    def test_without_a_valid_one_it_stops(self) -> None:
        """None, another number's, another authority's, an expired one: each is a stop as ever."""
        self.replace_bob()
        for identity in (
            None,
            identity_of(self.bob, self.company, number=ALICE),
            identity_of(self.bob, TestAuthority()),
            identity_of(self.bob, self.company, ends=NOW - DAY / 2),
        ):
            self.serve(identity)
            self.assertStopped(self.alice.say(self.bob, "one"))
        self.assertEqual((self.bob.read(), self.changes()), ([], [None]))

    def test_the_identity_of_the_old_key_is_of_no_use_for_the_new_one(self) -> None:
        """A server that has registered its own keys, and serves what it has of Bob with them."""
        genuine = self.bob.stored.identity
        self.replace_bob()
        self.serve(genuine)
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.assertIn("has not signed this account key", self.number().refusal or "")

    def test_a_contact_verified_by_digits_stops_all_the_same(self) -> None:
        """No authority's word takes the place of what the user has compared himself."""
        self.verify()
        self.replace_bob()
        self.attach()
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.bob.say(self.alice, "two")
        self.assertEqual((self.changes(), self.contact().verified), ([None], True))
        self.assertEqual(self.number().verified_by, "Our company")
        self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.world.settle()
        self.assertEqual(self.bob.read(), ["one"])

    def test_one_that_came_without_is_open_until_it_is_certified(self) -> None:
        """Whoever is shown its safety number has the directory asked first."""
        identities = self.alice.messenger.identities
        self.assertFalse(self.alice.run(identities.is_open(self.bob.address)))
        self.replace_bob()
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.assertTrue(self.alice.run(identities.is_open(self.bob.address)))
        self.attach()
        self.ask()
        self.assertEqual((self.bob.read(), self.issuer), (["one"], "Our company"))
        self.assertFalse(self.alice.run(identities.is_open(self.bob.address)))

    def test_one_that_comes_later_ends_the_stop(self) -> None:
        self.replace_bob()
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.attach()
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual((self.bob.read(), self.changes()), (["one"], [None, "Our company"]))
        self.assertEqual([one.verified_by for one in self.alice.heard(KeyChanged)], [None, "Our company"])

    def test_whoever_waits_for_a_message_waits_for_the_directory(self) -> None:
        """A command that begins with a stop from yesterday ends with what the directory says today."""
        self.replace_bob()
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.alice.stop()
        for identity, state in ((None, SentState.QUEUED), (self.certified(), SentState.DELIVERED)):
            self.serve(identity)
            self.alice.start(connect=False)
            sent = self.alice.queue(self.bob, f"while {state}")
            outcome: list[SentMessage] = []
            waiting = self.alice.messenger.reached(sent.message_id, SentState.STORED, 30.0)
            Deferred.fromCoroutine(waiting).addCallback(outcome.append)
            self.world.settle()
            self.assertEqual(outcome, [])
            self.alice.link.connect()
            self.world.settle()
            self.assertEqual([one.state for one in outcome], [state])
            self.alice.stop()
        self.alice.start()

    def certified(self) -> bytes:
        return identity_of(self.bob, self.company)

    def test_an_authority_that_is_trusted_later_ends_the_stop(self) -> None:
        self.alice.run(self.alice.messenger.identities.authorities.distrust("Our company"))
        self.replace_bob()
        self.attach()
        self.assertStopped(self.alice.say(self.bob, "one"))
        self.trust(self.company)
        self.assertEqual((self.bob.read(), self.changes()), (["one"], [None, "Our company"]))
        self.assertEqual([one.verified_by for one in self.alice.heard(KeyChanged)], [None, "Our company"])


class OwnTests(CertifiedCase):
    """`identity attach`, `show` and `remove`."""

    def own(self) -> Any:
        return self.bob.run(self.bob.messenger.identities.own())

    def test_attached_shown_and_removed(self) -> None:
        self.assertIsNone(self.own())
        attached = self.attach()
        self.assertEqual((attached.issuer, attached.refusal), ("CN=Our company", None))
        self.assertEqual(attached.not_after, NOW_MS + 30 * DAY_SECONDS * 1000)
        self.assertEqual(self.own(), attached)
        self.bob.run(self.bob.messenger.identities.remove())
        self.assertIsNone(self.own())

    def test_its_owner_sees_that_it_has_expired(self) -> None:
        self.attach(ends=NOW + DAY)
        self.world.clock.advance(2 * DAY_SECONDS)
        self.assertIn("expired", self.own().refusal)

    def test_its_owner_sees_what_the_server_made_of_it(self) -> None:
        self.serve(b"rubbish")
        self.assertRaises(Failure, self.own)
        self.serve(identity_of(self.alice, self.company))
        self.assertIn(f"for {ALICE}", self.own().refusal)

    def test_what_proves_nothing_never_leaves(self) -> None:
        key, other = p256(), p256()
        number = str(self.bob.address)
        good = self.company.issue(number, key)
        below = [self.company.issue(number, key) for _ in range(4)]
        for certificates, secret, because in (
            (pem(self.company.issue(ALICE, key)), key_pem(key), "not for"),
            (pem(self.company.issue(number, key, ends=NOW - DAY / 2)), key_pem(key), "expired"),
            (pem(good), key_pem(other), "does not belong"),
            (b"", key_pem(key), "no readable certificate"),
            (pem(good, *below), key_pem(key), "1 to 4 certificates"),
        ):
            failure = self.assertRaises(
                Failure, self.bob.run, self.bob.messenger.identities.attach(certificates, secret)
            )
            self.assertIs(failure.code, Code.USAGE)
            self.assertIn(because, failure.sentence)
        self.assertEqual(self.world.relay.count(self.bob.address, m.SetIdentity), 0)

    def test_a_new_account_key_needs_a_new_one(self) -> None:
        self.attach()
        self.replace_bob()
        self.assertIsNone(self.own())


class AuthorityTests(CertifiedCase):
    """`trust --ca`, `--crl`, `--list-ca`, `--remove-ca`."""

    def refused(self, because: str, *authorities: TestAuthority, **other: Any) -> None:
        failure = self.assertRaises(Failure, self.trust, *authorities, **other)
        self.assertIs(failure.code, Code.USAGE)
        self.assertIn(because, failure.sentence)

    def all(self) -> list[str]:
        return [one.name for one in self.alice.run(self.alice.messenger.identities.authorities.all())]

    def test_those_that_were_named_are_returned_and_all_are_listed(self) -> None:
        self.assertEqual(self.all(), [])
        partner = TestAuthority("Partner")
        self.trust(self.company)
        [named] = self.trust(partner, lists=[partner.revoke(until=NOW + DAY)])
        self.assertEqual((named.name, named.revocations_until), ("Partner", NOW_MS + DAY_SECONDS * 1000))
        self.trust(partner)
        self.assertEqual(self.all(), ["Our company", "Partner"])
        [updated] = self.trust(lists=[self.company.revoke()])
        self.assertEqual(updated.name, "Our company")

    def test_lists_that_are_not_taken_and_nothing_has_changed_then(self) -> None:
        self.refused("no certification authority that is trusted", lists=[self.company.revoke()])
        self.refused("no certification", TestAuthority("Partner"), lists=[self.company.revoke()])
        self.refused("not valid any more", self.company, lists=[self.company.revoke(until=NOW - DAY / 2)])
        self.assertEqual(self.all(), [])
        self.trust(self.company, lists=[self.company.revoke(made=NOW - DAY / 2)])
        self.refused("a later revocation list", lists=[self.company.revoke(made=NOW - DAY)])

    def test_one_is_named_by_name_or_fingerprint(self) -> None:
        first, second = self.trust(self.company, TestAuthority())
        distrust = self.alice.messenger.identities.authorities.distrust
        for which in ("Our company", "nobody", first.fingerprint.hex()[:7], ""):
            self.assertRaises(Failure, self.alice.run, distrust(which))
        self.alice.run(distrust(first.fingerprint.hex()[:8].upper()))
        self.assertEqual(self.alice.run(distrust("Our company")), second)
        self.assertEqual(self.all(), [])

    def test_a_removed_one_takes_its_list_along(self) -> None:
        self.trust(self.company, lists=[self.company.revoke(made=NOW - DAY / 2)])
        self.alice.run(self.alice.messenger.identities.authorities.distrust("Our company"))
        [again] = self.trust(self.company)
        self.assertIsNone(again.revocations_until)
