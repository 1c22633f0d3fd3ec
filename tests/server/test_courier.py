"""Submits, acknowledgements and refusals: docs/protocol.md, "Delivery", seen by senders."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from e2ee.errors import StoreUnavailable
from e2ee.ids import Address
from e2ee.server import courier
from e2ee.server.policy import Policy, PresencePolicy
from e2ee.server.refusal import Refusal
from e2ee.server.seat_terms import WrongAcknowledgement
from e2ee.store.server.ports import Account
from e2ee.wire import messages as m
from e2ee.wire.messages import RefusalCode
from tests.server.town import ALICE, BOB, CAROL, STATE_TOKEN, TOKEN, TownCase, token_hash

STORED = m.Accepted(1, m.Outcome.STORED)
DELIVERED = m.Accepted(1, m.Outcome.DELIVERED)


class CourierCase(TownCase):
    """Bob has given out a contact token."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.town.peer(ALICE)
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))

    def refusal(self, message: m.Send) -> Refusal:
        """What a send that must be refused is refused with."""
        error: Refusal = self.failureResultOf(self.town.submit(self.alice, message), Refusal).value
        return error


class AwayTests(CourierCase):
    """The recipient is not connected."""

    def test_stored_only_after_the_commit(self) -> None:
        self.town.mailbox.slow = True
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one"))
        self.assertNoResult(answer)
        self.town.mailbox.release()
        self.assertEqual(self.successResultOf(answer), STORED)

    def test_what_waits_is_pushed_in_order_after_the_login_and_then_drained(self) -> None:
        for envelope in (b"one", b"two", b"three"):
            self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, envelope)))
        bob = self.now(self.town.log_in(BOB))
        self.assertEqual(bob.envelopes, [b"one", b"two", b"three"])
        self.assertIsInstance(bob.told[-1], m.Drained)
        self.assertEqual([(push.number, push.device) for push in bob.pushes],
                         [(ALICE, self.town.where(ALICE).device)] * 3)

    def test_acknowledged_rows_go(self) -> None:
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"one")))
        bob = self.now(self.town.log_in(BOB))
        self.town.acknowledge(bob, bob.pushes[0])
        self.assertEqual(self.now(self.town.mailbox.count()), 0)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [])

    def test_what_was_not_acknowledged_comes_again(self) -> None:
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"one")))
        first = self.now(self.town.log_in(BOB))
        second = self.now(self.town.log_in(BOB))
        self.assertEqual((first.ended, second.envelopes), ("displaced", [b"one"]))

    def test_frames_of_a_displaced_connection_are_ignored(self) -> None:
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"one")))
        first = self.now(self.town.log_in(BOB))
        self.now(self.town.log_in(BOB))
        self.town.acknowledge(first, first.pushes[0])
        self.assertEqual(self.now(self.town.mailbox.count()), 1)


