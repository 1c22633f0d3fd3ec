"""What is pushed: order, gaps, what cannot be opened, what crashes the client."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import Drained, Gap, MessageReceived, Undecryptable
from e2ee.client.receiving.incoming import Incoming, Unconfirmed
from e2ee.client.receiving.keeping import Pushed, Taken
from e2ee.client.receiving.receiver import ATTEMPTS, Receiver
from e2ee.client.trust import Served
from e2ee.ids import EnvelopeId
from e2ee.store.client import envelopes
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.fake_relay import Waiting
from tests.client.people import World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class ReceiverCase(SynchronousTestCase):
    """Alice writes to Bob; both are connected, and Bob knows her."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "0")
        self.bob.read()
        self.bob.events.clear()

    def mailbox(self, *texts: str) -> list[Waiting]:
        """What these texts are in Bob's mailbox while he is away."""
        self.bob.link.disconnect()
        for text in texts:
            self.alice.say(self.bob, text)
        waiting = list(self.bob.stored.mailbox)
        self.bob.stored.mailbox.clear()
        return waiting

    def push(self, *waiting: Waiting) -> None:
        """Push these to Bob, who is connected."""
        self.bob.stored.mailbox += waiting
        self.bob.link.push_envelopes(list(waiting))
        self.world.settle()

    def shown(self) -> list[object]:
        """Texts, and sizes of gaps, in the order of their telling."""
        return [
            one.missing if isinstance(one, Gap) else one.text + "!" * one.late
            for one in self.bob.events
            if isinstance(one, Gap | MessageReceived)
        ]


class LateTests(ReceiverCase):
    """The vault is slower than the connection: what was pushed on one is taken during the next."""

    def hold_up(self, *takings: int) -> list[Deferred[None]]:
        """These of the takings to come, from 0, wait until theirs is called."""
        gates = {taking: Deferred[None]() for taking in takings}
        commit, begun = Receiver._commit, count()

        async def slow(receiver: Receiver, pushed: Pushed, served: Served | None) -> object:
            gate = gates.get(next(begun))
            if gate is not None:
                await gate
            return await commit(receiver, pushed, served)

        self.patch(Receiver, "_commit", slow)
        self.addCleanup(self.let_go, gates.values())
        return list(gates.values())

    def let_go(self, gates: Iterable[Deferred[None]]) -> None:
        for gate in gates:
            if not gate.called:
                gate.callback(None)

    def test_it_is_acknowledged_on_its_own_connection_or_not_at_all(self) -> None:
        self.bob.stored.mailbox += self.mailbox("1")
        (gate,) = self.hold_up(0)
        for _ in range(2):
            self.bob.link.disconnect()
            self.bob.link.connect()
            self.world.settle()
        before = list(self.bob.link.acknowledged)
        self.assertEqual((self.shown(), self.bob.stored.mailbox), (["1"], []))
        gate.callback(None)
        self.world.settle()
        self.assertEqual(self.bob.link.acknowledged, before)
        self.assertEqual(self.shown(), ["1"])

    def test_and_none_is_acknowledged_where_there_is_no_connection(self) -> None:
        self.bob.stored.mailbox += self.mailbox("1")
        (gate,) = self.hold_up(0)
        self.bob.link.connect()
        self.world.settle()
        self.bob.link.disconnect()
        sent: list[object] = []
        self.patch(self.bob.link, "send", sent.append)
        gate.callback(None)
        self.world.settle()
        self.assertEqual((self.shown(), sent), (["1"], []))

    def test_it_does_not_count_for_what_is_pushed_on_the_next(self) -> None:
        """Else that would be over before all of it is there, and a hole be seen where none is."""
        one, two, three = self.mailbox("1", "2", "3")
        first, last = self.hold_up(0, 3)
        self.bob.stored.mailbox.append(one)
        self.bob.link.connect()
        self.world.settle()
        self.bob.link.disconnect()
        self.bob.stored.mailbox[:] = [three, one, two]
        self.bob.link.connect()
        first.callback(None)
        self.world.settle()
        self.assertEqual(self.shown(), ["1"])
        last.callback(None)
        self.world.settle()
        self.assertEqual(self.shown(), ["1", "2", "3"])


    def test_nor_does_it_keep_up_what_is_told_once_the_next_mailbox_is_drained(self) -> None:
        one, _, three = self.mailbox("1", "2", "3")
        self.hold_up(0)
        self.bob.stored.mailbox.append(one)
        self.bob.link.connect()
        self.world.settle()
        self.bob.link.disconnect()
        self.bob.stored.mailbox[:] = [one, three]
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.shown(), ["1", 1, "3"])

    def test_that_one_mailbox_was_drained_says_nothing_of_the_next(self) -> None:
        self.bob.stored.mailbox += self.mailbox("1")
        self.hold_up(0)
        self.bob.link.connect()
        self.world.settle()
        self.bob.link.disconnect()
        push = self.bob.link.push
        self.patch(self.bob.link, "push", lambda pushed: isinstance(pushed, m.Drained) or push(pushed))
        self.bob.events.clear()
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual((self.shown(), self.bob.heard(Drained)), (["1"], []))


