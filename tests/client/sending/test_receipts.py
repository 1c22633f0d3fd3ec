"""Receipts: who gets one, when, how many texts one tells of, and what becomes of it at the other end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.events import MessageSent, ReceiptReceived, SentMessage, SentState, Undecryptable
from e2ee.client.sending.receipts import RECEIPT_SECONDS
from e2ee.crypto.limits import RECEIPT_IDS
from e2ee.errors import Code, Failure
from e2ee.ids import Address, EnvelopeId, MessageId
from e2ee.store.client import arrivals
from e2ee.store.client.receipts import ReceiptState, owe
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import Person, World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class ReceiptCase(SynchronousTestCase):
    """Alice and Bob, who have accepted each other and tell each other what has come."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE, Config()).start()
        self.bob = self.world.person(BOB, Config()).start()
        self.befriend(self.alice, self.bob)

    def befriend(self, one: Person, other: Person) -> None:
        """Each has written to the other, and nothing is left to be told."""
        one.say(other, "hello")
        other.say(one, "hello yourself")
        for _ in range(3):
            self.world.wait(5)
            one.read()
            other.read()
        for person in (one, other):
            person.events.clear()
            self.assertEqual(person.look("SELECT * FROM receipt"), [])

    def sends(self, person: Person) -> int:
        """How many envelopes this person has sent so far."""
        return len(self.world.relay.sends(person.address))

    def state(self, sent: SentMessage) -> SentState:
        """How far a text of Alice's has come."""
        return self.alice.run(self.alice.messenger.sent(sent.message_id)).state

    def told(self) -> list[tuple[MessageId, SentState]]:
        """What Alice heard of her texts."""
        return [(event.message_id, event.state) for event in self.alice.heard(ReceiptReceived)]

    def owe(self, person: Person, to: str, message_id: MessageId) -> None:
        """Let somebody tell of a text, whatever he has."""

        def operation(tx: Connection) -> None:
            owe(tx, Address(to), message_id, ReceiptState.READ)

        person.run(person.vault.write(operation))
        person.messenger._receipts.owed()
        self.world.wait(5)


class TellingTests(ReceiptCase):
    """What is told of a text, and when."""

    def test_delivered_when_it_is_kept_and_read_when_a_reader_has_flushed_it(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.assertEqual(self.told(), [])
        self.world.wait(5)
        self.assertEqual(self.told(), [(sent.message_id, SentState.DELIVERED)])
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.told()[1:], [(sent.message_id, SentState.READ)])
        self.assertIs(self.state(sent), SentState.READ)

    def test_one_receipt_tells_both_of_what_is_read_at_once(self) -> None:
        before = self.sends(self.bob)
        sent = self.alice.say(self.bob, "one")
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])
        self.assertEqual(self.sends(self.bob), before + 1)

    def test_what_was_only_stored_is_delivered_once_the_recipient_says_so(self) -> None:
        self.bob.stop()
        sent = self.alice.say(self.bob, "one")
        self.assertIs(sent.state, SentState.STORED)
        self.bob.start()
        self.world.wait(5)
        self.assertIs(self.state(sent), SentState.DELIVERED)
        states = [event.message.state for event in self.alice.heard(MessageSent)]
        self.assertEqual(states, [SentState.STORED, SentState.DELIVERED])

    def test_it_comes_with_the_clock_of_the_reader_unless_that_is_ahead(self) -> None:
        self.alice.say(self.bob, "one")
        self.bob.read()
        self.world.wait(5)
        (event,) = self.alice.heard(ReceiptReceived)
        self.assertEqual((event.address, event.name), (BOB, None))
        self.assertLess(event.at, int(self.world.clock.seconds() * 1000))
        self.bob.messenger._context.wall = lambda: self.world.clock.seconds() + 9000
        self.alice.say(self.bob, "two")
        self.world.wait(5)
        self.assertLess(self.alice.heard(ReceiptReceived)[1].at, int(self.world.clock.seconds() * 1000))

    def test_one_receipt_tells_of_250_texts_that_are_drained_and_read(self) -> None:
        self.bob.stop()
        sent = [self.alice.queue(self.bob, str(number)) for number in range(RECEIPT_IDS + 1)]
        self.world.settle()
        before = self.sends(self.bob)
        self.bob.start()
        self.assertEqual(len(self.bob.read()), RECEIPT_IDS + 1)
        self.world.wait(10)
        self.assertEqual(self.sends(self.bob) - before, 2)
        self.assertEqual({self.state(one) for one in sent}, {SentState.READ})

    def test_while_the_mailbox_is_drained_nothing_is_told(self) -> None:
        self.bob.stop()
        self.alice.say(self.bob, "one")
        before = self.sends(self.bob)
        self.bob.start()
        self.bob.messenger._receipts.wait_for_drained()
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.sends(self.bob), before)
        self.bob.messenger._receipts.drained()
        self.world.wait(RECEIPT_SECONDS)
        self.assertEqual(self.sends(self.bob), before + 1)

    def test_what_is_owed_at_the_end_of_a_process_is_told_at_once(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.bob.read()
        self.bob.run(self.bob.messenger.outbox_sent(30.0))
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])

    def test_no_more_than_half_of_the_rate_is_spent_on_receipts(self) -> None:
        others = [Address(f"+155501002{number:02}") for number in range(45)]

        def operation(tx: Connection) -> None:
            for address in others:
                tx.execute(
                    "INSERT INTO contact (address, accepted, trusted_key) VALUES (?, 1, ?)",
                    (address, bytes(32)),
                )
                owe(tx, address, MessageId(bytes(16)), ReceiptState.READ)

        self.bob.run(self.bob.vault.write(operation))
        self.bob.messenger._receipts.owed()
        self.world.wait(RECEIPT_SECONDS)
        queued = "SELECT count(*) FROM receipt"
        self.assertEqual(self.bob.look(queued), [(25,)])
        self.world.wait(1.9)
        self.assertEqual(self.bob.look(queued), [(25,)])
        self.world.wait(0.2)
        self.assertEqual(self.bob.look(queued), [(5,)])


