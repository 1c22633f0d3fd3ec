"""Texts that disappear: who agrees on what, when they go, and that they are gone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.events import (
    HistoryQuery,
    MessageFailed,
    MessageReceived,
    SentMessage,
    SentState,
    TimerChanged,
)
from e2ee.client.history.disappearing import note_timer
from e2ee.client.history.expiring import LONGEST_SECONDS
from e2ee.crypto.content import TimerNotice
from e2ee.crypto.expiry import Timer
from e2ee.crypto.limits import TIMER_SECONDS
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.store.client import contacts, outbox, sent_texts, timers
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import NOON, Person, World
from tests.store.vault_image import image

ALICE, BOB = "+15550100101", "+15550100102"
DAY = 24 * 60 * 60


class TimerCase(SynchronousTestCase):
    """Alice and Bob, who have accepted each other."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "hello")
        self.bob.say(self.alice, "hello yourself")
        for one in (self.alice, self.bob):
            one.read()
            one.events.clear()

    def set(self, one: Person, other: Person, seconds: int) -> None:
        one.run(one.messenger.book.set_timer(other.address, seconds))
        self.world.settle()

    def timer(self, one: Person, other: Person) -> int:
        return one.run(one.messenger.book.set_timer(other.address, None)).timer

    def leap(self, seconds: float) -> None:
        """Let much time pass at once."""
        self.world.clock.advance(seconds)
        self.world.settle()

    def both(self) -> tuple[int, int]:
        return self.timer(self.alice, self.bob), self.timer(self.bob, self.alice)

    def texts(self, one: Person) -> list[str]:
        return [entry.text for entry in one.past()][2:]


