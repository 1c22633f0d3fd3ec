"""What cannot be opened, what is missing, and what follows from it: docs/cryptography.md, "Healing"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import (
    FailedReason,
    Gap,
    KeyChanged,
    MessageFailed,
    MessageReceived,
    SentAgain,
    SentState,
    Undecryptable,
)
from e2ee.client.sending.outgoing import Outgoing
from e2ee.crypto.content import Resume, decode_content, encode_content
from e2ee.crypto.counters import NumberRange
from e2ee.crypto.own_device import create_device
from e2ee.crypto.prekey_secrets import make_signed_prekey
from e2ee.ids import EnvelopeId
from e2ee.store.client import outbox
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import FakeLink, Waiting, refused
from tests.client.people import Person, World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"
HOUR, DAY = 3600.0, 24 * 3600.0
EVERYTHING = 2**53 - 1


class HealingCase(SynchronousTestCase):
    """Alice and Bob have talked, so each has accepted the other, and are connected."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "a0")
        self.bob.say(self.alice, "b0")
        for one in (self.alice, self.bob):
            one.read()
            one.events.clear()
        self.numbered = 0

    def push(self, to: Person, *waiting: Waiting) -> None:
        """Push these to somebody who is connected."""
        to.stored.mailbox += waiting
        to.link.push_envelopes(list(waiting))
        self.world.settle()

    def garbage(self, sender: Person | None = None) -> Waiting:
        """What nobody can open, said to come from Alice."""
        self.numbered += 1
        one = sender or self.alice
        return Waiting(one.address, one.own.device, b"garbage %d" % self.numbered * 30)

    def damage(self, to: Person) -> None:
        """What is in this mailbox cannot be opened any more."""
        for waiting in to.stored.mailbox:
            waiting.envelope = waiting.envelope[:-1] + bytes([waiting.envelope[-1] ^ 1])

    def handshakes(self, person: Person) -> int:
        """How many first messages somebody has sent: a bundle was fetched for each."""
        return self.world.relay.count(person.address, m.FetchBundle)

    def sends(self, person: Person) -> int:
        return len(self.world.relay.sends(person.address))

    def shown(self, person: Person) -> list[object]:
        """Texts, and what else there is, in order; read then."""
        return [
            one.text + "!" * one.late if isinstance(one, MessageReceived)
            else one.missing if isinstance(one, Gap)
            else one.messages if isinstance(one, SentAgain)
            else type(one)
            for one in person.seen()
        ]  # fmt: skip

    def resume(
        self, sender: Person, to: Person, missing: tuple[tuple[int, int], ...], *, have_up_to: int = 0,
        sent_up_to: int = 0, gone: tuple[tuple[int, int], ...] = (),
    ) -> None:  # fmt: skip
        """Send one resume of a sender's own choice."""

        def content(outgoing: Outgoing, *arguments: Any) -> bytes | None:
            sealed = original(outgoing, *arguments)
            if outgoing.own != sender.own or arguments[3].kind is not OutboxKind.INQUIRY or sealed is None:
                return sealed
            made = decode_content(sealed)
            assert isinstance(made, Resume)
            ranges = tuple(NumberRange(*one) for one in missing)
            told = tuple(NumberRange(*one) for one in gone)
            chosen = replace(made, have_up_to=have_up_to, sent_up_to=sent_up_to, missing=ranges, gone=told)
            return encode_content(chosen)

        def queue(tx: Connection) -> None:
            outbox.add_control(tx, to.address, OutboxKind.INQUIRY, sender.messenger._context.now)

        original = Outgoing._content
        patch = self.patch(Outgoing, "_content", content)
        sender.run(sender.vault.write(queue))
        sender.messenger._sender.wake(to.address)
        self.world.settle()
        patch.restore()