class OwedTests(ReceiptCase):
    """Who is told nothing."""

    def assertNothingTold(self, before: int) -> None:
        self.world.wait(10)
        self.bob.read()
        self.world.wait(10)
        self.assertEqual(self.sends(self.bob), before)
        self.assertEqual(self.bob.look("SELECT * FROM receipt"), [])
        self.assertEqual(self.told(), [])

    def test_a_stranger_is_told_nothing_until_he_is_accepted(self) -> None:
        carol = self.world.person(CAROL, Config()).start()
        sent = self.alice.say(carol, "who are you?")
        carol.read()
        self.world.wait(10)
        self.assertEqual(self.sends(carol), 0)
        self.assertEqual(self.told(), [])
        carol.run(carol.messenger.add_contact(self.alice.address, "alice"))
        self.world.wait(10)
        self.assertEqual(self.told(), [])
        later = self.alice.say(carol, "and now?")
        carol.read()
        self.world.wait(10)
        self.assertEqual(self.told(), [(later.message_id, SentState.READ)])
        self.assertIs(self.state(sent), SentState.DELIVERED)

    def test_each_whose_texts_were_read_at_once_is_told_whoever_else_is_not(self) -> None:
        """The last of them is a stranger."""
        carol = self.world.person(CAROL, Config()).start()
        self.bob.link.disconnect()
        sent = self.alice.say(self.bob, "one")
        carol.say(self.bob, "who are you?")
        self.bob.link.connect()
        self.world.wait(10)
        self.alice.events.clear()
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])

    def test_what_was_read_before_its_sender_was_accepted_is_never_told_of(self) -> None:
        """Also where there is no connection between the two."""
        carol = self.world.person(CAROL, Config()).start()
        self.alice.say(carol, "who are you?")
        carol.link.disconnect()
        carol.read()
        self.assertEqual(carol.look("SELECT * FROM receipt"), [])
        carol.run(carol.messenger.add_contact(self.alice.address, "alice"))
        carol.link.connect()
        self.world.wait(10)
        self.assertEqual(self.told(), [])

    def test_the_blocked_are_told_nothing(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        before = self.sends(self.bob)
        self.alice.say(self.bob, "one")
        self.assertNothingTold(before)

    def test_who_is_blocked_before_his_text_is_read_is_not_told_that_it_is(self) -> None:
        self.bob.stop()
        self.alice.say(self.bob, "one")
        self.bob.start(connect=False)
        self.bob.link.connect()
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        before = self.sends(self.bob)
        self.assertNothingTold(before)

    def test_what_was_set_aside_is_told_of_to_nobody(self) -> None:
        envelope = self.world.relay.sends(self.alice.address)[-1].envelope
        broken = envelope[:-1] + bytes((envelope[-1] ^ 1,))
        self.alice.run(self._send(broken))
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(self.bob.look("SELECT * FROM receipt"), [])
        self.bob.read()
        self.assertEqual(self.bob.look("SELECT * FROM receipt"), [])
        self.assertEqual(self.told(), [])

    async def _send(self, envelope: bytes) -> None:
        sent = self.world.relay.sends(self.alice.address)[-1]
        message = m.Send(0, BOB, sent.statement_hash, sent.token, envelope, sent.state_token, restart=True)
        await self.alice.link.request(message)

    def test_who_has_switched_receipts_off_tells_nothing_and_hears_all_the_same(self) -> None:
        self.bob.stop()
        self.bob.config = Config(receipts=False)
        self.bob.start()
        before = self.sends(self.bob)
        self.alice.say(self.bob, "one")
        self.assertNothingTold(before)
        sent = self.bob.say(self.alice, "two")
        self.alice.read()
        self.world.wait(5)
        self.assertIs(self.bob.run(self.bob.messenger.sent(sent.message_id)).state, SentState.READ)

    def test_what_was_owed_before_they_were_switched_off_is_not_told(self) -> None:
        self.alice.say(self.bob, "one")
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.QUOTA, 600.0) if isinstance(message, m.Send) else None
        )
        self.world.wait(5)
        self.alice.say(self.bob, "two")
        self.bob.kill()
        del self.world.relay.intercept[self.bob.address]
        self.assertEqual(self.bob.look("SELECT count(*) FROM receipt"), [(1,)])
        self.assertEqual(self.bob.look("SELECT kind FROM outbox"), [("receipt",)])
        self.bob.config = Config(receipts=False)
        self.bob.start()
        self.assertEqual(self.bob.look("SELECT kind FROM outbox"), [])
        self.assertNothingTold(self.sends(self.bob))

    def test_texts_of_an_account_key_that_nobody_has_accepted_are_told_of_to_nobody(self) -> None:
        self.alice.stop()
        self.alice.register()
        self.alice.start()
        self.alice.events.clear()
        before = self.sends(self.bob)
        self.alice.say(self.bob, "it is me")
        self.bob.read()
        self.world.wait(10)
        self.assertEqual(self.sends(self.bob), before)
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.world.wait(10)
        self.assertEqual(self.told(), [])
        sent = self.alice.say(self.bob, "and again")
        self.bob.read()
        self.world.wait(10)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])

    def test_a_new_account_key_is_told_nothing_of_texts_of_the_old_one(self) -> None:
        self.alice.say(self.bob, "one")
        self.bob.link.disconnect()
        self.bob.read()
        self.assertEqual(self.bob.look("SELECT state FROM receipt"), [("read",)])
        self.alice.stop()
        self.alice.register()
        self.alice.start()
        self.alice.say(self.bob, "it is me")
        self.bob.link.connect()
        self.world.wait(10)
        for table in ("receipt", "outbox"):
            self.assertEqual(self.bob.look(f"SELECT * FROM {table}"), [])
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.assertEqual(self.bob.look("SELECT state FROM receipt"), [])
        self.alice.events.clear()
        self.world.wait(10)
        self.assertEqual(self.told(), [])


