"""Whoever is blocked, or removed, is told nothing more; of the blocked nothing more is shown."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from e2ee.client.events import Gap, MessageReceived, ReceiptReceived, SentState, TimerChanged, Undecryptable
from e2ee.client.receiving.gaps import GAP_SECONDS
from e2ee.store.client import arrivals, contacts, healings, outbox
from e2ee.store.client.arrivals import Arrival, ArrivalKind
from e2ee.store.client.healings import Wanted
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.sending.test_receipts import ReceiptCase

CONTROLS = [kind for kind in OutboxKind if kind is not OutboxKind.TEXT]


class LeavingCase(ReceiptCase):
    """Alice blocks or removes Bob."""

    def block(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))

    def remove(self) -> None:
        self.alice.run(self.alice.messenger.remove_contact(self.bob.address))

    def waiting(self) -> list[tuple[str]]:
        return self.alice.look("SELECT kind FROM outbox ORDER BY position")

    def fill(self, *kinds: OutboxKind) -> None:
        """Let these wait for Bob, sealed where there is a session for it."""
        messenger = self.alice.messenger

        def operation(tx: Connection) -> None:
            now = messenger._context.now
            for kind in kinds:
                if kind is OutboxKind.RECEIPT:
                    outbox.add_receipt(tx, self.bob.address, b"\x01" + b"i" * 16, now)
                else:
                    outbox.add_control(tx, self.bob.address, kind, now)
            messenger.book._outgoing.seal_waiting(tx, self.bob.address, now)

        self.alice.run(self.alice.messenger.book.set_timer(self.bob.address, 60))
        self.alice.run(self.alice.vault.write(operation))


class WaitingTests(LeavingCase):
    """What is in the outbox then, without a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.alice.link.disconnect()
        self.world.settle()

    def assertNothingLeaves(self) -> None:
        before = self.sends(self.alice)
        self.alice.link.connect()
        self.world.wait(5)
        self.world.clock.advance(3700)
        self.world.settle()
        self.assertEqual((self.sends(self.alice), self.waiting()), (before, []))

    def test_a_timer_notice_that_is_sealed_is_not_sent_to_whom_she_blocks(self) -> None:
        self.alice.run(self.alice.messenger.book.set_timer(self.bob.address, 60))
        self.assertEqual(self.alice.look("SELECT kind, envelope IS NOT NULL FROM outbox"), [("timer", 1)])
        self.block()
        self.assertNothingLeaves()
        self.assertEqual(self.bob.heard(TimerChanged), [])

    def test_nor_is_anything_else_that_goes_by_itself(self) -> None:
        for wanted in (OutboxKind.RESUME, OutboxKind.HEALING):
            self.fill(*(kind for kind in CONTROLS if kind in (wanted, OutboxKind.TOKEN) or not _heals(kind)))
        self.assertGreater(len(self.waiting()), 4)
        self.block()
        self.assertEqual(self.waiting(), [])
        self.assertNothingLeaves()

    def test_nor_to_whom_she_removes(self) -> None:
        self.fill(*CONTROLS)
        self.remove()
        self.assertEqual(self.waiting(), [])
        self.assertNothingLeaves()

    def test_what_is_owed_and_what_is_to_be_healed_is_forgotten(self) -> None:
        for leave in (self.block, self.remove):
            self.owe(self.alice, self.bob.address, self.bob.queue(self.alice, "one").message_id)
            want = self.alice.vault.write(lambda tx: healings.want(tx, self.bob.address, Wanted.EVERYTHING))
            self.alice.run(want)
            leave()
            self.assertEqual(self.alice.look("SELECT * FROM receipt"), [])
            self.assertEqual(self.alice.look("SELECT * FROM healing WHERE wanted > 0"), [])

    def test_who_was_never_in_the_book_loses_nothing(self) -> None:
        carol = self.world.person("+15550100103").start()
        self.fill(OutboxKind.TOKEN)
        self.alice.run(self.alice.messenger.block_contact(carol.address))
        self.assertIn(("token",), self.waiting())

    def test_texts_stay_and_are_readable_without_what_was_before_them(self) -> None:
        self.fill(OutboxKind.TOKEN, OutboxKind.INQUIRY)
        self.alice.queue(self.bob, "one")
        self.fill(OutboxKind.TOKEN)
        self.alice.queue(self.bob, "two")
        self.remove()
        self.assertEqual(self.waiting(), [("text",), ("text",)])
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["one", "two"])
        self.assertEqual(self.bob.heard(Undecryptable) + self.bob.heard(Gap), [])
        self.assertIs(self.bob.say(self.alice, "three").state, SentState.DELIVERED)
        self.assertIs(self.alice.say(self.bob, "four").state, SentState.DELIVERED)
        self.assertEqual((self.alice.read(), self.bob.read()), (["three"], ["four"]))

    def test_a_session_that_was_begun_to_heal_is_as_good_without_what_began_it(self) -> None:
        self.alice.link.connect()
        self.world.settle()
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refused(m.RefusalCode.MAILBOX_FULL, 60.0) if isinstance(message, m.Send) else None
        )
        self.fill(OutboxKind.HEALING)
        self.alice.messenger._sender.wake(self.bob.address)
        self.world.settle()
        self.assertIn(("healing",), self.waiting())
        self.block()
        self.world.relay.intercept.clear()
        self.assertIs(self.alice.say(self.bob, "in the new session").state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["in the new session"])
        self.assertEqual(self.bob.heard(Undecryptable) + self.bob.heard(Gap), [])