class UnreadableTests(HealingCase):
    """An envelope that cannot be opened may start one healing, and proves nothing."""

    def test_a_damaged_message_arrives_once_and_both_see_what_happened(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.alice.say(self.bob, "a2")
        self.damage(self.bob)
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.shown(self.bob), [Undecryptable, Undecryptable, "a1", "a2"])
        self.assertEqual(self.shown(self.alice), [2])
        self.assertEqual(self.handshakes(self.bob), 1)

    def test_both_directions_go_on_in_the_new_session(self) -> None:
        self.push(self.bob, self.garbage())
        self.bob.read()
        before = self.alice.look("SELECT session_id FROM session")
        for number in range(3):
            self.assertIs(self.alice.say(self.bob, f"a{number}").state, SentState.DELIVERED)
            self.assertIs(self.bob.say(self.alice, f"b{number}").state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["a0", "a1", "a2"])
        self.assertEqual(self.alice.read(), ["b0", "b1", "b2"])
        self.assertEqual(len(before), 2)

    def test_only_the_damaged_one_of_several_is_sent_again(self) -> None:
        self.bob.link.disconnect()
        for number in range(1, 4):
            self.alice.say(self.bob, f"a{number}")
        broken = self.bob.stored.mailbox[1]
        broken.envelope = broken.envelope[:-1] + b"\0"
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.shown(self.bob), ["a1", Undecryptable, 1, "a3", "a2!"])
        self.assertEqual(self.shown(self.alice), [1])

    def test_id_number_and_time_are_kept(self) -> None:
        self.bob.link.disconnect()
        sent = self.alice.say(self.bob, "a1")
        (before,) = self.alice.look("SELECT sequence, sent_at FROM message WHERE text = 'a1'")
        self.damage(self.bob)
        self.world.wait(100)
        self.bob.link.connect()
        self.world.settle()
        message = self.bob.heard(MessageReceived)[-1]
        self.assertEqual((message.message_id, message.sent_at), (sent.message_id, before[1]))
        self.assertEqual(self.bob.look("SELECT sequence FROM message WHERE text = 'a1'"), [before[:1]])

    def test_a_session_that_is_lost_on_one_side_is_begun_anew(self) -> None:
        self.bob.look("DELETE FROM session RETURNING 1")
        self.alice.say(self.bob, "a1")
        self.world.wait(1)
        self.assertEqual(self.shown(self.bob), [Undecryptable, "a1"])
        self.assertIs(self.bob.say(self.alice, "b1").state, SentState.DELIVERED)
        self.assertEqual(self.shown(self.alice), [1, "b1"])

    def test_what_was_on_its_way_in_a_session_that_is_lost_arrives_once(self) -> None:
        """Sealed, sent or waiting when the resume comes: nothing is lost with the session."""
        self.bob.look("DELETE FROM session RETURNING 1")
        for number in range(1, 60):
            self.alice.queue(self.bob, f"a{number}")
        self.world.wait(10)
        texts = [one for one in self.shown(self.bob) if isinstance(one, str)]
        self.assertEqual(sorted(texts, key=lambda text: int(text.strip("a!"))), texts)
        self.assertEqual([text.strip("!") for text in texts], [f"a{number}" for number in range(1, 60)])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_what_waited_sealed_when_the_resume_came_arrives_at_once(self) -> None:
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "sealed without a connection")
        self.bob.look("DELETE FROM session RETURNING 1")
        self.push(self.bob, self.garbage())
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["sealed without a connection"])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_what_is_sent_again_comes_before_what_waits(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "dropped")
        self.bob.stored.mailbox.clear()
        self.bob.link.connect()
        self.world.settle()
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "waits")
        self.resume(self.bob, self.alice, ((2, EVERYTHING),), have_up_to=1)
        refusals = iter([refused(m.RefusalCode.BUSY, 1.0)])
        self.world.relay.intercept[self.alice.address] = lambda message: (
            next(refusals, None) if isinstance(message, m.Send) else None
        )
        self.alice.link.connect()
        self.world.wait(2)
        self.assertEqual(self.shown(self.bob), ["dropped", "waits"])

    def test_both_lose_their_sessions_at_once(self) -> None:
        for one in (self.alice, self.bob):
            one.look("DELETE FROM session WHERE rank > 0 RETURNING 1")
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.bob.queue(self.alice, "b1")
        self.bob.link.connect()
        self.world.wait(10)
        self.alice.say(self.bob, "a2")
        self.bob.say(self.alice, "b2")
        self.assertEqual(self.bob.read(), ["a1", "a2"])
        self.assertEqual(self.alice.read(), ["b1", "b2"])

    def test_healing_waits_until_the_mailbox_is_drained(self) -> None:
        """What seems to be missing may be in it."""
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.bob.stored.mailbox.insert(0, self.garbage())
        held: list[m.Message] = []
        push = FakeLink.push
        patch = self.patch(
            FakeLink,
            "push",
            lambda link, one: held.append(one) if isinstance(one, m.Drained) else push(link, one),
        )
        before = self.handshakes(self.bob)
        self.bob.link.connect()
        self.world.wait(10)
        self.assertEqual(self.handshakes(self.bob), before)
        patch.restore()
        self.bob.link.push(held[0])
        self.world.settle()
        self.assertEqual(self.handshakes(self.bob), before + 1)
        self.assertEqual(self.shown(self.bob), [Undecryptable, "a1"])
        self.assertEqual(self.shown(self.alice), [])

    def test_nothing_is_deleted(self) -> None:
        envelopes = self.bob.look("SELECT count(*) FROM envelope")
        sessions = self.bob.look("SELECT session_id FROM session")
        self.push(self.bob, self.garbage())
        self.assertGreater(self.bob.look("SELECT count(*) FROM envelope"), envelopes)
        self.assertLess(set(sessions), set(self.bob.look("SELECT session_id FROM session")))
        self.assertEqual(len(self.bob.look("SELECT 1 FROM envelope WHERE kept NOT NULL")), 1)