class DurableTests(ReceiptCase):
    """A receipt that is owed gets there, whatever happens in between."""

    def test_what_was_read_without_a_connection_is_told_on_the_next_one(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.bob.stop()
        self.bob.start(connect=False)
        self.bob.read()
        self.bob.kill()
        self.bob.start()
        self.world.wait(5)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])

    def test_one_that_was_sealed_outlives_a_kill(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.bob.read()
        self.world.relay.lose_answers = self.world.relay.lose_pushes = True
        self.world.wait(RECEIPT_SECONDS)
        self.assertEqual(self.bob.look("SELECT kind, envelope NOT NULL FROM outbox"), [("receipt", 1)])
        self.bob.kill()
        self.world.relay.lose_answers = self.world.relay.lose_pushes = False
        self.bob.start()
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.wait(5)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])
        self.assertEqual(self.bob.look("SELECT * FROM outbox"), [])

    def test_texts_go_first(self) -> None:
        sent = self.alice.say(self.bob, "one")
        blocked = True
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.QUOTA, 20.0) if blocked and isinstance(message, m.Send) else None
        )
        self.bob.say(self.alice, "two")
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.bob.look("SELECT kind FROM outbox"), [("text",)])
        self.assertEqual(self.bob.look("SELECT state FROM receipt"), [("read",)])
        blocked = False
        self.world.wait(30)
        self.assertEqual(self.alice.read(), ["two"])
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])

    def test_one_for_somebody_who_is_no_longer_there_is_given_up_without_a_word(self) -> None:
        self.alice.say(self.bob, "one")
        self.bob.read()
        del self.world.relay.accounts[Address(ALICE)]
        self.world.wait(5)
        self.assertEqual(self.bob.look("SELECT * FROM outbox"), [])
        self.assertEqual(self.bob.look("SELECT * FROM receipt"), [])
        self.assertEqual(self.bob.unshown(), [])
        self.world.relay.accounts[Address(ALICE)] = self.alice.account