def _heals(kind: OutboxKind) -> bool:
    return kind in (OutboxKind.RESUME, OutboxKind.INQUIRY, OutboxKind.HEALING)


class InFlightTests(LeavingCase):
    """What has left already, and is answered afterwards."""

    def answer(self, answer: m.Message | None) -> None:
        """Let the server answer like this to a token, after Alice has blocked Bob; a text is behind it."""
        first: list[m.Message] = []

        def block(message: m.Message) -> m.Message | None:
            if not isinstance(message, m.Send) or first:
                return None
            first.append(message)
            Deferred.fromCoroutine(self.alice.messenger.block_contact(self.bob.address))
            return answer

        self.alice.link.disconnect()
        self.fill(OutboxKind.TOKEN)
        sent = self.alice.queue(self.bob, "text")
        self.world.relay.intercept[self.alice.address] = block
        self.alice.link.connect()
        self.world.wait(60)
        self.assertEqual(self.waiting(), [])
        self.assertEqual(self.bob.read(), ["text"])
        self.assertIs(self.alice.run(self.alice.messenger.sent(sent.message_id)).state, SentState.DELIVERED)
        self.alice.say(self.bob, "another")
        self.assertEqual(self.bob.read(), ["another"])

    def test_it_was_accepted(self) -> None:
        self.answer(None)

    def test_the_server_was_full(self) -> None:
        self.answer(refused(m.RefusalCode.MAILBOX_FULL, 20.0))

    def test_nobody_was_there(self) -> None:
        self.answer(refused(m.RefusalCode.UNKNOWN_RECIPIENT))

    def test_there_was_another_device(self) -> None:
        self.answer(m.StaleDevice(0, self.bob.own.signed_statement, None))

    def test_what_waits_behind_one_that_waits_goes_on_without_it(self) -> None:
        refusals = [refused(m.RefusalCode.QUOTA, 600.0)]
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refusals.pop() if isinstance(message, m.Send) and refusals else None
        )
        self.fill(OutboxKind.TOKEN)
        self.assertIs(self.alice.say(self.bob, "text").state, SentState.QUEUED)
        self.remove()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["text"])

    def test_the_answer_never_came_and_it_is_not_sent_again(self) -> None:
        self.world.relay.lose_answers = True
        self.fill(OutboxKind.TOKEN)
        self.alice.messenger._sender.wake(self.bob.address)
        self.world.settle()
        self.block()
        self.world.relay.lose_answers = False
        before = self.sends(self.alice)
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.wait(60)
        self.assertEqual(self.sends(self.alice), before)