class SteeringTests(HealingCase):
    """Whoever can send garbage decides nothing more than one handshake an hour."""

    def flood(self, seconds: float, every: float = 60.0) -> int:
        """Garbage for so long; how many handshakes that has caused."""
        before = self.handshakes(self.bob)
        passed = 0.0
        while passed < seconds:
            self.push(self.bob, self.garbage(), self.garbage())
            self.world.clock.advance(every)
            self.world.settle()
            passed += every
        return self.handshakes(self.bob) - before

    def test_a_flood_causes_one_at_once_and_one_after_an_hour_doubling(self) -> None:
        self.assertEqual(self.flood(HOUR - 60), 1)
        self.assertEqual(self.flood(120), 1)
        self.assertEqual(self.flood(2 * HOUR - 180), 0)
        self.assertEqual(self.flood(180), 1)

    def test_two_who_heal_at_the_same_moment_begin_one_session_each(self) -> None:
        before = [self.handshakes(one) for one in (self.alice, self.bob)]
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            waiting = self.garbage(other)
            one.stored.mailbox.append(waiting)
            one.link.push_envelopes([waiting])
        self.world.settle()
        after = [self.handshakes(one) for one in (self.alice, self.bob)]
        self.assertEqual(after, [count + 1 for count in before])
        self.alice.say(self.bob, "a1")
        self.bob.say(self.alice, "b1")
        self.assertEqual(self.handshakes(self.alice) + self.handshakes(self.bob), sum(after))

    def test_the_pause_doubles_up_to_a_day(self) -> None:
        times = []
        for hour in range(6 * 24):
            before = self.handshakes(self.bob)
            self.push(self.bob, self.garbage())
            times += [hour] * (self.handshakes(self.bob) - before)
            self.world.clock.advance(HOUR - 1)
            self.push(self.bob, self.garbage())
            self.world.clock.advance(1)
        self.assertEqual(times, [0, 1, 3, 7, 15, 31, 55, 79, 103, 127])

    def test_after_two_quiet_days_the_pause_is_an_hour_again(self) -> None:
        self.flood(4 * HOUR, 600)
        self.alice.say(self.bob, "answers")
        self.world.wait(1)
        self.bob.say(self.alice, "b1")
        self.alice.say(self.bob, "answers")
        self.world.clock.advance(2 * DAY + 8 * HOUR)
        self.world.settle()
        self.assertEqual(self.flood(HOUR - 120), 1)
        self.assertEqual(self.flood(240), 1)

    def test_a_restart_forgets_no_pause(self) -> None:
        self.push(self.bob, self.garbage())
        before = self.handshakes(self.bob)
        for _ in range(3):
            self.bob.kill()
            self.bob.start()
            self.push(self.bob, self.garbage())
        self.assertEqual(self.handshakes(self.bob), before)

    def test_what_had_to_wait_is_done_when_its_time_has_come(self) -> None:
        self.push(self.bob, self.garbage())
        self.alice.look("DELETE FROM session RETURNING 1")
        self.bob.link.disconnect()
        self.alice.stop()
        self.alice.start()
        self.alice.say(self.bob, "a1")
        self.damage(self.bob)
        self.bob.link.connect()
        self.world.settle()
        self.assertNotIn("a1", self.bob.read())
        self.world.clock.advance(HOUR)
        self.world.settle()
        self.assertEqual(self.bob.read(), ["a1"])

    def test_an_answer_in_the_new_session_settles_what_was_unreadable_before_it(self) -> None:
        self.push(self.bob, self.garbage(), self.garbage(), self.garbage())
        self.alice.say(self.bob, "answers")
        before = self.handshakes(self.bob)
        self.world.clock.advance(2 * HOUR)
        self.world.settle()
        self.assertEqual(self.handshakes(self.bob), before)

    def test_a_clock_that_is_set_back_holds_nothing_up(self) -> None:
        self.push(self.bob, self.garbage())
        before = self.handshakes(self.bob)
        self.bob.messenger._context.wall = lambda: self.world.clock.seconds() - 30 * DAY
        self.push(self.bob, self.garbage())
        self.assertEqual(self.handshakes(self.bob), before + 1)

    def test_a_strangers_garbage_heals_nothing(self) -> None:
        carol = self.world.person(CAROL).start()
        self.push(self.bob, self.garbage(carol))
        carol.say(self.bob, "hello")
        before = self.sends(self.bob)
        self.push(self.bob, self.garbage(carol))
        self.world.wait(1)
        self.assertEqual(len(self.bob.heard(Undecryptable)), 2)
        self.assertEqual(self.sends(self.bob), before)
        self.assertEqual(self.bob.look(f"SELECT 1 FROM healing WHERE address = '{CAROL}' AND wanted"), [])

    def test_neither_does_a_blocked_contacts(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        self.world.settle()
        before = self.sends(self.bob)
        self.push(self.bob, self.garbage())
        self.assertEqual((self.sends(self.bob), self.bob.heard(Undecryptable)), (before, []))

    def test_nothing_is_healed_where_session_and_sender_do_not_agree(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        (waiting,) = self.bob.stored.mailbox
        self.bob.stored.mailbox.clear()
        self.bob.link.connect()
        self.world.settle()
        before = self.handshakes(self.bob)
        self.push(self.bob, Waiting(waiting.sender, self.bob.own.device, waiting.envelope))
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(self.handshakes(self.bob), before)


class TrustTests(HealingCase):
    """Healing takes no other key, and nothing goes by itself to a key that nobody accepted."""

    def test_another_account_key_stops_it_and_is_told(self) -> None:
        self.alice.stop()
        self.alice.register()
        self.push(self.bob, self.garbage())
        self.assertEqual(len(self.bob.heard(KeyChanged)), 1)
        before = self.sends(self.bob)
        self.push(self.bob, self.garbage())
        self.world.clock.advance(2 * HOUR)
        self.world.settle()
        self.assertEqual(self.sends(self.bob), before)

    def test_nothing_is_sent_to_the_new_key_after_trust_but_what_its_owner_writes(self) -> None:
        self.alice.stop()
        self.alice.register()
        self.push(self.bob, self.garbage())
        before = self.sends(self.bob)
        self.bob.run(self.bob.messenger.trust(self.alice.address))
        self.world.wait(2)
        self.world.clock.advance(2 * HOUR)
        self.world.settle()
        self.assertEqual(self.sends(self.bob), before)

    def test_a_lower_generation_is_refused_and_the_old_session_goes_on(self) -> None:
        older = create_device(self.alice.address, 1, self.alice.entropy)
        forged = replace(older, account_secret=self.alice.own.account_secret)
        statement = replace(older.statement, account_key=self.alice.own.statement.account_key)
        self.alice.stored.served = statement.encode() + forged.account_secret.sign(
            b"e2ee/1 account statement", statement.encode()
        )
        before = self.sends(self.bob)
        self.push(self.bob, self.garbage())
        self.assertEqual(self.sends(self.bob), before)
        self.alice.stored.served = None
        self.assertIs(self.bob.say(self.alice, "in the old session").state, SentState.DELIVERED)

    def test_an_older_signed_prekey_is_refused_and_asked_for_again_later(self) -> None:
        self.push(self.bob, self.garbage())
        newest = self.alice.stored.signed_prekey
        owner = self.alice.own.device_signing_secret
        old = make_signed_prekey(owner, 7, int(1000 * (self.world.clock.seconds() - DAY)), self.alice.entropy)
        self.alice.stored.signed_prekey = old[1]
        self.world.clock.advance(HOUR)
        before = self.sends(self.bob)
        self.push(self.bob, self.garbage())
        self.assertEqual(self.sends(self.bob), before)
        self.alice.stored.signed_prekey = newest
        self.world.clock.advance(2 * HOUR)
        self.world.settle()
        self.assertEqual(self.sends(self.bob), before + 1)

    def test_a_directory_that_refuses_leaves_the_old_session_to_the_texts(self) -> None:
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.RATE_LIMITED, 600.0) if isinstance(message, m.FetchBundle) else None
        )
        self.push(self.bob, self.garbage())
        self.assertIs(self.bob.say(self.alice, "goes on").state, SentState.DELIVERED)


