"""The vault's tables of conversations, each function over one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, ContactToken, DeviceId, EnvelopeId, MessageId
from e2ee.store.client import (
    anew,
    arrivals,
    contacts,
    envelopes,
    history,
    marks,
    messages,
    outbox,
    prekeys,
    sessions,
)
from e2ee.store.client.arrivals import Arrival, ArrivalKind
from e2ee.store.client.messages import HELD, RELEASED, MessageRecord, Stream
from e2ee.store.client.outbox import OutboxKind
from e2ee.store.client.prekeys import PreKeyKind, PreKeyRecord
from e2ee.store.client.sessions import SESSIONS_PER_DEVICE, UNANSWERED_SESSIONS, SessionRecord
from e2ee.store.connection import Connection

ALICE, BOB = Address("+15550100101"), Address("+15550100102")
DEVICE, OTHER = DeviceId(b"\x01" * 8), DeviceId(b"\x02" * 8)


class TablesCase(SynchronousTestCase):
    """A vault's tables in memory."""

    def setUp(self) -> None:
        self.tx: Connection = dbapi2.connect(":memory:", isolation_level=None)
        self.addCleanup(self.tx.close)
        self.tx.executescript(files("e2ee.store.schema.client").joinpath("0001.sql").read_text())

    def text(self, number: int, *, out: bool = False, state: str = RELEASED, to: Address = BOB) -> int:
        if out:
            contacts.touch_contact(self.tx, to, accepted=True)
        return messages.add_message(
            self.tx,
            MessageRecord(
                "out" if out else "in",
                to,
                None if out else DEVICE,
                MessageId(number.to_bytes(16, "big")),
                number,
                1000 + number,
                None if out else 2000 + number,
                f"text {number}",
                False,
                False,
                "queued" if out else state,
            ),
        )


class MarkTests(TablesCase):
    """Facts with a name, and counters."""

    def test_marks_are_replaced_and_forgotten(self) -> None:
        self.assertIsNone(marks.load_mark(self.tx, "x"))
        for value in (b"1", b"2"):
            marks.save_mark(self.tx, "x", value)
        self.assertEqual(marks.load_mark(self.tx, "x"), b"2")
        marks.forget_mark(self.tx, "x")
        self.assertIsNone(marks.load_mark(self.tx, "x"))

    def test_counters_begin_with_one_and_never_give_a_number_twice(self) -> None:
        given = [
            marks.next_count(self.tx, "n"),
            marks.next_count(self.tx, "n", 3),
            marks.next_count(self.tx, "n"),
        ]
        self.assertEqual(given, [1, 2, 5])
        for above in (3, 9):
            marks.raise_count(self.tx, "n", above)
        self.assertEqual(marks.next_count(self.tx, "n"), 10)


