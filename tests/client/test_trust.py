"""Whose key is believed: first contact, changed keys, statements that contradict each other."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import ChangedKey, Config
from e2ee.client.events import KeyChanged, MessageReceived, SentMessage, SentState, Undecryptable
from e2ee.crypto.own_device import create_device, sign_statement
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId
from e2ee.store.client.messages import Stream, save_stream
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from tests.client.people import Person, World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class TrustCase(SynchronousTestCase):
    """Alice and Bob have talked."""

    config = Config()

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE, self.config).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "before")
        self.bob.say(self.alice, "answer")
        self.bob.read()
        self.alice.read()

    def replace_bob(self) -> Person:
        """Bob registers anew, on a fresh device."""
        self.bob.stop()
        self.world.people.remove(self.bob)
        self.world.result(self.bob.vault.close())
        self.bob = self.world.person(BOB).start()
        return self.bob

    def verify(self) -> str:
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        self.assertFalse(number.verified)
        confirmed = self.alice.run(self.alice.messenger.confirm(self.bob.address, number.digits))
        self.assertTrue(confirmed.verified)
        return number.digits

    def assertStopped(self, sent: SentMessage) -> None:
        self.assertIs(sent.state, SentState.QUEUED)
        assert sent.error is not None
        self.assertEqual((sent.error.code, sent.error.retry_after), (Code.KEY_CHANGED, None))


class ChangedKeyTests(TrustCase):
    """The account key of a contact is another one."""

    def test_outgoing_stops_until_trust_and_keeps_its_order(self) -> None:
        self.replace_bob()
        texts = ["one", "two", "three"]
        for text in texts:
            self.assertStopped(self.alice.say(self.bob, text))
        outcome: list[SentMessage] = []
        last = self.alice.run(self.alice.messenger.outbox())[-1]
        waiting = self.alice.messenger.reached(last.message_id, SentState.STORED, 30.0)
        Deferred.fromCoroutine(waiting).addCallback(outcome.append)
        self.world.settle()
        self.assertStopped(outcome[0])
        self.assertEqual(self.bob.read(), [])
        change = self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.assertIsNotNone(change.old_digits)
        self.assertNotEqual(change.old_digits, change.new_digits)
        self.world.settle()
        self.assertEqual(self.bob.read(), texts)
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_nothing_is_sealed_for_the_new_key_before_trust(self) -> None:
        self.replace_bob()
        self.alice.say(self.bob, "secret")
        self.alice.stop()
        self.alice.start()
        self.world.wait(3600)
        self.assertEqual(self.bob.stored.mailbox, [])
        self.assertEqual(self.bob.unshown(), [])
        self.assertEqual(self.world.relay.count(self.alice.address, m.FetchBundle), 1)

    def test_the_change_is_told_once_with_time_and_again_to_a_reader(self) -> None:
        self.replace_bob()
        self.alice.say(self.bob, "one")
        self.alice.say(self.bob, "two")
        (event,) = self.alice.heard(KeyChanged)
        self.assertEqual((event.address, event.at), (BOB, int(self.world.clock.seconds() * 1000)))
        self.assertEqual(self.alice.unshown(), [event])

    def test_incoming_is_shown_with_the_change_before_it(self) -> None:
        self.verify()
        self.replace_bob().say(self.alice, "new phone")
        changed, message = self.alice.unshown()
        assert isinstance(changed, KeyChanged)
        assert isinstance(message, MessageReceived)
        self.assertEqual((message.text, message.verified), ("new phone", False))
        self.assertStopped(self.alice.say(self.bob, "who are you?"))

    def test_an_account_that_nobody_trusts_says_nothing_of_what_the_trusted_one_has(self) -> None:
        def have() -> int:
            load = self.alice.vault.read(lambda tx: tx.execute("SELECT have_up_to FROM contact").fetchone())
            row: tuple[int] = self.alice.run(load)
            return row[0]

        self.assertEqual(have(), 1)
        bob = self.replace_bob()
        everything = Stream(self.alice.address, self.alice.own.device, 900, 900)
        bob.run(bob.vault.write(lambda tx: save_stream(tx, everything)))
        bob.say(self.alice, "I have it all")
        message = self.alice.unshown()[-1]
        assert isinstance(message, MessageReceived)
        self.assertEqual((message.text, have()), ("I have it all", 1))

    def test_trust_without_a_change_changes_nothing(self) -> None:
        change = self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.assertEqual((change.old_digits, change.new_digits), (None, None))
        self.assertIs(self.alice.say(self.bob, "still here").state, SentState.DELIVERED)

    def test_a_verified_contact_is_not_verified_any_more_after_trust(self) -> None:
        old = self.verify()
        self.replace_bob()
        self.alice.say(self.bob, "one")
        change = self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.assertEqual(change.old_digits, old)
        (contact,) = self.alice.run(self.alice.messenger.contacts())
        self.assertFalse(contact.verified)

    def test_confirming_the_new_number_accepts_and_verifies(self) -> None:
        old = self.verify()
        self.replace_bob()
        self.alice.say(self.bob, "one")
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.confirm(self.bob.address, old))
        self.assertIs(caught.exception.code, Code.SAFETY_NUMBER)
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        theirs = self.bob.run(self.bob.messenger.safety_number(self.alice.address))
        self.assertEqual(number.digits, theirs.digits)
        confirmed = self.alice.run(self.alice.messenger.confirm(self.bob.address, number.digits))
        self.assertTrue(confirmed.verified)
        self.world.settle()
        self.assertEqual(self.bob.read(), ["one"])

    def test_when_the_directory_serves_the_trusted_key_again_sending_goes_on(self) -> None:
        other = create_device(self.bob.address, 2**50, seeded_entropy("other"))
        self.bob.stored.served = other.signed_statement
        self.assertStopped(self.alice.say(self.bob, "patience"))
        self.bob.stored.served = None
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["patience"])

    def test_message_id_and_time_survive_sealing_anew(self) -> None:
        self.alice.link.disconnect()
        sent = self.alice.queue(self.bob, "waited")
        at = int(self.world.clock.seconds() * 1000)
        self.replace_bob()
        self.world.wait(60)
        self.alice.link.connect()
        self.world.settle()
        self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.world.settle()
        (event,) = [one for one in self.bob.unshown() if isinstance(one, MessageReceived)]
        self.assertEqual((event.message_id, event.sent_at, event.text), (sent.message_id, at, "waited"))


class WarnTests(TrustCase):
    """A profile whose owner has chosen to be warned only."""

    config = Config(changed_key=ChangedKey.WARN)

    def test_an_unverified_contact_gets_the_message_and_the_change_is_told(self) -> None:
        self.replace_bob()
        self.assertIs(self.alice.say(self.bob, "one").state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["one"])
        self.assertEqual(len(self.alice.heard(KeyChanged)), 1)

    def test_a_verified_contact_stops_all_the_same(self) -> None:
        self.verify()
        self.replace_bob()
        self.assertStopped(self.alice.say(self.bob, "one"))


class StatementTests(TrustCase):
    """Statements of one account key that contradict each other."""

    def serve(self, **changes: object) -> None:
        """Have the directory serve another statement of Bob's own account key."""
        statement = replace(self.bob.own.statement, **changes)
        self.bob.stored.served = sign_statement(self.bob.own.account_secret, statement)

    def refused(self) -> Failure:
        sent = self.alice.say(self.bob, "to whom?")
        self.assertIs(sent.state, SentState.QUEUED)
        assert sent.error is not None
        self.assertEqual(self.alice.heard(KeyChanged), [])
        return sent.error

    def test_a_lower_generation_is_a_trust_error(self) -> None:
        self.serve(generation=self.bob.own.generation - 1)
        self.assertIs(self.refused().code, Code.KEY_CHANGED)

    def test_the_same_generation_with_other_content_is_a_trust_error(self) -> None:
        self.serve(device=DeviceId(b"\x09" * 8))
        self.assertIs(self.refused().code, Code.KEY_CHANGED)

    def test_fewer_features_are_a_trust_error_also_in_a_newer_statement(self) -> None:
        self.assertNotEqual(self.bob.own.statement.features, ())
        self.serve(generation=self.bob.own.generation + 1, features=())
        self.assertIs(self.refused().code, Code.KEY_CHANGED)

    def test_fewer_features_are_a_trust_error_also_under_another_key(self) -> None:
        other = create_device(self.bob.address, 2**50, seeded_entropy("other"))
        statement = replace(other.statement, features=())
        self.bob.stored.served = sign_statement(other.account_secret, statement)
        self.assertIs(self.refused().code, Code.KEY_CHANGED)

    def test_more_features_are_no_step_back(self) -> None:
        features = (*self.bob.own.statement.features, 65535)
        self.serve(generation=self.bob.own.generation + 1, features=features)
        sent = self.alice.say(self.bob, "with more")
        self.assertIsNone(sent.error)

    def test_after_a_trust_error_sending_goes_on_when_the_server_is_right_again(self) -> None:
        self.serve(generation=self.bob.own.generation - 1)
        self.refused()
        self.bob.stored.served = None
        self.world.wait(601)
        self.assertEqual(self.bob.read(), ["to whom?"])

    def test_a_higher_generation_of_the_same_key_is_sealed_anew_by_itself(self) -> None:
        statement = replace(self.bob.own.statement, generation=self.bob.own.generation + 1)
        signed = sign_statement(self.bob.own.account_secret, statement)
        self.bob.own = replace(self.bob.own, statement=statement, signed_statement=signed)
        self.bob.stored.own = self.bob.own
        self.bob.stop()
        self.bob.start()
        sent = self.alice.say(self.bob, "same person")
        self.assertIs(sent.state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["same person"])
        self.assertEqual(self.alice.heard(KeyChanged), [])

    def test_a_statement_about_another_number_is_a_trust_error(self) -> None:
        carol = self.world.person(CAROL)
        self.bob.stored.served = carol.own.signed_statement
        self.assertIs(self.refused().code, Code.KEY_CHANGED)

    def test_a_bundle_whose_keys_do_not_verify_is_a_trust_error(self) -> None:
        carol = self.world.person(CAROL)
        carol.stored.signed_prekey = self.bob.stored.signed_prekey
        sent = self.alice.say(carol, "hello")
        self.assertIs(sent.state, SentState.QUEUED)
        assert sent.error is not None
        self.assertIs(sent.error.code, Code.KEY_CHANGED)


