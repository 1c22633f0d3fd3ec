"""Conversations between two clients, through everything but the network."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import Drained, LinkUp, MessageReceived, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.wire import messages as m
from tests.client.people import World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"
EVERY_KIND = "naïve 🙂 👩‍👩‍👧 עברית ‮bidi‬ \x00\x1b[31m\r\n\u2028 é é \U0010ffff 漢"


class Conversations(SynchronousTestCase):
    """Two people, registered and not started."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE)
        self.bob = self.world.person(BOB)

    def assertUsage(self, text: str, to: str = BOB) -> None:
        with self.assertRaises(Failure) as caught:
            self.alice.run(self.alice.messenger.queue(Address(to), text))
        self.assertIs(caught.exception.code, Code.USAGE)
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])


class TalkingTests(Conversations):
    """Nothing in between goes wrong."""

    def test_both_directions(self) -> None:
        self.alice.start()
        self.bob.start()
        sent = self.alice.say(self.bob, "hello")
        self.assertIs(sent.state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["hello"])
        self.assertIs(self.bob.say(self.alice, "hello yourself").state, SentState.DELIVERED)
        self.assertEqual(self.alice.read(), ["hello yourself"])
        for turn in range(5):
            self.alice.say(self.bob, f"a{turn}")
            self.bob.say(self.alice, f"b{turn}")
        self.assertEqual(self.bob.read(), [f"a{turn}" for turn in range(5)])
        self.assertEqual(self.alice.read(), [f"b{turn}" for turn in range(5)])

    def test_what_is_told_of_a_message(self) -> None:
        self.alice.start()
        self.bob.start()
        sent = self.alice.say(self.bob, "hello")
        (event,) = self.bob.heard(MessageReceived)
        self.assertEqual((event.message_id, event.address, event.name), (sent.message_id, ALICE, None))
        self.assertEqual((event.device, event.text), (self.alice.own.device, "hello"))
        self.assertEqual((event.verified, event.repeated, event.late), (False, False, False))
        self.assertEqual(event.sent_at, int(self.world.clock.seconds() * 1000))
        self.assertEqual([event], self.bob.unshown())
        self.assertNotIn("hello", repr(event))

    def test_the_outbox_is_sent_when_all_is_answered_or_must_wait(self) -> None:
        self.alice.start()
        self.alice.say(self.bob, "zero")
        self.world.relay.lose_answers = True
        self.alice.queue(self.bob, "one")
        sent = Deferred.fromCoroutine(self.alice.messenger.outbox_sent(30.0))
        self.world.settle()
        self.assertNoResult(sent)
        self.world.wait(30)
        self.successResultOf(sent)
        self.world.relay.lose_answers = False
        self.alice.link.disconnect()
        self.alice.run(self.alice.messenger.outbox_sent(30.0))
        self.alice.link.connect()
        self.alice.run(self.alice.messenger.outbox_sent(30.0))
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])
        self.world.relay.intercept[self.alice.address] = lambda message: (
            m.Refused(0, m.RefusalCode.QUOTA, "full", 600.0) if isinstance(message, m.Send) else None
        )
        self.alice.queue(self.bob, "two")
        self.alice.run(self.alice.messenger.outbox_sent(30.0))
        self.assertEqual(len(self.alice.run(self.alice.messenger.outbox())), 1)

    def test_recipient_offline(self) -> None:
        self.alice.start()
        for text in ("one", "two", "three"):
            self.assertIs(self.alice.say(self.bob, text).state, SentState.STORED)
        self.bob.start()
        self.assertEqual(self.bob.heard(LinkUp)[0].waiting, 3)
        self.assertEqual(len(self.bob.heard(Drained)), 1)
        self.assertEqual(sum(one.texts for one in self.bob.run(self.bob.reader.unread())), 3)
        self.assertEqual(self.bob.read(), ["one", "two", "three"])
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_sender_offline(self) -> None:
        self.bob.start()
        self.alice.start(connect=False)
        sent = self.alice.say(self.bob, "kept")
        self.assertIs(sent.state, SentState.QUEUED)
        self.alice.stop()
        self.alice.start()
        self.assertEqual(self.bob.read(), ["kept"])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_a_thousand_in_a_row(self) -> None:
        self.alice.start()
        self.bob.start()
        for number in range(1001):
            Deferred.fromCoroutine(self.alice.messenger.queue(self.bob.address, str(number)))
        self.world.settle()
        self.assertEqual(self.bob.read(), [str(number) for number in range(1001)])
        # Nobody answered the first thousand: the next one begins a new session.
        self.assertEqual(self.world.relay.count(self.alice.address, m.FetchBundle), 2)

    def test_the_longest_text_and_every_kind_of_unicode(self) -> None:
        self.alice.start()
        self.bob.start()
        longest = "é" * (32 * 1024)
        self.alice.say(self.bob, longest)
        self.alice.say(self.bob, EVERY_KIND)
        self.assertEqual(self.bob.read(), [longest, EVERY_KIND])

    def test_texts_that_are_refused_leave_nothing_behind(self) -> None:
        self.alice.start(connect=False)
        for text in ("", "é" * (32 * 1024) + "x", "lone \ud800 surrogate"):
            self.assertUsage(text)
        self.assertUsage("to myself", ALICE)

    def test_an_id_is_one_message_however_often_it_is_queued(self) -> None:
        self.alice.start()
        self.bob.start()
        chosen = MessageId(b"\x05" * 16)
        for _ in range(3):
            sent = self.alice.run(self.alice.messenger.queue(self.bob.address, "once", chosen))
            self.world.settle()
        self.assertIs(sent.state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["once"])
        for to, text in ((BOB, "other"), (CAROL, "once")):
            with self.assertRaises(Failure) as caught:
                self.alice.run(self.alice.messenger.queue(Address(to), text, chosen))
            self.assertIs(caught.exception.code, Code.USAGE)

    def test_one_id_of_two_senders_is_two_messages(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.start()
        self.bob.start()
        chosen = MessageId(b"\x05" * 16)
        for sender in (self.alice, carol):
            sender.run(sender.messenger.queue(self.bob.address, f"from {sender.address}", chosen))
            self.world.settle()
        self.assertEqual(self.bob.read(), [f"from {ALICE}", f"from {CAROL}"])

    def test_first_messages_that_cross_converge(self) -> None:
        self.alice.start()
        self.bob.start()
        # Both begin a session before either hears of the other's.
        self.alice.queue(self.bob, "a0")
        self.bob.queue(self.alice, "b0")
        self.world.settle()
        for turn in range(1, 4):
            self.alice.say(self.bob, f"a{turn}")
            self.bob.say(self.alice, f"b{turn}")
        self.assertEqual(self.bob.read(), ["a0", "a1", "a2", "a3"])
        self.assertEqual(self.alice.read(), ["b0", "b1", "b2", "b3"])
        sessions = {one.envelope[2:10] for one in self.world.relay.sends(self.alice.address)[-2:]}
        sessions |= {one.envelope[2:10] for one in self.world.relay.sends(self.bob.address)[-2:]}
        self.assertEqual(len(sessions), 1)

    def test_texts_queued_before_the_first_bundle_keep_their_order(self) -> None:
        self.bob.start()
        self.alice.start(connect=False)
        for number in range(40):
            self.alice.queue(self.bob, str(number))
        self.alice.stop()
        self.alice.start()
        self.assertEqual(self.bob.read(), [str(number) for number in range(40)])
        self.assertEqual(self.world.relay.count(self.alice.address, m.FetchBundle), 1)

    def test_nothing_goes_on_after_stop(self) -> None:
        self.alice.start()
        self.bob.start()
        self.bob.stop()
        self.alice.say(self.bob, "later")
        self.world.wait(3)
        self.assertEqual(self.bob.heard(MessageReceived), [])
        self.bob.start()
        self.assertEqual(self.bob.read(), ["later"])


class LossTests(Conversations):
    """Connections end at any moment; processes, too."""

    def test_lost_answers_are_sent_again_and_shown_once(self) -> None:
        self.alice.start()
        self.bob.start()
        self.alice.say(self.bob, "first")
        self.world.relay.lose_answers = True
        for number in range(40):
            self.alice.queue(self.bob, str(number))
        self.world.settle()
        before = [one.envelope for one in self.world.relay.sends(self.alice.address)][1:]
        self.world.relay.lose_answers = False
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        again = [one.envelope for one in self.world.relay.sends(self.alice.address)][1 + len(before) :]
        self.assertEqual(again[: len(before)], before)
        self.assertEqual(self.bob.read(), ["first", *map(str, range(40))])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_a_repeated_push_is_acknowledged_again_and_not_shown_again(self) -> None:
        self.alice.start()
        self.bob.start()
        self.world.relay.push_twice = True
        self.alice.say(self.bob, "once")
        self.assertEqual(self.bob.read(), ["once"])
        self.assertEqual(len(self.bob.link.acknowledged), 2)
        verdicts = {one.verdict for one in self.bob.link.acknowledged if isinstance(one, m.Acknowledge)}
        self.assertEqual(verdicts, {m.Verdict.OPENED})

    def test_sender_killed_between_commit_and_send(self) -> None:
        self.bob.start()
        self.alice.start()
        self.alice.say(self.bob, "before")
        self.alice.queue(self.bob, "committed")
        self.alice.kill()
        self.alice.start()
        self.assertEqual(self.bob.read(), ["before", "committed"])

    def test_sender_killed_between_send_and_answer(self) -> None:
        self.bob.start()
        self.alice.start()
        self.alice.say(self.bob, "before")
        self.world.relay.lose_answers = True
        self.alice.say(self.bob, "sent")
        self.alice.kill()
        self.world.relay.lose_answers = False
        self.alice.start()
        first, again = self.world.relay.sends(self.alice.address)[-2:]
        self.assertEqual(first.envelope, again.envelope)
        self.assertEqual(self.bob.read(), ["before", "sent"])

    def test_recipient_killed_between_commit_and_acknowledgement(self) -> None:
        self.bob.start()
        self.alice.start()
        self.alice.say(self.bob, "before")
        self.patch(self.bob.link, "send", lambda _: None)
        self.alice.say(self.bob, "committed")
        self.assertEqual(self.bob.read(), ["before", "committed"])
        self.bob.kill()
        self.bob.start()
        self.assertEqual(self.bob.read(), [])
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_what_was_being_printed_at_a_kill_is_marked_as_repeated(self) -> None:
        self.bob.start()
        self.alice.start()
        self.alice.say(self.bob, "printed")
        self.alice.say(self.bob, "waits")
        printing, _ = self.bob.unshown()
        self.bob.run(self.bob.reader.mark_printing([printing.position]))
        self.bob.kill()
        self.bob.start()
        flags = [one.repeated for one in self.bob.unshown()]
        self.assertEqual(flags, [True, False])

    def test_pushes_out_of_order_are_shown_in_order(self) -> None:
        self.alice.start()
        for number in range(10):
            self.alice.say(self.bob, str(number))
        self.world.relay.backwards = True
        self.bob.start()
        self.assertEqual(self.bob.read(), [str(number) for number in range(10)])

    def test_what_was_pushed_on_an_old_connection_is_not_acknowledged_on_the_new_one(self) -> None:
        self.alice.start()
        for text in ("one", "two"):
            self.alice.say(self.bob, text)
        self.bob.start(connect=False)
        self.bob.link.start()
        self.world.clock.advance(0)  # both are pushed, and the disk has not answered
        self.bob.link.disconnect()
        self.world.relay.backwards = True
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(len(self.bob.link.acknowledged), 2)
        self.assertEqual(self.bob.stored.mailbox, [])
        self.assertEqual(self.bob.read(), ["one", "two"])

    def test_both_disconnect_at_every_step(self) -> None:
        self.alice.start()
        self.bob.start()
        for number in range(20):
            self.alice.queue(self.bob, str(number))
            for _ in range(number % 7):
                self.world.clock.advance(0)
            for one in (self.alice, self.bob)[number % 2 :]:
                one.link.disconnect()
                one.link.connect()
        self.world.settle()
        self.world.wait(10)
        self.assertEqual(self.bob.read(), [str(number) for number in range(20)])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])