class OrderTests(ReceiverCase):
    """Texts are shown in the order of their sender."""

    def test_out_of_order_while_live_is_put_in_order(self) -> None:
        one, two, three = self.mailbox("1", "2", "3")
        self.bob.link.connect()
        self.world.settle()
        self.push(three, one)
        self.assertEqual(self.shown(), ["1"])
        self.push(two)
        self.assertEqual(self.shown(), ["1", "2", "3"])
        self.world.wait(10)
        self.assertEqual(self.shown(), ["1", "2", "3"])

    def test_a_gap_while_live_is_marked_after_five_seconds_and_what_comes_later_is_late(self) -> None:
        one, two, three = self.mailbox("1", "2", "3")
        self.bob.link.connect()
        self.world.settle()
        self.push(three)
        self.world.wait(4.9)
        self.assertEqual(self.shown(), [])
        self.world.wait(0.2)
        self.assertEqual(self.shown(), [2, "3"])
        self.push(two)
        self.push(one)
        self.assertEqual(self.shown(), [2, "3", "2!", "1!"])
        self.assertEqual(
            [type(one).__name__ for one in self.bob.unshown()], ["Gap", *["MessageReceived"] * 3]
        )

    def test_a_clock_that_is_set_back_holds_nothing_up(self) -> None:
        _, two = self.mailbox("1", "2")
        self.bob.link.connect()
        self.world.settle()
        self.push(two)
        self.bob.messenger._context.wall = lambda: self.world.clock.seconds() - 3600
        self.world.wait(6)
        self.assertEqual(self.shown(), [1, "2"])

    def test_a_gap_in_the_mailbox_is_waited_for_until_drained(self) -> None:
        one, _, three = self.mailbox("1", "2", "3")
        self.bob.stored.mailbox += [three, one]
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.shown(), ["1", 1, "3"])

    def test_a_connection_that_ends_before_the_directory_answers_marks_no_gap(self) -> None:
        """What was pushed and could not be believed yet comes again: nothing is missing before it."""
        one, two, three = self.mailbox("1", "2", "3")
        take = Incoming.take

        def unsure(incoming: Incoming, tx: Connection, pushed: Pushed, served: Served | None = None) -> Taken:
            if pushed.envelope == one.envelope and served is None:
                raise Unconfirmed
            return take(incoming, tx, pushed, served)

        self.patch(Incoming, "take", unsure)
        self.world.relay.lose_answers = True
        self.bob.stored.mailbox += [one, two, three]
        self.bob.link.connect()
        self.world.settle()
        self.bob.link.disconnect()
        self.world.settle()
        self.assertEqual(self.shown(), [])
        self.world.relay.lose_answers = False
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.shown(), ["1", "2", "3"])

    def test_two_gaps_are_marked_each_at_its_place(self) -> None:
        _, two, _, _, five = self.mailbox("1", "2", "3", "4", "5")
        self.bob.link.connect()
        self.world.settle()
        self.push(five, two)
        self.world.wait(6)
        self.assertEqual(self.shown(), [1, "2", 2, "5"])

    def test_a_second_gap_has_its_own_five_seconds(self) -> None:
        _, two, _, four = self.mailbox("1", "2", "3", "4")
        self.bob.link.connect()
        self.world.settle()
        self.push(two)
        self.world.wait(3)
        self.push(four)
        self.world.wait(3)
        self.assertEqual(self.shown(), [1, "2"])
        self.world.wait(3)
        self.assertEqual(self.shown(), [1, "2", 1, "4"])

    def test_what_is_held_survives_a_kill_and_is_released_when_drained(self) -> None:
        one, two = self.mailbox("1", "2")
        self.bob.link.connect()
        self.world.settle()
        self.push(two)
        self.bob.kill()
        self.bob.stored.mailbox.append(one)
        self.bob.start()
        self.assertEqual(self.bob.read(), ["1", "2"])

    def test_every_content_says_what_has_arrived_without_a_hole(self) -> None:
        _, two = self.mailbox("1", "2")
        self.bob.link.connect()
        self.world.settle()
        self.push(two)
        self.bob.say(self.alice, "I miss one")
        row = self.alice.run(
            self.alice.vault.read(lambda tx: tx.execute("SELECT have_up_to FROM contact").fetchone())
        )
        self.assertEqual(row, (1,))


