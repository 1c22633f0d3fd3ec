"""What is missing, what can be sent again, what is to be done: each function over one transaction."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from e2ee.ids import EnvelopeId
from e2ee.store.client import contacts, healings, holes, messages, outbox, sent_texts, sessions
from e2ee.store.client import state_counter as state
from e2ee.store.client.healings import Wanted
from e2ee.store.client.messages import Stream
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.client.sessions import SessionRecord
from tests.store.test_client_conversations import ALICE, BOB, DEVICE, OTHER, TablesCase

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


class HoleTests(TablesCase):
    """Numbers that are not here."""

    def test_each_range_between_what_is_here(self) -> None:
        for number in (1, 2, 5, 6, 9):
            self.text(number)
        stream = Stream(BOB, DEVICE, 2)
        self.assertEqual(holes.holes(self.tx, stream, 9), [(3, 4), (7, 8)])
        self.assertEqual(holes.holes(self.tx, stream, 1), [(3, 4)])
        self.assertEqual(holes.highest_received(self.tx, stream), 9)

    def test_a_forgotten_text_is_no_hole_and_another_device_has_numbers_of_its_own(self) -> None:
        self.text(3)
        self.tx.execute("INSERT INTO forgotten VALUES (?, ?, x'01', 2, 5)", (BOB, DEVICE))
        self.assertEqual(holes.holes(self.tx, Stream(BOB, DEVICE, 1), 9), [])
        self.assertEqual(holes.highest_received(self.tx, Stream(BOB, OTHER, 4)), 4)

    def test_what_somebody_says_to_have_sent_is_lacking_until_it_is_here(self) -> None:
        self.assertFalse(holes.lacks(self.tx, Stream(BOB, DEVICE, 3, 3, 3)))
        self.assertTrue(holes.lacks(self.tx, Stream(BOB, DEVICE, 3, 3, 4)))
        self.text(5)
        self.assertTrue(holes.lacks(self.tx, Stream(BOB, DEVICE, 3, 3, 0)))

    @settings(deadline=None, max_examples=40)
    @given(st.sets(st.integers(1, 60)), st.integers(0, 20))
    def test_holes_and_what_is_here_make_up_all_numbers(self, present: set[int], received: int) -> None:
        self.tx.execute("DELETE FROM message")
        for number in present:
            self.text(number)
        stream = Stream(BOB, DEVICE, received)
        newest = holes.highest_received(self.tx, stream)
        missing = {n for first, last in holes.holes(self.tx, stream, 99) for n in range(first, last + 1)}
        self.assertEqual(missing, set(range(received + 1, newest + 1)) - present)

    def test_all_numberings_of_a_number(self) -> None:
        messages.save_stream(self.tx, Stream(BOB, DEVICE, 1, 2, 3))
        messages.save_stream(self.tx, Stream(BOB, OTHER, 4, 5, 6))
        messages.save_stream(self.tx, Stream(ALICE, DEVICE, 7, 8, 9))
        self.assertEqual(len(holes.streams_of(self.tx, BOB)), 2)
        self.assertEqual(holes.streams_of(self.tx, ALICE), [Stream(ALICE, DEVICE, 7, 8, 9)])


class SentTextTests(TablesCase):
    """Own texts by their numbers."""

    def sent(self, number: int, key: bytes = KEY, state: str = "stored") -> int:
        row = self.text(number, out=True)
        messages.set_envelope(self.tx, row, EnvelopeId.of(b"%d" % number), key)
        messages.set_sent_state(self.tx, row, state)
        return row

    def again(self, *, above: int = 0, since: int = 0, times: int = 2) -> list[int]:
        found = sent_texts.sendable_again(
            self.tx, BOB, KEY, (1, 99), above=above, since=since, times=times
        )
        return [one.sequence for one in found]

    def test_only_what_the_server_accepted_for_this_key(self) -> None:
        for number, state_of_it in enumerate(("stored", "delivered", "read", "queued", "failed"), 1):
            self.sent(number, state=state_of_it)
        self.sent(6, OTHER_KEY)
        self.assertEqual(self.again(), [1, 2, 3])
        self.assertEqual(sent_texts.sent_up_to(self.tx, BOB, KEY), 3)
        self.assertEqual(sent_texts.sent_up_to(self.tx, BOB, OTHER_KEY), 6)
        self.assertEqual(sent_texts.sent_up_to(self.tx, ALICE, KEY), 0)

    def test_each_bound(self) -> None:
        rows = [self.sent(number) for number in (1, 2, 3)]
        self.assertEqual(self.again(above=2), [3])
        self.assertEqual(self.again(since=1002), [2, 3])
        for times in (1, 2):
            sent_texts.note_sent_again(self.tx, rows[0])
            messages.set_sent_state(self.tx, rows[0], "stored")
            self.assertEqual(self.again(), [1, 2, 3][times == 2 :])

    def test_what_waits_once_more_was_accepted_once(self) -> None:
        row = self.sent(4)
        sent_texts.note_sent_again(self.tx, row)
        self.assertEqual((self.again(), sent_texts.sent_up_to(self.tx, BOB, KEY)), ([], 4))

    def test_unconfirmed_between_two_times(self) -> None:
        self.sent(3)  # sent at 1003
        for above, since, until, expected in (
            (2, 1003, 1003, True), (3, 0, 9999, False), (2, 1004, 9999, False), (2, 0, 1002, False),
        ):  # fmt: skip
            found = sent_texts.is_unconfirmed(self.tx, BOB, KEY, above, since, until)
            self.assertIs(found, expected)

    def test_what_is_put_first_comes_before_all_and_nothing_keeps_its_place(self) -> None:
        first, second, again = self.text(1, out=True), self.text(2, out=True), self.text(3, out=True)
        sealed = outbox.add_to_outbox(self.tx, BOB, first, 5)
        outbox.save_envelope(self.tx, sealed, b"envelope", b"h" * 32, 5, 1)
        outbox.add_control(self.tx, BOB, OutboxKind.TOKEN, 6)
        last = outbox.add_to_outbox(self.tx, BOB, second, 7)
        outbox.add_to_outbox(self.tx, ALICE, self.text(4, out=True, to=ALICE), 8)
        outbox.put_first(self.tx, BOB, [again], 9)
        waiting = outbox.waiting_for(self.tx, BOB, 0, 9)
        self.assertEqual([one.message for one in waiting], [again, first, None, second])
        self.assertEqual([one.queued_at for one in waiting], [9, 5, 6, 7])
        self.assertEqual({one.envelope for one in waiting}, {None})
        self.assertGreater(waiting[0].position, last)
        self.assertEqual(sent_texts.numbers_to_come(self.tx, BOB), [1, 2, 3])
        self.assertEqual(len(outbox.waiting_for(self.tx, ALICE, 0, 9)), 1)

    def test_only_what_asks_for_lost_texts_is_removed(self) -> None:
        for kind in (OutboxKind.TOKEN, OutboxKind.RESUME, OutboxKind.INQUIRY, OutboxKind.HEALING):
            for address in (ALICE, BOB):
                outbox.add_control(self.tx, address, kind, 1)
        self.assertTrue(outbox.remove_resumes(self.tx, BOB))
        self.assertFalse(outbox.remove_resumes(self.tx, BOB))
        kinds = [one.kind for one in outbox.waiting_for(self.tx, BOB, 0, 9)]
        self.assertEqual((kinds, len(outbox.waiting_for(self.tx, ALICE, 0, 9))), ([OutboxKind.TOKEN], 4))
        self.assertTrue(outbox.remove_resumes(self.tx))


class HealingTableTests(TablesCase):
    """One row for each contact."""

    def test_more_is_not_forgotten_by_less(self) -> None:
        for wanted in (Wanted.MISSING, Wanted.HANDSHAKE, Wanted.EVERYTHING):
            healings.want(self.tx, BOB, wanted)
        (found,) = healings.wanted_healings(self.tx)
        self.assertEqual((found.address, found.wanted, found.healed_at), (BOB, Wanted.HANDSHAKE, None))
        healings.settle(self.tx, BOB)
        self.assertEqual(healings.wanted_healings(self.tx), [])

    def test_what_is_done_is_remembered(self) -> None:
        healings.want(self.tx, BOB, Wanted.MISSING)
        healings.note_healed(self.tx, BOB, 50, 7)
        self.assertEqual(healings.wanted_healings(self.tx), [])
        healings.want(self.tx, BOB, Wanted.MISSING)
        (found,) = healings.wanted_healings(self.tx)
        self.assertEqual((found.healed_at, found.pause), (50, 7))

    def test_an_answer_counts_in_the_session_that_was_begun_and_once(self) -> None:
        healings.want(self.tx, BOB, Wanted.HANDSHAKE)
        healings.note_session(self.tx, BOB, b"session1")
        healings.note_answered(self.tx, BOB, b"session2")
        self.assertEqual(len(healings.wanted_healings(self.tx)), 1)
        healings.note_answered(self.tx, BOB, b"session1")
        self.assertEqual(healings.wanted_healings(self.tx), [])
        healings.want(self.tx, BOB, Wanted.HANDSHAKE)
        healings.note_answered(self.tx, BOB, b"session1")
        self.assertEqual(len(healings.wanted_healings(self.tx)), 1)

    def test_what_is_gone_is_told_once(self) -> None:
        self.assertEqual(healings.take_gone(self.tx, BOB), ())
        healings.add_gone(self.tx, BOB, [(1, 2), (5, 2**53 - 1)])
        self.assertEqual(healings.take_gone(self.tx, BOB), [(1, 2), (5, 2**53 - 1)])
        self.assertEqual(healings.take_gone(self.tx, BOB), ())
        healings.want(self.tx, BOB, Wanted.MISSING)
        healings.forget_healings(self.tx)
        self.assertEqual(healings.wanted_healings(self.tx), [])


class StateCounterTests(TablesCase):
    """How far this vault has come, and the server with it."""

    def test_sealing_counts_and_sending_is_another_thing(self) -> None:
        self.assertEqual([state.advance_state(self.tx) for _ in range(3)], [1, 2, 3])
        self.assertEqual(state.sent_counter(self.tx), 0)
        state.note_sent(self.tx, 2)
        state.note_sent(self.tx, 1)
        self.assertEqual(state.sent_counter(self.tx), 2)
        state.note_all_sent(self.tx)
        self.assertEqual(state.sent_counter(self.tx), 3)

    def test_nothing_was_sent_from_a_new_vault(self) -> None:
        state.note_all_sent(self.tx)
        self.assertEqual((state.sent_counter(self.tx), state.answered_counter(self.tx)), (0, 0))

    def test_it_goes_on_above_what_was_sent_from_elsewhere(self) -> None:
        state.advance_state(self.tx)
        state.raise_state(self.tx, 40)
        self.assertEqual((state.sent_counter(self.tx), state.advance_state(self.tx)), (40, 41))

    def test_the_server_has_no_less_than_before_unless_it_is_expected(self) -> None:
        state.note_answered(self.tx, 5)
        state.note_answered(self.tx, 3)
        self.assertEqual(state.answered_counter(self.tx), 5)
        state.expect(self.tx, 2)
        self.assertEqual(state.answered_counter(self.tx), 2)
        state.forget_state(self.tx)
        self.assertEqual(state.answered_counter(self.tx), 0)

    def test_a_restoration_is_known_once(self) -> None:
        self.assertFalse(state.take_unknown(self.tx))
        state.note_unknown(self.tx)
        self.assertEqual([state.take_unknown(self.tx) for _ in range(2)], [True, False])
        self.assertEqual(state.put_back_at(self.tx), 0)
        state.note_put_back(self.tx, 77)
        self.assertEqual(state.put_back_at(self.tx), 77)


class KeptTests(TablesCase):
    """Smaller things that healing needs."""

    def test_a_retired_session_is_there_and_not_sent_on(self) -> None:
        one = SessionRecord(BOB, DEVICE, b"s" * 8, KEY, b"h" * 32, b"state")
        sessions.add_session(self.tx, one, answered=True)
        sessions.retire_sessions(self.tx)
        self.assertIsNone(sessions.session_to_send_on(self.tx, BOB, b"h" * 32))
        record = sessions.session_by_id(self.tx, BOB, b"s" * 8)
        assert record is not None
        sessions.save_opened(self.tx, record, first=False)
        self.assertIsNone(sessions.session_to_send_on(self.tx, BOB, b"h" * 32))
        other = SessionRecord(BOB, DEVICE, b"t" * 8, KEY, b"h" * 32, b"state")
        sessions.add_session(self.tx, other, answered=True)
        newer = sessions.session_to_send_on(self.tx, BOB, b"h" * 32)
        self.assertEqual(newer and newer.session_id, b"t" * 8)

    def test_the_newest_prekey_of_an_account_key_outlives_its_statement(self) -> None:
        self.assertEqual(contacts.newest_prekey_time(self.tx, BOB, KEY), 0)
        contacts.save_statement(self.tx, BOB, KEY, b"one")
        for at in (5, 3):
            contacts.note_prekey_time(self.tx, BOB, KEY, at)
        contacts.save_statement(self.tx, BOB, KEY, b"two")
        self.assertEqual(contacts.newest_prekey_time(self.tx, BOB, KEY), 5)
        self.assertEqual(contacts.load_statement(self.tx, BOB, KEY), b"two")

    def test_numbers_go_on_behind_what_a_contact_has_but_not_to_their_end(self) -> None:
        contacts.touch_contact(self.tx, BOB, accepted=True)
        contacts.save_have_up_to(self.tx, BOB, 7)
        self.assertEqual((contacts.have_up_to(self.tx, BOB), contacts.next_sequence(self.tx, BOB)), (7, 8))
        contacts.save_have_up_to(self.tx, BOB, 2**53 - 1)
        self.assertEqual(contacts.next_sequence(self.tx, BOB), 2**52 + 1)