class PreKeyTests(TablesCase):
    """Private halves."""

    def add(self, kind: PreKeyKind, *, published: bool = True) -> int:
        key_id = prekeys.next_key_ids(self.tx, 1)[0]
        prekeys.add_prekeys(self.tx, [PreKeyRecord(key_id, kind, b"secret", b"public", 5, published)])
        return key_id

    def test_one_id_of_two_kinds_is_two_keys(self) -> None:
        for kind in (PreKeyKind.SIGNED, PreKeyKind.LAST_RESORT):
            prekeys.add_prekeys(self.tx, [PreKeyRecord(1, kind, kind.encode(), b"", 5)])
        self.assertEqual(prekeys.prekey_secret(self.tx, PreKeyKind.SIGNED, 1), b"signed")
        prekeys.delete_prekey(self.tx, PreKeyKind.SIGNED, 1)
        self.assertIsNone(prekeys.prekey_secret(self.tx, PreKeyKind.SIGNED, 1))
        self.assertEqual(prekeys.prekey_secret(self.tx, PreKeyKind.LAST_RESORT, 1), b"last_resort")

    def test_older_weekly_keys_are_retired_when_the_newer_is_published_and_not_before(self) -> None:
        old = self.add(PreKeyKind.SIGNED)
        new = self.add(PreKeyKind.SIGNED, published=False)
        prekeys.remember_first_message(self.tx, b"e" * 32, old)
        self.assertEqual(prekeys.delete_retired(self.tx, 10**9), 0)
        record = prekeys.newest_prekey(self.tx, PreKeyKind.SIGNED)
        assert record is not None
        self.assertEqual(record.key_id, new)
        prekeys.mark_published(self.tx, [record], 100)
        self.assertEqual(prekeys.delete_retired(self.tx, 100), 0)
        self.assertTrue(prekeys.first_message_seen(self.tx, b"e" * 32))
        self.assertEqual(prekeys.delete_retired(self.tx, 101), 1)
        self.assertFalse(prekeys.first_message_seen(self.tx, b"e" * 32))
        self.assertIsNone(prekeys.prekey_secret(self.tx, PreKeyKind.SIGNED, old))
        self.assertIsNotNone(prekeys.prekey_secret(self.tx, PreKeyKind.SIGNED, new))

    def test_a_retired_stock_opens_messages_and_is_not_counted_or_uploaded(self) -> None:
        key_id = self.add(PreKeyKind.ONE_TIME, published=False)
        self.assertEqual(prekeys.count_prekeys(self.tx, PreKeyKind.ONE_TIME), 1)
        prekeys.retire_stock(self.tx, 7)
        self.assertEqual(prekeys.count_prekeys(self.tx, PreKeyKind.ONE_TIME), 0)
        self.assertEqual(prekeys.unpublished_prekeys(self.tx, PreKeyKind.ONE_TIME, 9), [])
        self.assertIsNotNone(prekeys.prekey_secret(self.tx, PreKeyKind.ONE_TIME, key_id))

    def test_adopting_drops_all_others_and_goes_on_counting(self) -> None:
        self.add(PreKeyKind.ONE_TIME)
        prekeys.adopt_prekeys(self.tx, [PreKeyRecord(7, PreKeyKind.SIGNED, b"s", b"p", 5, True)])
        self.assertEqual(prekeys.count_prekeys(self.tx, PreKeyKind.ONE_TIME), 0)
        self.assertEqual(prekeys.next_key_ids(self.tx, 1)[0], 8)

    def test_secrets_do_not_show(self) -> None:
        self.assertNotIn("secret!", repr(PreKeyRecord(7, PreKeyKind.SIGNED, b"secret!", b"p", 5)))