class NotingTests(ReceiptCase):
    """What Alice makes of a receipt."""

    def test_the_word_of_the_recipient_counts_before_the_answer_of_the_server(self) -> None:
        self.world.relay.lose_answers = True
        sent = self.alice.say(self.bob, "one")
        self.world.relay.lose_answers = False
        self.assertIs(sent.state, SentState.QUEUED)
        self.bob.read()
        self.world.wait(5)
        self.assertIs(self.state(sent), SentState.READ)
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.wait(5)
        self.assertIs(self.state(sent), SentState.READ)
        self.assertEqual(self.bob.read(), [])

    def test_nobody_can_tell_of_a_text_that_he_did_not_get(self) -> None:
        carol = self.world.person(CAROL, Config()).start()
        self.befriend(self.alice, carol)
        self.bob.stop()
        sent = self.alice.say(self.bob, "one")
        self.owe(carol, ALICE, sent.message_id)
        self.assertIs(self.state(sent), SentState.STORED)
        self.owe(carol, ALICE, MessageId(b"?" * 16))
        self.assertEqual(self.told(), [])

    def test_nobody_can_tell_of_a_text_that_was_sealed_for_an_older_account_key(self) -> None:
        before = self.alice.say(self.bob, "for the old one")
        self.world.wait(5)
        self.bob.stop()
        self.bob.register()
        self.bob.start()
        self.bob.say(self.alice, "it is me")
        self.alice.run(self.alice.messenger.trust(self.bob.address))
        after = self.alice.say(self.bob, "for the new one")
        for sent in (before, after):
            self.owe(self.bob, ALICE, sent.message_id)
        self.assertIs(self.state(after), SentState.READ)
        self.assertIs(self.state(before), SentState.DELIVERED)

    def test_the_same_is_told_once(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.bob.read()
        self.world.wait(5)
        self.alice.read()
        self.owe(self.bob, ALICE, sent.message_id)
        self.assertEqual(self.told(), [(sent.message_id, SentState.READ)])
        self.assertEqual(self.alice.unshown(), [])

    def test_from_whom_alice_has_blocked_nothing_is_taken(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.bob.read()
        self.world.wait(5)
        self.assertEqual(self.told(), [])
        self.assertIs(self.state(sent), SentState.DELIVERED)

    def test_a_text_that_had_failed_has_come_all_the_same(self) -> None:
        self.bob.stop()
        sent = self.alice.say(self.bob, "one")
        envelope = self.bob.stored.mailbox[-1].envelope
        self.world.relay.notify(Address(ALICE), m.NoticeReason.EXPIRED, EnvelopeId.of(envelope))
        self.world.settle()
        self.assertIs(self.state(sent), SentState.FAILED)
        self.bob.start()
        self.bob.read()
        self.world.wait(5)
        self.assertIs(self.state(sent), SentState.READ)
        (event,) = self.alice.unshown()
        self.assertIsInstance(event, ReceiptReceived)

    def test_the_newer_takes_the_place_of_the_older_that_nobody_has_seen(self) -> None:
        sent = self.alice.say(self.bob, "one")
        self.world.wait(5)
        self.bob.read()
        self.world.wait(5)
        (event,) = self.alice.unshown()
        assert isinstance(event, ReceiptReceived)
        self.assertEqual((event.message_id, event.state), (sent.message_id, SentState.READ))

    def test_they_are_not_gathered_for_ever(self) -> None:
        self.patch(arrivals, "KEPT_RECEIPTS", 3)
        sent = [self.alice.say(self.bob, str(number)) for number in range(5)]
        self.bob.read()
        self.world.wait(5)
        kept = [event.message_id for event in self.alice.unshown() if isinstance(event, ReceiptReceived)]
        self.assertEqual(len(kept), 3)
        self.assertEqual({self.state(one) for one in sent}, {SentState.READ})


class WaitingTests(ReceiptCase):
    """`reached`: until a text has come as far as somebody wants."""

    def wait_for(self, sent: SentMessage, state: SentState, timeout: float | None = 30.0) -> list[object]:
        """Begins to wait; the list gets the result."""
        outcome: list[object] = []
        waiting = self.alice.messenger.reached(sent.message_id, state, timeout)
        Deferred.fromCoroutine(waiting).addBoth(outcome.append)
        self.world.settle()
        return outcome

    def reached(self, outcome: list[object]) -> SentState:
        (message,) = outcome
        assert isinstance(message, SentMessage), message
        return message.state

    def test_each_state_ends_the_waiting_for_it_and_for_less(self) -> None:
        self.bob.stop()
        sent = self.alice.queue(self.bob, "one")
        stored, delivered, read = (
            self.wait_for(sent, state)
            for state in (SentState.STORED, SentState.DELIVERED, SentState.READ)
        )
        self.assertIs(self.reached(stored), SentState.STORED)
        self.assertEqual(delivered, [])
        self.bob.start()
        self.world.wait(5)
        self.assertIs(self.reached(delivered), SentState.DELIVERED)
        self.assertEqual(read, [])
        self.bob.read()
        self.world.wait(5)
        self.assertIs(self.reached(read), SentState.READ)
        self.assertIs(self.reached(self.wait_for(sent, SentState.STORED)), SentState.READ)

    def test_at_the_timeout_it_is_what_it_is(self) -> None:
        sent = self.alice.say(self.bob, "one")
        outcome = self.wait_for(sent, SentState.READ, 10.0)
        self.world.wait(9)
        self.assertEqual(outcome, [])
        self.world.wait(1)
        self.assertIs(self.reached(outcome), SentState.DELIVERED)

    def test_the_servers_word_is_enough_for_delivered(self) -> None:
        self.bob.stop()
        self.bob.config = Config(receipts=False)
        self.bob.start()
        sent = self.alice.say(self.bob, "one")
        self.assertIs(self.reached(self.wait_for(sent, SentState.DELIVERED)), SentState.DELIVERED)

    def test_one_that_fails_meanwhile_ends_it(self) -> None:
        self.bob.stop()
        sent = self.alice.say(self.bob, "one")
        outcome = self.wait_for(sent, SentState.READ)
        envelope = self.bob.stored.mailbox[-1].envelope
        self.world.relay.notify(Address(ALICE), m.NoticeReason.EXPIRED, EnvelopeId.of(envelope))
        self.world.settle()
        self.assertIs(self.reached(outcome), SentState.FAILED)
        self.assertEqual(self.alice.unshown(), [])

    def test_the_end_of_the_link_is_the_end_of_the_waiting(self) -> None:
        self.bob.stop()
        sent = self.alice.say(self.bob, "one")
        outcome: list[object] = []
        waiting = self.alice.messenger.reached(sent.message_id, SentState.READ, None)
        Deferred.fromCoroutine(waiting).addErrback(lambda reason: outcome.append(reason.value))
        self.alice.link.ended(Failure(Code.DISPLACED, "elsewhere"), for_good=True)
        self.world.settle()
        (failure,) = outcome
        assert isinstance(failure, Failure)
        self.assertIs(failure.code, Code.DISPLACED)