class ReceiptTests(LeavingCase):
    """Receipts that the server did not take at once."""

    def test_they_do_not_follow_later(self) -> None:
        self.bob.say(self.alice, "one")
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refused(m.RefusalCode.MAILBOX_FULL, 20.0) if isinstance(message, m.Send) else None
        )
        self.alice.read()
        self.world.wait(3)
        self.assertEqual(self.waiting(), [("receipt",)])
        self.block()
        self.world.relay.intercept.clear()
        self.world.wait(60)
        self.assertEqual(self.bob.heard(ReceiptReceived), [])


class ShowingTests(LeavingCase):
    """What has come from whom she blocks, and was not shown yet."""

    def test_nothing_that_he_has_sent_is_shown(self) -> None:
        self.bob.say(self.alice, "text")
        ((row,),) = self.alice.look("SELECT max(row) FROM message")
        own = {ArrivalKind.KEY_CHANGED, ArrivalKind.FAILED, ArrivalKind.SENT_AGAIN, ArrivalKind.RECEIPT}
        theirs = {ArrivalKind.UNDECRYPTABLE, ArrivalKind.GAP, ArrivalKind.TIMER, ArrivalKind.FILE}
        of_message = {ArrivalKind.FAILED, ArrivalKind.RECEIPT, ArrivalKind.FILE}

        def operation(tx: Connection) -> None:
            for kind in own | theirs:
                message = row if kind in of_message else None
                arrivals.add_arrival(tx, Arrival(kind, self.bob.address, 5, message=message))

        self.alice.run(self.alice.vault.write(operation))
        self.block()
        left = {kind for (kind,) in self.alice.look("SELECT kind FROM arrival")}
        self.assertEqual(left, {str(kind) for kind in own})

    def test_what_is_held_before_a_gap_is_not_shown_when_the_gap_is_given_up(self) -> None:
        self._hold("held")
        self.block()
        self.world.wait(GAP_SECONDS + 1)
        self.assertEqual(self.alice.unshown(), [])
        self.assertEqual(self.alice.heard(MessageReceived) + self.alice.heard(Gap), [])
        self.assertEqual([entry.text for entry in self.alice.past()][-1], "held")

    def test_and_leaves_no_gap_before_what_comes_after_he_is_accepted_again(self) -> None:
        self._hold("held")
        self.block()
        self.alice.run(self.alice.messenger.book.accept(self.bob.address))
        self.bob.say(self.alice, "seen")
        self.world.wait(GAP_SECONDS + 1)
        self.assertEqual(self.alice.read(), ["seen"])
        self.assertEqual(self.alice.heard(Gap), [])

    def _hold(self, text: str) -> None:
        """Bob's next text is lost, and the one after it is held."""
        self.world.relay.lose_pushes = True
        self.bob.say(self.alice, "lost")
        self.world.relay.lose_pushes = False
        self.alice.stored.mailbox.clear()
        self.world.wait(2)
        self.bob.say(self.alice, text)
        self.assertEqual(self.alice.look("SELECT text FROM message WHERE state = 'held'"), [(text,)])


class ChangedKeyTests(LeavingCase):
    """The account key of a contact changes after something was sealed for him."""

    def test_nothing_leaves_by_itself_before_the_user_has_accepted_the_key(self) -> None:
        self.alice.link.disconnect()
        self.world.settle()
        self.fill(OutboxKind.TOKEN, OutboxKind.RECEIPT, OutboxKind.RESUME, OutboxKind.TYPING)
        self.assertEqual(self.alice.look("SELECT 1 FROM outbox WHERE envelope IS NULL"), [])
        before = self.sends(self.alice)
        self._change_key()
        self.alice.link.connect()
        self.world.wait(60)
        self.assertEqual(self.sends(self.alice), before)
        self.assertNotEqual(self.waiting(), [])

    def _change_key(self) -> None:
        self.bob.stop()
        self.bob.register()
        key = self.bob.own.statement.account_key.raw
        self.alice.run(self.alice.vault.write(lambda tx: contacts.mark_pending(tx, self.bob.address, key)))