class SessionTests(TablesCase):
    """Which session is sent on."""

    def add(
        self, number: int, device: DeviceId = DEVICE, *, answered: bool = True, statement: bytes = b"h" * 32
    ) -> SessionRecord:
        record = SessionRecord(BOB, device, bytes([number]) * 8, b"k" * 32, statement, b"state")
        sessions.add_session(self.tx, record, answered=answered)
        return record

    def current(self) -> bytes:
        record = sessions.session_to_send_on(self.tx, BOB, b"h" * 32)
        assert record is not None
        return record.session_id

    def test_the_one_in_which_a_message_was_opened_last_is_sent_on(self) -> None:
        one, two = self.add(1), self.add(2)
        self.assertEqual(self.current(), two.session_id)
        sessions.save_opened(self.tx, one, first=False)
        self.assertEqual(self.current(), one.session_id)
        sessions.save_sent(self.tx, two, first=True)
        self.assertEqual(self.current(), one.session_id)

    def test_none_with_another_statement_is_sent_on(self) -> None:
        one = self.add(1)
        other = self.add(2, statement=b"o" * 32)
        sessions.save_opened(self.tx, other, first=False)
        self.assertEqual(self.current(), one.session_id)
        sessions.save_sent(self.tx, one, first=True)
        self.add(3, statement=b"o" * 32)
        self.assertIsNone(sessions.begun_since(self.tx, one))

    def test_a_worn_one_is_followed_by_the_newest_that_was_begun_since_its_chain(self) -> None:
        before, worn = self.add(1), self.add(2)
        self.assertIsNone(sessions.begun_since(self.tx, worn))
        self.add(3)
        sessions.save_sent(self.tx, worn, first=True)
        self.assertIsNone(sessions.begun_since(self.tx, worn))
        new, newest = self.add(4, answered=False), self.add(5, answered=False)
        sessions.save_sent(self.tx, worn, first=False)
        self.assertEqual(sessions.begun_since(self.tx, worn), newest)
        for one in (newest, new, before):
            sessions.save_opened(self.tx, one, first=True)
        self.assertEqual(sessions.begun_since(self.tx, worn), newest)
        sessions.retire_sessions(self.tx)
        self.assertIsNone(sessions.begun_since(self.tx, worn))

    def test_one_and_four_older_are_kept_of_each_device(self) -> None:
        other = self.add(99, OTHER)
        records = [self.add(number) for number in range(1, SESSIONS_PER_DEVICE + 2)]
        self.assertEqual(self.kept(records), [False] + [True] * SESSIONS_PER_DEVICE)
        self.assertIsNotNone(sessions.session_by_id(self.tx, BOB, other.session_id))
        self.assertIsNone(sessions.session_by_id(self.tx, ALICE, other.session_id))

    def kept(self, records: Sequence[SessionRecord]) -> list[bool]:
        return [sessions.session_by_id(self.tx, BOB, one.session_id) is not None for one in records]

    def test_those_that_wait_for_an_answer_push_out_none_that_has_one(self) -> None:
        spoken = self.add(99)
        waiting = [self.add(number, answered=False) for number in range(1, UNANSWERED_SESSIONS + 2)]
        self.assertEqual(self.kept([spoken, *waiting]), [True, False] + [True] * UNANSWERED_SESSIONS)
        for number in range(SESSIONS_PER_DEVICE):
            self.add(100 + number)
        self.assertEqual(self.kept([spoken, *waiting]), [False, False] + [True] * UNANSWERED_SESSIONS)

    def test_those_that_wait_are_counted_over_all_devices(self) -> None:
        waiting = [
            self.add(number, DeviceId(bytes([number]) * 8), answered=False)
            for number in range(1, UNANSWERED_SESSIONS + 3)
        ]
        self.assertEqual(self.kept(waiting), [False] * 2 + [True] * UNANSWERED_SESSIONS)

    def test_the_one_that_was_begun_last_is_kept_whatever_is_opened_in_others(self) -> None:
        others = [self.add(100 + number, answered=False) for number in range(SESSIONS_PER_DEVICE)]
        newest = self.add(1)
        for one in others:
            sessions.save_opened(self.tx, one, first=True)
        self.assertEqual(self.kept([*others, newest]), [False] + [True] * SESSIONS_PER_DEVICE)

    def test_one_that_is_answered_counts_as_such_from_then_on(self) -> None:
        answered = [self.add(100 + number) for number in range(SESSIONS_PER_DEVICE)]
        waiting = self.add(1, answered=False)
        sessions.save_opened(self.tx, waiting, first=True)
        self.assertEqual(self.kept([*answered, waiting]), [False] + [True] * SESSIONS_PER_DEVICE)
        self.assertEqual(self.current(), waiting.session_id)

    def test_states_do_not_show(self) -> None:
        self.assertNotIn("state", repr(self.add(1)).replace("statement", ""))


class ContactTests(TablesCase):
    """The address book."""

    def test_an_unknown_number_has_an_empty_record_that_is_not_kept(self) -> None:
        self.assertIsNone(contacts.load_contact(self.tx, BOB).trusted_key)
        self.assertEqual(contacts.list_contacts(self.tx), [])

    def test_acceptance_is_never_taken_back_by_touching(self) -> None:
        for accepted in (False, True, False):
            contacts.touch_contact(self.tx, BOB, accepted=accepted)
        self.assertTrue(contacts.load_contact(self.tx, BOB).accepted)

    def test_kept_contacts_are_outside_the_address_book_until_touched(self) -> None:
        contacts.keep_contact(self.tx, BOB)
        self.assertEqual(contacts.list_contacts(self.tx), [])
        contacts.touch_contact(self.tx, BOB, accepted=False)
        contacts.keep_contact(self.tx, BOB)
        self.assertEqual(len(contacts.list_contacts(self.tx)), 1)

    def test_trusting_another_key_ends_verification(self) -> None:
        contacts.keep_contact(self.tx, BOB)
        contacts.trust_key(self.tx, BOB, b"a" * 32)
        contacts.mark_verified(self.tx, BOB)
        contacts.mark_pending(self.tx, BOB, b"b" * 32)
        self.assertTrue(contacts.load_contact(self.tx, BOB).verified)
        contacts.trust_key(self.tx, BOB, b"b" * 32)
        contact = contacts.load_contact(self.tx, BOB)
        self.assertEqual(
            (contact.trusted_key, contact.pending_key, contact.verified), (b"b" * 32, None, False)
        )

    def test_unlisting_keeps_the_keys(self) -> None:
        contacts.touch_contact(self.tx, BOB, accepted=True)
        contacts.name_contact(self.tx, BOB, "Bob")
        contacts.trust_key(self.tx, BOB, b"a" * 32)
        contacts.unlist_contact(self.tx, BOB)
        contact = contacts.load_contact(self.tx, BOB)
        self.assertEqual((contact.listed, contact.name, contact.trusted_key), (False, None, b"a" * 32))
        self.assertIsNone(contacts.address_of_name(self.tx, "Bob"))

    def test_sequence_numbers_begin_with_one_for_each_contact(self) -> None:
        for address in (ALICE, BOB):
            contacts.keep_contact(self.tx, address)
        self.assertEqual([contacts.next_sequence(self.tx, one) for one in (ALICE, ALICE, BOB)], [1, 2, 1])
        contacts.restart_sequence(self.tx, ALICE)
        self.assertEqual(contacts.next_sequence(self.tx, ALICE), 1)

    def test_tokens_do_not_show(self) -> None:
        contacts.keep_contact(self.tx, BOB)
        contacts.save_token(self.tx, BOB, ContactToken(b"t" * 16))
        contact = contacts.load_contact(self.tx, BOB)
        self.assertEqual(contact.token, b"t" * 16)
        self.assertNotIn("tttt", repr(contact))