class LiveTests(CourierCase):
    """The recipient is connected and has nothing to catch up with."""

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.now(self.town.log_in(BOB))

    def test_who_may_know_gets_delivered_without_the_disk(self) -> None:
        self.town.mailbox.failure = StoreUnavailable("no disk is needed")
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.assertNoResult(answer)
        self.town.acknowledge(self.bob, self.bob.pushes[0])
        self.assertEqual(self.successResultOf(answer), DELIVERED)
        self.assertEqual(self.now(self.town.mailbox.count()), 0)

    def test_set_aside_is_stored(self) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.town.acknowledge(self.bob, self.bob.pushes[0], opened=False)
        self.assertEqual(self.successResultOf(answer), STORED)

    def test_a_stranger_gets_stored_after_the_commit_and_nothing_else(self) -> None:
        self.town.mailbox.slow = True
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", b"another's token."))
        self.assertEqual(self.bob.envelopes, [])
        self.town.mailbox.release()
        self.assertEqual((self.successResultOf(answer), self.bob.envelopes), (STORED, [b"one"]))

    def test_a_hidden_recipient_is_a_stranger_to_all(self) -> None:
        self.now(self.town.rooms.set_presence(self.bob, m.SetPresence(1, token_hash(), True)))
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.assertEqual(self.successResultOf(answer), STORED)

    def test_who_has_shown_the_token_is_known_on_this_connection_until_there_is_another(self) -> None:
        wrong, other = b"another's token.", self.town.peer(ALICE)
        self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.town.submit(self.alice, self.town.send(BOB, b"two", wrong))
        self.assertEqual(self.bob.envelopes, [b"one", b"two"])
        for sender, token in ((self.alice, None), (other, wrong)):
            answer = self.town.submit(sender, self.town.send(BOB, b"three", token))
            self.assertEqual(self.successResultOf(answer), STORED)
        for push in self.bob.pushes:
            self.town.acknowledge(self.bob, push)
        self.now(self.town.rooms.set_presence(self.bob, m.SetPresence(1, token_hash(wrong[::-1]), False)))
        answer = self.town.submit(self.alice, self.town.send(BOB, b"four", TOKEN))
        self.assertEqual(self.successResultOf(answer), STORED)

    def test_one_second_without_acknowledgement_and_it_is_stored(self) -> None:
        answers = [self.town.submit(self.alice, self.town.send(BOB, e, TOKEN)) for e in (b"one", b"two")]
        self.town.network.advance(0.99)
        self.assertNoResult(answers[1])
        self.town.network.advance(0.01)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [STORED] * 2)
        self.assertEqual(self.bob.envelopes, [b"one", b"two"])
        for push in self.bob.pushes:
            self.town.acknowledge(self.bob, push)
        self.assertEqual(self.now(self.town.mailbox.count()), 0)

    def test_the_second_begins_with_the_push_however_long_the_look_up_takes(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()
        known.forget(BOB)
        find = known.find

        async def slow(address: Address) -> Account | None:
            await waiting
            return await find(address)

        self.patch(known, "find", slow)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e, TOKEN)) for e in (b"one", b"two")]
        self.town.network.advance(5)
        waiting.callback(None)
        self.assertEqual(self.bob.envelopes, [b"one", b"two"])
        self.town.network.advance(0.99)
        self.assertEqual(self.now(self.town.mailbox.count()), 0)
        for push in self.bob.pushes:
            self.town.acknowledge(self.bob, push)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [DELIVERED] * 2)

    def test_acknowledged_while_it_is_written(self) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.town.mailbox.slow = True
        self.town.network.advance(1)
        self.town.acknowledge(self.bob, self.bob.pushes[0])
        self.assertEqual(self.successResultOf(answer), DELIVERED)
        self.town.mailbox.release()
        self.assertEqual(self.now(self.town.mailbox.count()), 0)

    def test_a_lost_connection_falls_back_to_the_mailbox(self) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.town.rooms.login.leave(self.bob, 1, displaced=False)
        self.assertEqual(self.successResultOf(answer), STORED)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [b"one"])

    def test_a_new_connection_settles_until_the_old_batch_is_written(self) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.town.mailbox.slow = True
        login = Deferred.fromCoroutine(self.town.log_in(BOB))
        self.assertEqual(self.bob.ended, "displaced")
        self.assertNoResult(login)
        self.town.mailbox.release()
        self.assertEqual(self.successResultOf(login).envelopes, [b"one"])
        self.assertEqual(self.successResultOf(answer), STORED)

    def test_a_repeated_envelope_is_a_second_waiter(self) -> None:
        message = self.town.send(BOB, b"one", TOKEN)
        answers = [self.town.submit(self.alice, message) for _ in range(2)]
        self.assertEqual(len(self.bob.pushes), 1)
        self.town.acknowledge(self.bob, self.bob.pushes[0])
        self.assertEqual([self.successResultOf(answer) for answer in answers], [DELIVERED] * 2)

    def test_acknowledgements_of_what_was_never_pushed(self) -> None:
        self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        push = self.bob.pushes[0]
        for number, envelope in ((2, b"one"), (1, b"two")):
            wrong = m.Push(number, push.number, push.device, envelope)
            self.assertRaises(WrongAcknowledgement, self.town.acknowledge, self.bob, wrong)
        self.town.acknowledge(self.bob, push)
        self.town.acknowledge(self.bob, push)

    def test_settle_writes_what_is_in_memory_and_takes_no_more(self) -> None:
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.now(self.town.rooms.deliveries.settle())
        self.assertEqual(self.successResultOf(answer), STORED)
        self.assertEqual(self.refusal(self.town.send(BOB, b"two", TOKEN)).code, RefusalCode.UNAVAILABLE)
        self.assertEqual(self.refusal(self.town.send(ALICE, b"own")).code, RefusalCode.UNKNOWN_RECIPIENT)


