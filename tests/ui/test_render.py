"""Events and values as people and scripts read them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import (
    Contact,
    FailedReason,
    FileFacts,
    FileReceived,
    FileState,
    Gap,
    HistoryEntry,
    KeyChanged,
    PutBack,
    SafetyNumber,
    SentAgain,
    SentMessage,
    SentState,
    TrustChange,
    Undecryptable,
    WhatWasPutBack,
)
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import event_render, render, trust_records
from tests.ui.fakes import ALICE, BOB, DEVICE, DIGITS, NOON, failed, message, receipt

ID = MessageId(bytes(range(16)))


class EventTests(SynchronousTestCase):
    """docs/command-line.md: arrivals are `[time] name: text`, notices begin with `* `."""

    def shown(self, event: object) -> str:
        return event_render.event_record(event, NOON, UTC)  # type: ignore[arg-type]

    def test_a_message_has_time_name_and_text(self) -> None:
        self.assertEqual(self.shown(message("hi there", name="bob")), "[12:00] bob: hi there")

    def test_somebody_without_a_name_has_his_number(self) -> None:
        self.assertEqual(self.shown(message("hi")), "[12:00] +15550100102: hi")

    def test_marks_stand_where_no_text_can_put_them(self) -> None:
        marked = replace(message("hi"), late=True, repeated=True)
        self.assertEqual(self.shown(marked), "[12:00 late repeated] +15550100102: hi")

    def test_a_clock_that_is_ahead_cannot_date_a_message_after_its_arrival(self) -> None:
        self.assertEqual(self.shown(replace(message("hi"), sent_at=NOON + 10**10))[:8], "[12:00] ")

    def test_everything_else_is_a_notice(self) -> None:
        for event in (
            KeyChanged(BOB, None, NOON),
            Undecryptable(BOB, "bob", NOON),
            Gap(BOB, None, 2),
            failed(1, BOB, FailedReason.EXPIRED),
            SentAgain(BOB, None, 2, NOON),
            PutBack(WhatWasPutBack.PROFILE, BOB, NOON),
            PutBack(WhatWasPutBack.SERVER, BOB, NOON),
            receipt(ID, SentState.READ),
        ):
            self.assertTrue(self.shown(event).startswith("* "))

    def test_what_has_become_of_a_file(self) -> None:
        full = "/d: No space left on device"
        for state, reason, shown in (
            (FileState.SAVED, None, "* the file a.txt of bob is here: /d/a.txt"),
            (FileState.FAILED, "expired", "* the file a.txt of bob could not be fetched: the server"),
            (FileState.FETCHING, full, f"* the file a.txt of bob cannot be kept yet: {full}; it"),
        ):
            facts = FileFacts("a.txt", 9, state, "/d/a.txt", reason)
            event = FileReceived(ID, BOB, "bob", facts)
            self.assertEqual(self.shown(event)[: len(shown)], shown)
            file = event_render.event_object(event)["file"]
            self.assertEqual((file["state"], file["reason"]), (state.value, reason))

    def test_what_cannot_be_read_only_claims_its_sender(self) -> None:
        self.assertIn("claims to come from bob", self.shown(Undecryptable(BOB, "bob", NOON)))

    def test_a_message_as_json(self) -> None:
        self.assertEqual(
            event_render.event_object(message("\u202ehi\n", name="bob")),
            {
                "type": "message",
                "id": "00000000000000000000000000000001",
                "from": "+15550100102",
                "name": "bob",
                "device": "0000000000000000",
                "sent_at": "2023-11-15T12:00:00.000Z",
                "received_at": "2023-11-15T12:00:00.005Z",
                "text": "\u202ehi\n",
                "verified": False,
                "verified_by": None,
                "repeated": False,
                "late": False,
                "request": False,
                "expires_in": 0,
            },
        )

    def test_the_other_events_as_json(self) -> None:
        at = "2023-11-15T12:00:00.000Z"
        common = {"name": None, "repeated": False}
        for event, expected in (
            (
                KeyChanged(BOB, None, NOON),
                {"type": "key_changed", "address": BOB, "at": at, "verified_by": None},
            ),
            (
                KeyChanged(BOB, None, NOON, verified_by="Our company"),
                {"type": "key_changed", "address": BOB, "at": at, "verified_by": "Our company"},
            ),
            (Undecryptable(BOB, None, NOON), {"type": "undecryptable", "from": BOB, "received_at": at}),
            (Gap(BOB, None, 3), {"type": "gap", "from": BOB, "missing": 3}),
            (SentAgain(BOB, None, 2, NOON), {"type": "sent_again", "to": BOB, "messages": 2, "at": at}),
            (
                failed(1, BOB, FailedReason.TAKEN_OVER),
                {"type": "failed", "id": "0" * 31 + "1", "to": BOB, "reason": "taken_over"},
            ),
            (
                replace(receipt(ID, SentState.READ), name=None),
                {"type": "receipt", "id": str(ID), "from": BOB, "state": "read", "at": at},
            ),
        ):
            self.assertEqual(event_render.event_object(event), {**expected, **common})
        for what in WhatWasPutBack:
            self.assertEqual(
                event_render.event_object(PutBack(what, BOB, NOON)),
                {"type": "put_back", "what": what.value, "at": at, "repeated": False},
            )

    def test_one_message_and_several(self) -> None:
        self.assertIn("1 message to bob is sent again", self.shown(SentAgain(BOB, "bob", 1, NOON)))
        self.assertIn("2 messages to bob are sent again", self.shown(SentAgain(BOB, "bob", 2, NOON)))


class ValueTests(SynchronousTestCase):
    """The other lines and objects of the contract."""

    def test_a_sent_message(self) -> None:
        sent = SentMessage(ID, BOB, SentState.STORED)
        self.assertEqual(render.sent_record(sent), f"{ID} {BOB} stored")
        self.assertEqual(
            render.sent_object(sent),
            {"type": "sent", "id": str(ID), "to": BOB, "state": "stored", "error": None},
        )

    def test_a_message_that_waits_says_why_and_how_long(self) -> None:
        sent = SentMessage(ID, BOB, SentState.QUEUED, Failure(Code.QUOTA, "too many waiting", 2.5))
        self.assertEqual(render.sent_record(sent), f"{ID} {BOB} queued: too many waiting (try again in 3 s)")
        self.assertEqual(
            render.sent_object(sent)["error"],
            {"code": "quota", "message": "too many waiting", "retry_after": 2.5},
        )

    def test_an_error(self) -> None:
        self.assertEqual(
            render.error_object(Failure(Code.UNREACHABLE, "nobody there")),
            {"type": "error", "code": "unreachable", "message": "nobody there", "retry_after": None},
        )

    def test_json_is_one_line_of_ascii(self) -> None:
        line = render.as_json({"text": "é\u2028\n\x1b😀"})
        self.assertTrue(line.isascii() and line.isprintable())

    def test_who_is_online(self) -> None:
        self.assertEqual(render.online_record(BOB, "bob"), "+15550100102 bob")
        self.assertEqual(render.online_record(BOB, None), "+15550100102")
        self.assertEqual(render.online_object(BOB, None), {"type": "online", "address": BOB, "name": None})

    def test_a_contact(self) -> None:
        contact = Contact(BOB, "bob", accepted=False, blocked=True, verified=True)
        self.assertEqual(render.contact_record(contact), "+15550100102 bob (verified, blocked)")
        self.assertEqual(
            render.contact_object(contact),
            {
                "type": "contact",
                "address": BOB,
                "name": "bob",
                "accepted": False,
                "blocked": True,
                "verified": True,
                "verified_by": None, "request": False, "timer": 0,
            },
        )

    def test_whom_an_authority_certifies(self) -> None:
        contact = Contact(BOB, "bob", accepted=True, blocked=False, verified=False, verified_by="Our company")
        self.assertEqual(render.contact_record(contact), "+15550100102 bob (verified by Our company)")
        self.assertEqual(render.contact_object(contact)["verified_by"], "Our company")
        number = SafetyNumber(BOB, DIGITS, False, "Our company")
        marks = trust_records.safety_number_records(number)[1:]
        self.assertEqual(marks, ["not verified", "verified by Our company"])
        refused = SafetyNumber(BOB, DIGITS, False, None, "it expired")
        shown = trust_records.safety_number_records(refused)
        self.assertEqual(shown[2], "certificate not accepted: it expired")
        self.assertEqual(trust_records.safety_number_object(refused)["certificate_error"], "it expired")
        changed = event_render.event_record(KeyChanged(BOB, "bob", NOON, verified_by="Our company"), NOON)
        self.assertIn("verified by Our company and is used", changed)
        self.assertNotIn("Nothing is sent", changed)

    def test_a_safety_number_is_shown_in_groups_of_five(self) -> None:
        first, second = trust_records.safety_number_records(SafetyNumber(BOB, DIGITS, True))
        self.assertEqual(first.split(" "), ["01234", "56789"] * 6)
        self.assertEqual(second, "verified")
        number = SafetyNumber(BOB, DIGITS, False)
        self.assertEqual(trust_records.safety_number_object(number)["digits"], DIGITS)

    def test_trust_shows_both_numbers_or_that_there_is_nothing(self) -> None:
        change = TrustChange("1" * 60, "2" * 60)
        shown = trust_records.trust_records(change)
        self.assertEqual([line[:9] for line in shown], ["old: 1111", "new: 2222"])
        self.assertEqual(trust_records.trust_records(TrustChange(None, None)), ["nothing to accept"])

    def test_the_past_has_direction_and_state(self) -> None:
        own = HistoryEntry(
            "out", ID, ALICE, BOB, "bob", None, NOON, None, "hi", False, False, SentState.DELIVERED
        )
        self.assertEqual(render.history_record(own, NOON, UTC), "[12:00] me → bob (delivered): hi")
        found = render.history_object(own)
        self.assertEqual(
            (found["type"], found["from"], found["to"], found["direction"], found["state"]),
            ("message", ALICE, BOB, "out", "delivered"),
        )
        other = HistoryEntry("in", ID, BOB, ALICE, "bob", DEVICE, NOON, NOON, "hi", True, False, None)
        self.assertEqual(render.history_record(other, NOON, UTC), "[12:00] bob: hi")
        self.assertEqual(render.history_object(other)["state"], None)