class MessageTests(TablesCase):
    """Texts and their order."""

    def sequences(self) -> list[int]:
        rows = history.find(self.tx, history.Past(BOB))
        return [one.sequence for one in history.load(self.tx, rows)]

    def test_held_texts_have_no_place_until_they_are_released(self) -> None:
        held = self.text(2, state=HELD)
        self.text(1)
        self.assertEqual(self.sequences(), [1])
        self.assertEqual(messages.held_streams(self.tx), [(BOB, DEVICE)])
        messages.release_message(self.tx, held)
        self.assertEqual(self.sequences(), [1, 2])
        self.assertEqual(messages.held_streams(self.tx), [])

    def test_one_id_counts_for_each_sender_by_himself(self) -> None:
        self.text(1)
        self.assertTrue(messages.is_received(self.tx, BOB, MessageId((1).to_bytes(16, "big"))))
        self.assertFalse(messages.is_received(self.tx, ALICE, MessageId((1).to_bytes(16, "big"))))
        self.assertIsNone(messages.sent_message(self.tx, MessageId((1).to_bytes(16, "big"))))

    def test_streams_are_kept(self) -> None:
        self.assertEqual(messages.load_stream(self.tx, BOB, DEVICE), Stream(BOB, DEVICE, 0, 0))
        messages.save_stream(self.tx, Stream(BOB, DEVICE, 3, 4))
        self.assertEqual(messages.load_stream(self.tx, BOB, DEVICE), Stream(BOB, DEVICE, 3, 4))


class OutboxTests(TablesCase):
    """What waits."""

    def test_what_waits_behind_a_reason_waits_for_it_and_what_is_before_does_not(self) -> None:
        positions = [outbox.add_to_outbox(self.tx, BOB, self.text(n, out=True), 5) for n in (1, 2, 3)]
        outbox.save_error(self.tx, positions[1], "quota", "full", 9)
        entries = outbox.waiting_for(self.tx, BOB, 0, 9)
        reasons = [outbox.reason_of_waiting(self.tx, entry) for entry in entries]
        self.assertEqual(reasons, [None, ("quota", "full", 9), ("quota", "full", 9)])
        outbox.forget_errors(self.tx, BOB)
        self.assertIsNone(outbox.reason_of_waiting(self.tx, entries[1]))

    def test_only_envelopes_older_than_a_time_are_made_anew(self) -> None:
        for number, sealed_at in ((1, 10), (2, 20)):
            position = outbox.add_to_outbox(self.tx, BOB, self.text(number, out=True), 5)
            outbox.save_envelope(self.tx, position, b"envelope", b"h" * 32, sealed_at, 1)
        self.assertEqual(outbox.unsealed_for(self.tx, BOB), [])
        self.assertEqual(outbox.unseal(self.tx, BOB, sealed_before=20), 1)
        self.assertEqual(len(outbox.unsealed_for(self.tx, BOB)), 1)
        self.assertEqual(outbox.unseal(self.tx, ALICE), 0)
        self.assertEqual(outbox.unseal(self.tx, BOB), 1)

    def test_tokens_are_no_texts(self) -> None:
        for _ in range(2):
            outbox.add_control(self.tx, BOB, OutboxKind.TOKEN, 5)
        self.assertEqual(len(outbox.waiting_for(self.tx, BOB, 0, 9)), 1)
        self.assertEqual((outbox.count_waiting(self.tx), outbox.waiting_texts(self.tx)), (0, []))
        self.assertEqual(outbox.waiting_addresses(self.tx), [BOB])
        self.assertTrue(outbox.control_waits(self.tx, BOB, OutboxKind.TOKEN, OutboxKind.RESUME))
        self.assertFalse(outbox.control_waits(self.tx, BOB, OutboxKind.RESUME))
        self.assertFalse(outbox.control_waits(self.tx, ALICE, OutboxKind.TOKEN))