class RefusalTests(CourierCase):
    """A refusal never lets a later message of the same pair pass."""

    def test_a_full_disk_is_unavailable_then_held_until_restart(self) -> None:
        self.town.mailbox.failure = StoreUnavailable("full")
        self.assertEqual(self.refusal(self.town.send(BOB, b"one")).code, RefusalCode.UNAVAILABLE)
        self.town.mailbox.failure = None
        self.assertEqual(self.refusal(self.town.send(BOB, b"two")).code, RefusalCode.HELD)
        for envelope, restart in ((b"one", True), (b"two", False)):
            answer = self.town.submit(self.alice, self.town.send(BOB, envelope, restart=restart))
            self.assertEqual(self.successResultOf(answer), STORED)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [b"one", b"two"])

    def test_nothing_passes_one_for_which_the_database_had_no_time(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()
        find = known.find

        async def busy(address: Address) -> Account | None:
            self.patch(known, "find", find)
            await waiting
            raise StoreUnavailable("too many operations wait")

        self.patch(known, "find", busy)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two")]
        waiting.callback(None)
        codes = [self.failureResultOf(answer, Refusal).value.code for answer in answers]
        self.assertEqual(codes, [RefusalCode.UNAVAILABLE, RefusalCode.HELD])

    def test_nothing_of_a_displaced_sender_goes_on(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()
        find = known.find

        async def slow(address: Address) -> Account | None:
            await waiting
            return await find(address)

        self.patch(known, "find", slow)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two")]
        self.alice.ready = False
        waiting.callback(None)
        for answer in answers:
            self.failureResultOf(answer, Refusal)
        self.assertEqual(self.now(self.town.mailbox.count()), 0)

    def test_what_comes_while_one_waits_for_the_disk_keeps_its_order(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()
        find, calls = known.find, [0]

        async def slow(address: Address) -> Account | None:
            calls[0] += 1
            if calls[0] == 1:
                await waiting
            return await find(address)

        self.patch(known, "find", slow)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two", b"three")]
        self.assertEqual(calls, [1])
        waiting.callback(None)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [STORED] * 3)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [b"one", b"two", b"three"])

    def test_and_also_where_the_next_has_to_wait_as_well(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, [Deferred[None]() for _ in range(3)]
        find, gates = known.find, iter(waiting)

        async def slow(address: Address) -> Account | None:
            await next(gates)
            return await find(address)

        self.patch(known, "remembered", lambda number: None)
        self.patch(known, "find", slow)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two", b"three")]
        waiting[0].callback(None)
        for answer in answers[1:]:
            self.assertNoResult(answer)
        waiting[2].callback(None)
        waiting[1].callback(None)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [STORED] * 3)
        self.assertEqual(self.now(self.town.log_in(BOB)).envelopes, [b"one", b"two", b"three"])
        self.assertEqual(self.town.rooms.courier._lanes, {})

    def test_a_defect_behind_the_disk_costs_the_senders_connection(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()

        async def defect(address: Address) -> Account | None:
            await waiting
            raise KeyError("a secret")

        self.patch(known, "find", defect)
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one"))
        waiting.callback(None)
        self.assertNoResult(answer)
        self.assertEqual((self.alice.ended, self.flushLoggedErrors()), ("aborted", []))

    def test_and_what_waits_behind_it_is_not_carried(self) -> None:
        known, waiting = self.town.rooms.courier._accounts, Deferred[None]()
        find, calls = known.find, [0]

        async def defect(address: Address) -> Account | None:
            calls[0] += 1
            if calls[0] == 1:
                await waiting
                raise KeyError("a secret")
            return await find(address)

        self.patch(known, "find", defect)
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two")]
        waiting.callback(None)
        for answer in answers:
            self.assertNoResult(answer)
        self.assertEqual((self.alice.ended, calls, self.flushLoggedErrors()), ("aborted", [1], []))
        self.assertEqual(self.town.rooms.courier._lanes, {})
        self.assertEqual(self.now(self.town.mailbox.count()), 0)

    def test_a_defect_in_an_answer_costs_the_sender_and_not_the_recipient(self) -> None:
        bob = self.now(self.town.log_in(BOB))

        def defect(answer: m.Message) -> None:
            raise KeyError("a secret")

        self.town.rooms.courier.submit(self.alice, self.town.send(BOB, b"one", TOKEN), defect)
        self.town.acknowledge(bob, bob.pushes[0])
        self.assertEqual((self.alice.ended, bob.ended), ("aborted", ""))
        again = self.town.submit(self.town.peer(ALICE), self.town.send(BOB, b"two", TOKEN))
        self.town.acknowledge(bob, bob.pushes[1])
        self.assertEqual(self.successResultOf(again), DELIVERED)

    def test_one_connection_has_refused_messages_to_so_many_and_no_more(self) -> None:
        self.patch(courier, "HELD_RECIPIENTS", 2)
        numbers = (f"+1555015{number:04}" for number in range(3))
        ended = []
        for number in numbers:
            self.refusal(replace(self.town.send(BOB, b"one"), number=number))
            ended.append(self.alice.ended)
        self.assertEqual(ended, ["", "", "aborted"])

    def test_what_was_queued_behind_a_refused_one_is_held(self) -> None:
        self.town.mailbox.slow = True
        answers = [self.town.submit(self.alice, self.town.send(BOB, e)) for e in (b"one", b"two", b"three")]
        self.town.mailbox.failure = StoreUnavailable("full")
        self.town.mailbox.release()
        codes = [self.failureResultOf(answer, Refusal).value.code for answer in answers]
        self.assertEqual(codes, [RefusalCode.UNAVAILABLE, RefusalCode.HELD, RefusalCode.HELD])

    def test_another_pair_is_not_held(self) -> None:
        self.now(self.town.settle_in(CAROL))
        self.alice.held.add(BOB)
        self.successResultOf(self.town.submit(self.alice, self.town.send(CAROL, b"one")))

    def test_oneself_and_nobody(self) -> None:
        self.assertEqual(self.refusal(self.town.send(ALICE, b"one")).code, RefusalCode.UNKNOWN_RECIPIENT)
        unknown = m.Send(1, "+15550100199", bytes(32), None, b"one", STATE_TOKEN)
        self.assertEqual(self.refusal(unknown).code, RefusalCode.UNKNOWN_RECIPIENT)

    def test_another_statement_is_stale_and_holds_nothing(self) -> None:
        old = self.town.send(BOB, b"one")
        own = self.now(self.town.settle_in(BOB))
        answer = self.successResultOf(self.town.submit(self.alice, old))
        self.assertEqual(answer, m.StaleDevice(1, own.signed_statement))
        self.now(self.town.rooms.known.set_identity(self.town.where(BOB), b"identity"))
        answer = self.successResultOf(self.town.submit(self.alice, old))
        self.assertEqual(answer, m.StaleDevice(1, own.signed_statement, b"identity"))
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"again")))

    def test_a_takeover_while_an_envelope_is_held_is_stale(self) -> None:
        bob = self.now(self.town.log_in(BOB))
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        own = self.now(self.town.settle_in(BOB))
        self.assertEqual(bob.ended, "logged out")
        self.assertEqual(self.successResultOf(answer), m.StaleDevice(1, own.signed_statement))

    def test_an_account_that_is_gone_from_the_disk_is_so_before_anybody_was_told(self) -> None:
        """The commit of an append may be that of a deletion or a takeover, which is reported after it."""
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"known")))
        old = self.town.send(BOB, b"one")
        told: list[Any] = []
        self.patch(self.town.rooms, "taken_over", lambda *report: told.append(report))
        own = self.now(self.town.settle_in(BOB))
        answer = self.successResultOf(self.town.submit(self.alice, old))
        self.assertEqual(answer, m.StaleDevice(1, own.signed_statement))
        self.now(self.town.accounts.delete(BOB, 0.0))
        self.assertEqual(self.refusal(self.town.send(BOB, b"two")).code, RefusalCode.UNKNOWN_RECIPIENT)
        self.assertEqual(len(told), 1)

    def test_probing_for_devices_counts_as_looking_up(self) -> None:
        self.town.rooms.courier.lookups.limit = 1
        first, second = (m.Send(1, f"+155501001{n}", bytes(32), None, b"x", STATE_TOKEN) for n in (77, 78))
        self.assertEqual(self.refusal(first).code, RefusalCode.UNKNOWN_RECIPIENT)
        self.assertEqual(self.refusal(second).code, RefusalCode.RATE_LIMITED)