class AgreementTests(TimerCase):
    """Either side can set it, and the newest setting counts at both."""

    def test_a_contact_is_told_at_once_and_shown_who_has_set_it(self) -> None:
        self.set(self.alice, self.bob, 60)
        self.assertEqual(self.both(), (60, 60))
        (told,) = self.bob.heard(TimerChanged)
        self.assertEqual((told.address, told.seconds, told.at), (ALICE, 60, NOON * 1000))
        self.assertEqual(self.bob.seen(), [told])
        self.assertEqual(self.alice.unshown(), [])

    def test_either_side_can_change_it_and_switch_it_off(self) -> None:
        self.set(self.alice, self.bob, 60)
        self.set(self.bob, self.alice, 90)
        self.assertEqual(self.both(), (90, 90))
        self.set(self.alice, self.bob, 0)
        self.assertEqual(self.both(), (0, 0))
        self.assertEqual([one.seconds for one in self.bob.heard(TimerChanged)], [60, 0])

    def test_the_same_again_tells_nobody(self) -> None:
        self.set(self.alice, self.bob, 60)
        before = len(self.world.relay.sends(self.alice.address))
        self.set(self.alice, self.bob, 60)
        self.assertEqual(len(self.world.relay.sends(self.alice.address)), before)

    def test_set_by_both_at_once_both_keep_the_same(self) -> None:
        for first, second in ((60, 90), (30, 20), (10, 0)):
            with self.subTest((first, second)):
                self.alice.link.disconnect()
                self.bob.link.disconnect()
                self.set(self.alice, self.bob, first)
                self.world.wait(1)
                self.set(self.bob, self.alice, second)
                for one in (self.alice, self.bob, self.alice):
                    one.link.connect()
                    self.world.settle()
                self.assertEqual(self.both(), (second, second))

    def test_a_lost_notice_is_made_good_by_the_next_text(self) -> None:
        self.set(self.alice, self.bob, 60)

        def forget(tx: Connection) -> None:
            tx.execute("DELETE FROM timer")

        self.bob.run(self.bob.vault.write(forget))
        self.alice.say(self.bob, "with it")
        self.assertEqual(self.both(), (60, 60))

    def test_before_the_first_text_nobody_is_told_and_the_text_brings_it(self) -> None:
        carol = self.world.person("+15550100103").start()
        before = len(self.world.relay.requests)
        self.set(carol, self.bob, 60)
        self.assertEqual(len(self.world.relay.requests), before)
        self.assertEqual(carol.run(carol.messenger.contacts()), [])
        self.bob.run(self.bob.messenger.add_contact(carol.address, "Carol"))
        carol.say(self.bob, "hello")
        self.assertEqual(self.timer(self.bob, carol), 60)

    def test_of_a_stranger_it_is_not_heeded_until_he_is_accepted(self) -> None:
        carol = self.world.person("+15550100103").start()
        self.set(carol, self.bob, 60)
        carol.say(self.bob, "hello")
        self.assertEqual((self.timer(self.bob, carol), self.bob.heard(TimerChanged)), (0, []))
        self.bob.read()
        self.world.wait(61)
        self.assertEqual(self.texts(self.bob), ["hello"])
        self.bob.run(self.bob.messenger.book.accept(carol.address))
        carol.say(self.bob, "and now?")
        self.assertEqual(self.timer(self.bob, carol), 60)

    def test_nor_that_of_a_blocked_one(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        self.set(self.alice, self.bob, 60)
        self.assertEqual((self.timer(self.bob, self.alice), self.bob.unshown()), (0, []))

    def test_times_that_are_refused(self) -> None:
        self.set(self.alice, self.bob, TIMER_SECONDS)
        self.assertEqual(self.both(), (TIMER_SECONDS, TIMER_SECONDS))
        wrong = ((self.bob.address, TIMER_SECONDS + 1), (self.bob.address, -1), (self.alice.address, 60))
        for address, seconds in wrong:
            with self.assertRaises(Failure) as caught:
                self.alice.run(self.alice.messenger.book.set_timer(address, seconds))
            self.assertIs(caught.exception.code, Code.USAGE)

    def test_whatever_comes_in_whatever_order_both_end_alike(self) -> None:
        """Of any settings the same one wins, in every order of arrival."""
        moments = st.builds(
            Timer, st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.just(value=True)
        )

        @given(st.lists(moments, min_size=1, max_size=5), st.randoms())
        @settings(deadline=None, max_examples=60)
        def alike(given_timers: list[Timer], random) -> None:  # type: ignore[no-untyped-def]
            other = list(given_timers)
            random.shuffle(other)
            self.assertEqual(self.settle_on(given_timers), self.settle_on(other))

        alike()

    def settle_on(self, told: list[Timer]) -> object:
        def operation(tx: Connection) -> object:
            tx.execute("DELETE FROM timer")
            contact = contacts.load_contact(tx, Address(BOB))
            for timer in told:
                notice = TimerNotice(MessageId(bytes(16)), 1, 0, 1, 1, None, timer)
                note_timer(tx, contact, contact.trusted_key or b"", notice, 1)
            return timers.load_timer(tx, Address(BOB))

        return self.alice.run(self.alice.vault.write(operation))


class NotingTests(TimerCase):
    """Which of two settings is the newer one, and what of it is told."""

    def note(self, timer: Timer, key: bytes | None = None) -> int:
        """Alice hears of it from Bob; how many arrivals tell her."""

        def operation(tx: Connection) -> int:
            contact = contacts.load_contact(tx, Address(BOB))
            notice = TimerNotice(MessageId(bytes(16)), 1, 0, 1, 1, None, timer)
            return len(note_timer(tx, contact, key or contact.trusted_key or b"", notice, NOON * 1000))

        return self.alice.run(self.alice.vault.write(operation))

    def kept(self) -> timers.TimerRecord:
        return self.alice.run(self.alice.vault.read(lambda tx: timers.load_timer(tx, Address(BOB))))

    def test_the_version_counts_then_the_clock_then_the_longer_time(self) -> None:
        for timer, seconds in (
            (Timer(60, 1, 5, by_sender=True), 60),
            (Timer(90, 1, 4, by_sender=True), 60),
            (Timer(30, 1, 6, by_sender=True), 30),
            (Timer(20, 1, 6, by_sender=True), 30),
            (Timer(40, 1, 6, by_sender=True), 40),
            (Timer(10, 2, 0, by_sender=True), 10),
            (Timer(99, 1, 9, by_sender=True), 10),
        ):
            self.note(timer)
            self.assertEqual(self.kept().seconds, seconds, timer)

    def test_the_same_setting_is_told_once(self) -> None:
        told = [self.note(Timer(60, 1, 5, by_sender=True)) for _ in range(2)]
        self.assertEqual((told, self.kept()), ([1, 0], timers.TimerRecord(60, 1, 5, own=False)))

    def test_a_newer_setting_of_the_same_time_is_kept_and_not_told(self) -> None:
        told = [self.note(Timer(60, version, 5, by_sender=True)) for version in (1, 2)]
        self.assertEqual((told, self.kept().version), ([1, 0], 2))

    def test_an_own_setting_that_comes_back_is_an_own_one_and_not_told(self) -> None:
        self.assertEqual(self.note(Timer(60, 1, 5, by_sender=False)), 0)
        self.assertEqual(self.kept(), timers.TimerRecord(60, 1, 5, own=True))

    def test_nothing_is_taken_from_another_account_key(self) -> None:
        self.assertEqual(self.note(Timer(60, 1, 5, by_sender=True), key=b"a" * 32), 0)
        self.assertEqual(self.kept().seconds, 0)

    def test_it_is_told_with_its_time_unless_that_lies_ahead(self) -> None:
        self.note(Timer(60, 1, 5, by_sender=True))
        self.note(Timer(90, 2, NOON * 1000 + 5, by_sender=True))
        told = [event for event in self.alice.unshown() if isinstance(event, TimerChanged)]
        self.assertEqual([(event.seconds, event.at) for event in told], [(60, 5), (90, NOON * 1000)])


class GoingTests(TimerCase):
    """Own texts go after they were sent, received ones after they were first shown."""

    def setUp(self) -> None:
        super().setUp()
        self.set(self.alice, self.bob, 60)
        for one in (self.alice, self.bob):
            one.seen()

    def test_own_ones_go_counted_from_sending(self) -> None:
        self.alice.say(self.bob, "secret")
        self.world.wait(59)
        self.assertEqual(self.texts(self.alice), ["secret"])
        self.world.wait(1)
        self.assertEqual(self.texts(self.alice), [])

    def test_received_ones_counted_from_when_they_were_first_shown(self) -> None:
        self.alice.say(self.bob, "secret")
        self.leap(DAY)
        self.assertEqual(self.bob.read(), ["secret"])
        self.world.wait(59)
        self.assertEqual(self.texts(self.bob), ["secret"])
        self.world.wait(1)
        self.assertEqual(self.texts(self.bob), [])
        self.assertEqual(self.bob.past(HistoryQuery(search="secret")), [])

    def test_what_was_written_before_stays_and_so_does_what_comes_after_off(self) -> None:
        self.set(self.bob, self.alice, 0)
        self.alice.say(self.bob, "stays")
        self.bob.seen()
        self.leap(DAY)
        self.assertEqual([entry.text for entry in self.bob.past()], ["hello", "hello yourself", "stays"])

    def test_the_times_are_told(self) -> None:
        self.alice.say(self.bob, "secret")
        (event,) = self.bob.heard(MessageReceived)
        self.assertEqual(event.expires_in, 60)
        entry = self.bob.past()[-1]
        self.assertEqual((entry.expires_in, entry.expires_at), (60, None))
        self.bob.read()
        self.assertEqual(self.bob.past()[-1].expires_at, (NOON + 60) * 1000)
        self.assertEqual(self.alice.past()[-1].expires_at, (NOON + 60) * 1000)

    def test_while_it_waits_to_be_sent_it_stays(self) -> None:
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "late")
        self.leap(DAY)
        self.assertEqual(self.texts(self.alice), ["late"])
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["late"])
        self.world.wait(60)
        self.assertEqual(self.texts(self.alice), [])

    def test_while_it_waits_to_be_sent_once_more_too(self) -> None:
        """Since the contact has asked for it: its time may be over here, and it was never shown there."""
        self.alice.say(self.bob, "again")
        self.alice.link.disconnect()

        def once_more(tx: Connection) -> None:
            ((row,),) = tx.execute("SELECT row FROM message WHERE text = 'again'").fetchall()
            outbox.put_first(tx, self.bob.address, [row], self.alice.messenger._context.now)
            sent_texts.note_sent_again(tx, row)

        self.alice.run(self.alice.vault.write(once_more))
        self.leap(DAY)
        self.assertEqual(self.texts(self.alice), ["again"])
        self.alice.link.connect()
        self.world.wait(5)
        self.assertEqual(self.texts(self.alice), [])

    def test_what_failed_stays_until_that_was_told(self) -> None:
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "never")
        self.leap(31 * DAY)
        self.alice.link.connect()
        self.leap(DAY)
        self.assertEqual(self.texts(self.alice), ["never"])
        self.assertEqual([type(one) for one in self.alice.seen()], [MessageFailed])
        self.world.wait(61)
        self.assertEqual(self.texts(self.alice), [])

    def failed(self) -> SentMessage:
        """A text to nobody, of which the reader has not been told that it failed."""
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refused(m.RefusalCode.UNKNOWN_RECIPIENT) if isinstance(message, m.Send) else None
        )
        sent = self.alice.say(self.bob, "never")
        self.assertIs(sent.state, SentState.FAILED)
        self.world.wait(1)
        self.leap(DAY)
        self.assertEqual(self.texts(self.alice), ["never"])
        return sent

    def test_whoever_is_told_that_it_failed(self) -> None:
        sent = self.failed()
        self.alice.run(self.alice.messenger.note_told(sent.message_id))
        self.world.wait(1)
        self.assertEqual(self.texts(self.alice), [])

    def test_or_has_waited_for_it(self) -> None:
        sent = self.failed()
        self.alice.run(self.alice.messenger.reached(sent.message_id, SentState.STORED, None))
        self.world.wait(1)
        self.assertEqual(self.texts(self.alice), [])

    def test_those_of_somebody_who_is_blocked_unread_go_counted_from_then(self) -> None:
        self.alice.say(self.bob, "secret")
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        self.world.wait(59)
        self.assertEqual(self.texts(self.bob), ["secret"])
        self.world.wait(1)
        self.assertEqual(self.texts(self.bob), [])

    def test_after_a_restart_too(self) -> None:
        self.alice.say(self.bob, "secret")
        self.bob.read()
        for one in (self.alice, self.bob):
            one.kill()
            one.start()
        self.world.wait(60)
        self.assertEqual((self.texts(self.alice), self.texts(self.bob)), ([], []))

    def test_a_process_that_ends_as_soon_as_it_has_sent_leaves_the_time_running(self) -> None:
        self.alice.say(self.bob, "secret")
        self.alice.stop()
        self.leap(60)
        self.alice.start(connect=False)
        self.assertEqual(self.texts(self.alice), [])

    def test_what_should_have_gone_meanwhile_is_gone_before_anything_is_shown(self) -> None:
        self.alice.say(self.bob, "secret")
        self.bob.read()
        self.bob.stop()
        self.leap(DAY)
        self.bob.start(connect=False)
        self.assertEqual(self.texts(self.bob), [])

    def test_nothing_of_it_is_left_in_the_files(self) -> None:
        self.alice.say(self.bob, "the unmistakable secret")
        self.bob.read()
        self.alice.run(self.alice.messenger.typed.remember("the unmistakable secret"))
        self.world.wait(60)
        for one in (self.alice, self.bob):
            stolen = one.stolen()
            self.assertNotIn(b"unmistakable", stolen)
            self.assertNotIn(b"unmistakable", image(one.path / "vault", b"\x07" * 32))

    def test_a_text_that_comes_again_is_not_shown_again(self) -> None:
        self.world.relay.lose_answers = True
        self.alice.say(self.bob, "once")
        self.world.relay.lose_answers = False
        self.assertEqual(self.bob.read(), ["once"])
        self.world.wait(60)
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), [])

    def test_a_clock_that_is_set_forward_is_noticed(self) -> None:
        self.set(self.alice, self.bob, 30 * DAY)
        self.alice.say(self.bob, "secret")
        wall = self.alice.messenger._context
        before = wall.wall
        wall.wall = lambda: before() + 31 * DAY
        self.leap(LONGEST_SECONDS)
        self.assertEqual(self.texts(self.alice), [])


class WithReceiptsTests(TimerCase):
    """A receipt for a text that has gone is nothing."""

    def test_it_changes_nothing(self) -> None:
        self.alice.stop()
        self.bob.stop()
        for one in (self.alice, self.bob):
            one.config = Config()
            one.start()
        self.set(self.alice, self.bob, 60)
        self.alice.say(self.bob, "secret")
        self.world.wait(120)
        self.assertEqual(self.bob.read(), ["secret"])
        self.world.wait(5)
        self.assertEqual(self.texts(self.alice), [])