class FalseSenderTests(TrustCase):
    """Neither the server alone nor a client alone can choose the shown sender."""

    def test_a_clients_statement_with_anothers_number_is_set_aside(self) -> None:
        carol = self.world.person(CAROL)
        # Carol makes herself a device with Bob's number, and logs in as Carol.
        forged = create_device(Address(BOB), carol.own.generation, seeded_entropy("forged"))
        carol.own = replace(forged, statement=forged.statement)
        self.world.relay.accounts[Address(CAROL)].own = carol.own
        carol.start_as(Address(CAROL))
        carol.say(self.alice, "I am Bob")
        self.assertEqual(self.alice.heard(MessageReceived)[1:], [])
        (event,) = self.alice.heard(Undecryptable)
        self.assertEqual(self.alice.heard(KeyChanged), [])
        self.assertEqual(len(self.alice.run(self.alice.messenger.contacts())), 1)
        self.assertIs(self.alice.link.acknowledged[-1].verdict, m.Verdict.SET_ASIDE)  # type: ignore[union-attr]
        self.assertIsNone(event.name)

    def test_a_server_that_names_another_sender_is_not_believed(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.stop()
        carol.say(self.alice, "from Carol")
        (waiting,) = self.alice.stored.mailbox
        waiting.sender, waiting.device = self.bob.own.address, self.bob.own.device
        self.alice.start()
        self.assertEqual([event.address for event in self.alice.heard(Undecryptable)], [BOB])
        self.assertEqual(self.alice.read(), [])

    def test_a_first_message_under_another_device_is_set_aside(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.stop()
        carol.say(self.alice, "from Carol")
        (waiting,) = self.alice.stored.mailbox
        waiting.device = self.bob.own.device
        self.alice.start()
        self.assertEqual([event.address for event in self.alice.heard(Undecryptable)], [CAROL])
        self.assertEqual(self.alice.read(), [])

    def test_a_new_key_is_believed_only_if_the_directory_serves_it(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.stop()
        carol.say(self.alice, "hello")
        carol.stored.served = create_device(Address(CAROL), 2**50, seeded_entropy("x")).signed_statement
        self.alice.start()
        self.assertEqual(len(self.alice.heard(Undecryptable)), 1)
        self.assertEqual(self.alice.read(), [])
        self.assertEqual(len(self.alice.run(self.alice.messenger.contacts())), 1)

    def test_a_known_key_is_not_looked_up(self) -> None:
        looked_up = self.world.relay.count(self.alice.address, m.LookUp)
        self.bob.stop()
        self.bob.start()
        self.bob.say(self.alice, "me again")
        self.assertEqual(self.world.relay.count(self.alice.address, m.LookUp), looked_up)
        self.assertEqual(self.alice.read(), ["me again"])

    def test_the_look_up_is_repeated_until_it_is_answered(self) -> None:
        carol = self.world.person(CAROL).start()
        count = iter(range(100))
        no = m.Refused(0, m.RefusalCode.RATE_LIMITED, "later", 7.0)
        self.world.relay.intercept[self.alice.address] = lambda message: (
            no if isinstance(message, m.LookUp) and next(count) < 2 else None
        )
        carol.say(self.alice, "one")
        carol.say(self.alice, "two")
        self.assertEqual(self.alice.read(), [])
        self.world.wait(15)
        self.assertEqual(self.alice.read(), ["one", "two"])

    def test_a_connection_lost_during_the_look_up_loses_nothing(self) -> None:
        carol = self.world.person(CAROL).start()
        self.world.relay.intercept[self.alice.address] = lambda message: (
            m.Refused(0, m.RefusalCode.BUSY, "later", 5.0) if isinstance(message, m.LookUp) else None
        )
        carol.say(self.alice, "one")
        self.alice.link.disconnect()
        self.world.relay.intercept.clear()
        self.alice.link.connect()
        self.world.wait(10)
        self.assertEqual(self.alice.read(), ["one"])