class SmallMailboxTests(CourierCase):
    """The limits of a mailbox, each with its code."""

    policy = Policy(mailbox_messages=2, mailbox_share=1, stranger_waiting=1, messages_burst=4)

    def test_full_quota_and_rate(self) -> None:
        self.successResultOf(self.town.submit(self.alice, self.town.send(BOB, b"one")))
        self.assertEqual(self.refusal(self.town.send(BOB, b"two")).code, RefusalCode.QUOTA)
        second = self.town.send(BOB, b"two", TOKEN, restart=True)
        self.successResultOf(self.town.submit(self.alice, second))
        self.assertEqual(self.refusal(self.town.send(BOB, b"three", TOKEN)).code, RefusalCode.MAILBOX_FULL)
        limited = self.refusal(self.town.send(BOB, b"four", TOKEN, restart=True))
        self.assertEqual(limited.code, RefusalCode.RATE_LIMITED)
        self.assertAlmostEqual(limited.retry_after or 0, 0.05)


class NobodyTests(CourierCase):
    """Where presence is nobody's business, nobody hears `delivered`."""

    policy = Policy(presence=PresencePolicy.NOBODY)

    def test_stored_even_with_the_token(self) -> None:
        self.now(self.town.log_in(BOB))
        answer = self.town.submit(self.alice, self.town.send(BOB, b"one", TOKEN))
        self.assertEqual(self.successResultOf(answer), STORED)