class SetAsideTests(ReceiverCase):
    """What cannot be opened proves nothing about its sender, and is not lost silently."""

    def test_garbage_is_told_once_and_set_aside(self) -> None:
        garbage = Waiting(self.alice.address, self.alice.own.device, b"garbage" * 30)
        for _ in range(3):
            self.push(garbage)
        self.assertEqual([one.address for one in self.bob.heard(Undecryptable)], [ALICE])
        verdicts = [one.verdict for one in self.bob.link.acknowledged if isinstance(one, m.Acknowledge)]
        self.assertEqual(verdicts[-3:], [m.Verdict.SET_ASIDE] * 3)

    def test_every_changed_byte_is_set_aside_and_the_true_envelope_still_opens(self) -> None:
        (waiting,) = self.mailbox("true")
        self.bob.link.connect()
        self.world.settle()
        for at in range(0, len(waiting.envelope), max(1, len(waiting.envelope) // 40)):
            changed = bytearray(waiting.envelope)
            changed[at] ^= 1
            self.push(Waiting(waiting.sender, waiting.device, bytes(changed)))
        self.assertEqual(self.shown(), [])
        self.push(waiting)
        self.assertEqual(self.shown(), ["true"])

    def test_a_session_used_under_another_device_is_set_aside_and_shown_when_it_comes_rightly(
        self,
    ) -> None:
        (waiting,) = self.mailbox("mine")
        self.bob.link.connect()
        self.world.settle()
        self.push(Waiting(waiting.sender, self.bob.own.device, waiting.envelope))
        self.assertEqual((self.shown(), len(self.bob.heard(Undecryptable))), ([], 1))
        self.push(waiting)
        self.assertEqual((self.shown(), len(self.bob.heard(Undecryptable))), (["mine"], 1))

    def test_anothers_session_under_a_known_name_is_set_aside(self) -> None:
        carol = self.world.person(CAROL).start()
        self.bob.say(self.alice, "so that no handshake comes any more")
        (waiting,) = self.mailbox("mine")
        self.bob.link.connect()
        self.world.settle()
        self.push(Waiting(carol.address, carol.own.device, waiting.envelope))
        self.assertEqual(self.shown(), [])
        self.assertEqual([one.address for one in self.bob.heard(Undecryptable)], [CAROL])

    def test_an_envelope_that_fails_in_the_client_is_set_aside_at_the_third_try(self) -> None:
        tries: list[int] = []

        def fail(*_: object) -> None:
            tries.append(1)
            raise ZeroDivisionError

        self.patch(Incoming, "_open", fail)
        self.alice.say(self.bob, "poison")
        self.assertEqual(len(tries), ATTEMPTS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), ATTEMPTS)
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_an_envelope_that_kills_the_client_is_set_aside_at_the_third_try(self) -> None:
        """A killed process never comes back from the opening, so only what was committed before counts."""
        waiting = self.mailbox("poison")[0]
        self.bob.stored.mailbox.append(waiting)
        begun: list[int] = []

        def killed(*_: object) -> None:
            begun.append(1)
            raise CancelledError

        self.patch(Incoming, "_open", killed)
        self.bob.stop()
        self.bob.start()
        pushes = 1
        while self.bob.stored.mailbox and pushes < 10:
            self.bob.kill()
            self.bob.start()
            pushes += 1
        self.assertEqual((pushes, len(begun)), (3, 2))
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_a_client_killed_over_other_things_skips_nothing(self) -> None:
        """Only the one that is being opened is counted, and a kill outside of an opening counts none."""
        self.bob.stored.mailbox += self.mailbox("1", "2", "3")
        self.world.relay.lose_pushes = True
        for _ in range(5):
            self.bob.kill()
            self.bob.start()
        self.world.relay.lose_pushes = False
        self.bob.kill()
        self.bob.start()
        self.assertEqual(self.bob.read(), ["1", "2", "3"])

    def test_what_is_skipped_is_not_asked_for(self) -> None:
        """It would come again, and kill the client again."""
        self.bob.say(self.alice, "accepts her")
        (waiting,) = self.mailbox("poison")
        self.bob.kill()
        for _ in range(2):
            self.bob.opening.name = bytes(EnvelopeId.of(waiting.envelope))
            self.bob.start()
            self.bob.kill()
        self.bob.stored.mailbox.append(waiting)
        before = len(self.world.relay.sends(self.bob.address))
        self.bob.start()
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(len(self.world.relay.sends(self.bob.address)), before)


class FirstMessageTests(ReceiverCase):
    """One-time keys are used once, and first messages are known again."""

    def test_one_time_keys_go_with_the_first_message_and_its_ephemeral_key_is_kept(self) -> None:
        left = self.bob.run(self.bob.messenger.status())
        self.assertEqual((left.one_time_prekeys, left.kem_one_time_prekeys), (99, 99))
        row = self.bob.run(
            self.bob.vault.read(lambda tx: tx.execute("SELECT count(*) FROM first_message").fetchone())
        )
        self.assertEqual(row, (1,))

    def test_a_repeated_first_message_of_a_forgotten_session_is_acknowledged_and_nothing_else(
        self,
    ) -> None:
        (waiting,) = self.mailbox("again")  # unanswered, so it carries the handshake
        self.bob.link.connect()
        self.world.settle()
        self.bob.run(self.bob.vault.write(lambda tx: tx.execute("DELETE FROM session").rowcount))
        self.push(waiting)
        self.assertEqual((self.shown(), self.bob.heard(Undecryptable)), ([], []))
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_a_first_message_for_an_unknown_one_time_key_replaces_the_whole_stock_once_an_hour(
        self,
    ) -> None:
        carol = self.world.person(CAROL).start()
        before = dict(self.bob.stored.one_time)
        for _ in range(2):
            self.bob.run(
                self.bob.vault.write(
                    lambda tx: _execute(tx, "DELETE FROM prekey WHERE kind = 'one_time'")
                )
            )
            carol.say(self.bob, "hello")
        self.assertEqual(len(self.bob.heard(Undecryptable)), 2)
        after = self.bob.stored.one_time
        self.assertEqual(set(before) & set(after), set())
        replaced = [
            one
            for who, one in self.world.relay.requests
            if isinstance(one, m.Publish) and one.replace_stock
        ]
        self.assertEqual(len(replaced), 1)

    def test_a_failed_first_message_keeps_its_one_time_keys(self) -> None:
        carol = self.world.person(CAROL).start()
        self.bob.link.disconnect()
        carol.say(self.bob, "hello")
        (waiting,) = self.bob.stored.mailbox
        broken = Waiting(waiting.sender, waiting.device, waiting.envelope[:-1] + b"\0")
        self.bob.stored.mailbox.insert(0, broken)
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["hello"])


def _execute(tx: Connection, sql: str) -> list[tuple[bytes, ...]]:
    return tx.execute(sql).fetchall()


class MemoryTests(ReceiverCase):
    """What was set aside is kept, but not without end."""

    def test_only_so_many_envelopes_set_aside_are_kept(self) -> None:
        self.patch(envelopes, "KEPT_SET_ASIDE", 3)
        for number in range(5):
            self.push(Waiting(self.alice.address, self.alice.own.device, b"garbage %d" % number * 20))
        kept = self.bob.run(
            self.bob.vault.read(lambda tx: _execute(tx, "SELECT kept FROM envelope WHERE kept NOT NULL"))
        )
        self.assertEqual([row[0][:9] for row in kept], [b"garbage 2", b"garbage 3", b"garbage 4"])