class ResumeTests(HealingCase):
    """What a resume is answered with, and what not."""

    def test_only_what_was_never_confirmed_is_sent_again(self) -> None:
        for number in range(1, 3):
            self.alice.say(self.bob, f"a{number}")
        self.bob.say(self.alice, "confirms a2")
        self.alice.say(self.bob, "a3")
        self.shown(self.alice)
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        self.assertEqual(self.shown(self.alice), [1])
        (row,) = self.alice.look("SELECT text FROM message WHERE sent_again > 0")
        self.assertEqual(row, ("a3",))

    def test_at_the_most_twice_each(self) -> None:
        self.alice.say(self.bob, "a1")
        for times in (1, 2, 2):
            self.resume(self.bob, self.alice, ((2, EVERYTHING),), have_up_to=1)
            self.assertEqual(self.alice.look("SELECT sent_again FROM message WHERE text = 'a1'"), [(times,)])
        self.assertEqual(self.bob.read(), ["a1"])

    def test_nothing_older_than_thirty_days(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "old")
        self.bob.stored.mailbox.clear()
        self.world.clock.advance(30 * DAY - 60)
        self.world.settle()
        self.alice.say(self.bob, "young")
        self.world.clock.advance(120)
        self.bob.stored.mailbox.clear()
        self.bob.link.connect()
        self.world.settle()
        self.resume(self.bob, self.alice, ((2, EVERYTHING),), have_up_to=1)
        self.assertEqual(self.alice.look("SELECT text FROM message WHERE sent_again > 0"), [("young",)])

    def test_not_what_has_failed_and_not_what_waits(self) -> None:
        self.alice.say(self.bob, "fails")
        self.alice.look("UPDATE message SET state = 'failed' WHERE text = 'fails' RETURNING 1")
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        self.assertEqual(self.alice.look("SELECT 1 FROM message WHERE sent_again > 0"), [])

    def test_from_a_changed_key_it_gives_nothing(self) -> None:
        self.alice.say(self.bob, "a1")
        self.bob.stop()
        self.bob.register()
        self.bob.start()
        before = self.sends(self.alice)
        self.bob.run(self.bob.messenger.add_contact(self.alice.address, "alice"))
        self.world.settle()
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        self.assertEqual(len(self.alice.heard(KeyChanged)), 1)
        self.assertEqual(self.sends(self.alice), before)
        self.assertEqual(self.alice.heard(SentAgain), [])

    def test_after_trust_it_gives_nothing_of_what_was_written_to_the_key_before(self) -> None:
        self.alice.say(self.bob, "a1")
        self.bob.stop()
        self.bob.register()
        self.bob.start()
        self.bob.run(self.bob.messenger.add_contact(self.alice.address, "alice"))
        self.world.settle()
        self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        self.assertEqual(self.alice.heard(SentAgain), [])

    def test_from_the_key_before_it_gives_nothing_any_more(self) -> None:
        """Its session still opens what comes, if a server lets it come."""
        self.alice.link.disconnect()
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        late = self.alice.stored.mailbox[-1]
        self.alice.stored.mailbox.clear()
        self.bob.stop()
        self.bob.register()
        self.bob.start()
        self.alice.link.connect()
        self.world.settle()
        self.alice.say(self.bob, "to the old key")
        self.alice.run(self.alice.messenger.trust(self.bob.address))
        self.world.settle()
        self.push(self.alice, late)
        self.assertEqual(self.alice.heard(Undecryptable), [])
        self.assertEqual(self.alice.heard(SentAgain), [])
        self.assertEqual(self.alice.look("SELECT 1 FROM message WHERE sent_again > 0"), [])

    def test_for_somebody_elses_message_it_gives_nothing(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.say(carol, "for carol's eyes")
        carol.say(self.alice, "and back")
        for number in range(1, 9):
            self.alice.say(carol, f"c{number}")
        self.resume(self.bob, self.alice, ((1, EVERYTHING),))
        self.assertEqual(self.alice.heard(SentAgain), [])
        self.assertEqual(self.alice.look("SELECT 1 FROM message WHERE sent_again > 0"), [])
        self.assertEqual(self.bob.read(), [])

    def test_from_a_stranger_or_somebody_blocked_it_gives_nothing(self) -> None:
        self.alice.say(self.bob, "a1")
        for change in ("accepted = 0", "blocked = 1"):
            self.alice.look(f"UPDATE contact SET accepted = 1, {change} RETURNING 1")
            self.resume(self.bob, self.alice, ((1, EVERYTHING),))
            self.assertEqual(self.alice.heard(SentAgain), [], change)

    def test_what_will_not_come_is_told_and_leaves_no_hole_for_ever(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "lost")
        self.bob.stored.mailbox.clear()
        self.alice.look("UPDATE message SET state = 'failed' WHERE text = 'lost' RETURNING 1")
        self.alice.say(self.bob, "a2")
        self.bob.link.connect()
        self.world.wait(6)
        self.assertEqual(self.shown(self.bob), [1, "a2"])
        self.assertEqual(self.bob.look("SELECT received_up_to FROM stream"), [(3,)])
        self.bob.say(self.alice, "b1")
        self.assertEqual(self.alice.look("SELECT have_up_to FROM contact"), [(3,)])

    def test_what_the_other_side_calls_gone_beyond_what_it_has_sent_is_not_believed(self) -> None:
        self.resume(self.alice, self.bob, (), sent_up_to=5, gone=((2, EVERYTHING),))
        self.assertEqual(self.bob.look("SELECT received_up_to FROM stream"), [(1,)])

    def test_control_contents_are_never_sent_again(self) -> None:
        self.alice.run(self.alice.messenger.add_contact(self.bob.address, "bob"))
        self.world.settle()
        before = self.sends(self.alice)
        self.resume(self.bob, self.alice, ((2, EVERYTHING),))
        self.assertEqual(self.sends(self.alice), before)

    def test_it_is_shown_to_nobody(self) -> None:
        self.push(self.bob, self.garbage())
        self.assertEqual(self.shown(self.alice), [])
        history = self.alice.look("SELECT count(*) FROM message WHERE direction = 'in'")
        self.assertEqual(history, [(1,)])


class MissingTests(HealingCase):
    """What the server has dropped is noticed, asked for, and comes once."""

    def drop(self, *texts: str) -> None:
        """The server says `stored` and loses these."""
        self.bob.link.disconnect()
        for text in texts:
            self.assertIs(self.alice.say(self.bob, text).state, SentState.STORED)
        self.bob.stored.mailbox.clear()

    def test_a_gap_is_asked_for_in_the_session_that_there_is(self) -> None:
        self.drop("a1", "a2")
        self.alice.say(self.bob, "a3")
        handshakes = self.handshakes(self.bob)
        self.bob.link.connect()
        self.world.wait(6)
        self.assertEqual(self.shown(self.bob), [2, "a3", "a1!", "a2!"])
        self.assertEqual(self.shown(self.alice), [2])
        self.assertEqual(self.handshakes(self.bob), handshakes)

    def test_a_dropped_tail_is_noticed_by_the_next_answer(self) -> None:
        self.drop("a1", "a2")
        self.world.clock.advance(600)
        self.bob.link.connect()
        self.world.settle()
        self.bob.say(self.alice, "have you written?")
        self.world.wait(6)
        self.assertEqual(self.shown(self.bob), ["a1", "a2"])
        self.assertEqual(self.shown(self.alice), ["have you written?", 2])

    def test_texts_that_crossed_with_the_answer_are_not_missing(self) -> None:
        self.drop("a1")
        self.bob.link.connect()
        self.world.settle()
        before = self.sends(self.alice)
        self.bob.say(self.alice, "crossed")
        self.assertEqual(self.sends(self.alice), before)

    def test_a_tail_that_was_not_dropped_costs_one_question(self) -> None:
        """The answer was sealed before the texts came."""
        self.bob.link.disconnect()
        self.bob.queue(self.alice, "sealed before")
        self.alice.say(self.bob, "a1")
        self.world.clock.advance(601)
        self.world.settle()
        before = self.sends(self.alice)
        self.bob.link.connect()
        self.world.wait(6)
        self.assertEqual(self.sends(self.alice), before + 1)
        self.assertEqual((self.shown(self.bob), self.alice.heard(SentAgain)), (["a1"], []))

    def test_a_question_that_finds_nothing_missing_is_not_answered(self) -> None:
        before = self.sends(self.bob)
        self.resume(self.alice, self.bob, (), have_up_to=1, sent_up_to=1)
        self.assertEqual(self.sends(self.bob), before)


class KilledTests(HealingCase):
    """At any moment of it a client may die."""

    def test_killed_at_every_step(self) -> None:
        for steps in range(0, 60, 2):
            self.bob.link.disconnect()
            self.alice.queue(self.bob, f"a{steps}")
            self.world.settle()
            self.damage(self.bob)
            self.bob.link.connect()
            for _ in range(steps):
                self.world.clock.advance(0)
                self.world.lanes.step()
            for one in (self.bob, self.alice):
                one.kill()
                one.start()
            self.world.clock.advance(3 * DAY)
            self.world.wait(6)
            self.assertEqual(self.bob.read(), [f"a{steps}"], steps)

    def test_a_resume_that_was_lost_after_it_was_stored_is_repeated_by_the_next_trouble(self) -> None:
        self.alice.link.disconnect()
        self.push(self.bob, self.garbage())
        self.alice.stored.mailbox.clear()
        self.alice.link.connect()
        self.world.settle()
        self.alice.look("DELETE FROM session RETURNING 1")
        self.world.clock.advance(HOUR)
        self.world.settle()
        self.push(self.bob, self.garbage())
        self.world.settle()
        self.assertIs(self.alice.say(self.bob, "a1").state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["a1"])


class FailedTests(HealingCase):
    """Expiry, takeover, deletion and what was never accepted are told to each sender."""

    def test_each_reason_of_the_server(self) -> None:
        for reason in m.NoticeReason:
            self.bob.link.disconnect()
            sent = self.alice.say(self.bob, reason.value)
            self.assertIs(sent.state, SentState.STORED)
            (waiting,) = self.bob.stored.mailbox
            self.bob.stored.mailbox.clear()
            self.world.relay.notify(self.alice.address, reason, EnvelopeId.of(waiting.envelope))
            self.world.settle()
            failed = self.alice.heard(MessageFailed)[-1]
            self.assertEqual((failed.message_id, failed.to), (sent.message_id, BOB))
            self.assertIs(failed.reason, FailedReason(reason.value))
            self.assertIn(failed, self.alice.seen())
            self.bob.link.connect()
            self.world.settle()

    def test_a_notice_about_the_envelope_that_was_sent_again_counts(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.damage(self.bob)
        self.bob.link.connect()
        self.world.lanes.step()
        self.world.settle()
        self.bob.link.disconnect()
        sent = self.alice.say(self.bob, "a2")
        (waiting,) = self.bob.stored.mailbox
        self.world.relay.notify(self.alice.address, m.NoticeReason.EXPIRED, EnvelopeId.of(waiting.envelope))
        self.world.settle()
        self.assertEqual([one.message_id for one in self.alice.heard(MessageFailed)], [sent.message_id])

    def test_what_the_server_has_not_accepted_in_thirty_days(self) -> None:
        self.alice.link.disconnect()
        sent = self.alice.queue(self.bob, "never")
        self.world.clock.advance(30 * DAY)
        self.world.settle()
        (failed,) = self.alice.heard(MessageFailed)
        self.assertEqual((failed.message_id, failed.reason), (sent.message_id, FailedReason.NOT_ACCEPTED))