class ArrivalTests(TablesCase):
    """What no reader has shown."""

    def test_what_was_being_printed_is_repeated_and_what_was_shown_is_gone(self) -> None:
        positions = [
            arrivals.add_arrival(self.tx, Arrival(ArrivalKind.GAP, BOB, 5, missing=n)) for n in (1, 2, 3)
        ]
        arrivals.mark_shown(self.tx, positions[:1])
        arrivals.mark_printing(self.tx, positions[1:2])
        arrivals.note_interrupted(self.tx)
        left = arrivals.unshown_arrivals(self.tx, 0, 9)
        self.assertEqual([(one.missing, one.repeated) for one in left], [(2, True), (3, False)])
        self.assertEqual(arrivals.count_unshown(self.tx), 0)


class EnvelopeTests(TablesCase):
    """Which envelopes were dealt with."""

    def test_what_was_set_aside_can_be_opened_later(self) -> None:
        envelope_id = EnvelopeId.of(b"x")
        self.assertIsNone(envelopes.was_opened(self.tx, envelope_id))
        envelopes.note_set_aside(self.tx, envelope_id, BOB, 5, b"x")
        self.assertIs(envelopes.was_opened(self.tx, envelope_id), False)
        envelopes.note_opened(self.tx, envelope_id, BOB, 6)
        self.assertIs(envelopes.was_opened(self.tx, envelope_id), True)

    def test_attempts_are_counted_until_they_are_forgotten(self) -> None:
        envelope_id = EnvelopeId.of(b"x")
        for count in (1, 2, 3):
            envelopes.count_crash(self.tx, envelope_id)
            self.assertEqual(envelopes.crashes(self.tx, envelope_id), count)
        envelopes.forget_attempts(self.tx, envelope_id)
        self.assertEqual(envelopes.crashes(self.tx, envelope_id), 0)

    def test_old_ones_are_forgotten(self) -> None:
        for number in (1, 2):
            envelopes.note_opened(self.tx, EnvelopeId.of(bytes([number])), BOB, number)
        envelopes.forget_envelopes(self.tx, 2)
        seen = [envelopes.was_opened(self.tx, EnvelopeId.of(bytes([number]))) for number in (1, 2)]
        self.assertEqual(seen, [None, True])


class AnewTests(TablesCase):
    """A new identity of the profile."""

    def test_numbering_begins_anew_and_nothing_held_is_lost(self) -> None:
        accepted = self.text(contacts_next(self.tx), out=True)
        messages.set_sent_state(self.tx, accepted, "stored")
        waiting = self.text(contacts_next(self.tx), out=True)
        outbox.add_to_outbox(self.tx, BOB, waiting, 5)
        self.text(9, state=HELD)
        anew.begin_anew(self.tx)
        self.assertEqual(messages.message_by_row(self.tx, waiting).sequence, 1)
        self.assertEqual(messages.held_streams(self.tx), [])
        self.assertEqual(arrivals.count_unshown(self.tx), 1)
        self.assertEqual(contacts.next_sequence(self.tx, BOB), 2)


def contacts_next(tx: Connection) -> int:
    """The next number to Bob, who is kept."""
    contacts.keep_contact(tx, BOB)
    return contacts.next_sequence(tx, BOB)
