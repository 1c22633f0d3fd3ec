"""The verbs about other people and about the profile's own affairs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from e2ee.client.events import (
    Contact,
    HistoryEntry,
    HistoryQuery,
    SentMessage,
    SentState,
    Status,
    TrustChange,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.qr import qr_records
from e2ee.ui import address_book, printer, records
from e2ee.ui.options import Options
from tests.ui.fakes import ALICE, BOB, CAROL, DEVICE, DIGITS, NOON, CoroutineTestCase, FakeCall, FakeMessenger

ID = MessageId(bytes(16))


class VerbTestCase(CoroutineTestCase):
    """A verb over a messenger in memory, printing records."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.messenger.people = {BOB: "bob"}
        self.call = FakeCall(self.messenger, Options())
        self.errors: list[str] = []
        self.patch(printer, "print_error", self.errors.append)

    def run_verb(self, coroutine: Coroutine[Any, Any, int]) -> int:
        return self.result(coroutine)


class PeopleTests(VerbTestCase):
    """docs/command-line.md: `online`, `contacts`, `verify`, `trust`."""

    def test_online_lists_who_is_there(self) -> None:
        self.messenger.present = [(BOB, "bob"), (CAROL, None)]
        self.assertEqual(self.run_verb(address_book.online(self.call.as_invocation())), 0)
        self.assertEqual(self.call.printed, ["+15550100102 bob", "+15550100103"])

    def test_nobody_online_is_done_with_nothing_printed(self) -> None:
        self.assertEqual(self.run_verb(address_book.online(self.call.as_invocation())), 0)
        self.assertEqual(self.call.printed, [])

    def test_contacts_need_no_connection(self) -> None:
        self.assertEqual(self.run_verb(address_book.contacts(self.call.as_invocation())), 0)
        self.assertEqual((self.call.printed, self.call.connected), (["+15550100102 bob"], [False]))

    def test_a_changed_contact_is_printed(self) -> None:
        async def change(_: object) -> Contact:
            return Contact(BOB, "robert", True, False, False)

        self.run_verb(address_book.change_contact(self.call.as_invocation(), change))
        self.assertEqual(self.call.printed, ["+15550100102 robert"])

    def test_verify_shows_the_number(self) -> None:
        self.run_verb(address_book.verify(self.call.as_invocation(), "bob", None))
        self.assertEqual(self.call.printed[1:], ["not verified"])

    def test_verify_asks_again_with_a_connection_where_the_key_is_unknown(self) -> None:
        asked: list[bool] = []
        known = self.messenger.safety_number

        async def safety_number(address: Address) -> object:
            asked.append(True)
            if len(asked) == 1:
                raise Failure(Code.UNREACHABLE, "not yet")
            return await known(address)

        self.patch(self.messenger, "safety_number", safety_number)
        self.assertEqual(self.run_verb(address_book.verify(self.call.as_invocation(), "bob", None)), 0)
        self.assertEqual(len(asked), 2)

    def test_a_wrong_safety_number_is_that_error(self) -> None:
        error = self.failure(address_book.verify(self.call.as_invocation(), "bob", "1" * 60))
        self.assertIs(error.code, Code.SAFETY_NUMBER)
        self.assertEqual(self.call.printed, [])

    def test_the_right_digits_verify_however_they_are_spaced(self) -> None:
        digits = address_book.checked_digits("01234 56789\n" * 6)
        self.assertEqual(digits, DIGITS)
        self.run_verb(address_book.verify(self.call.as_invocation(), "bob", digits))
        self.assertEqual(self.call.printed[1:], ["verified"])

    def test_the_code_is_drawn_above_the_digits_and_holds_them(self) -> None:
        self.run_verb(address_book.verify(self.call.as_invocation(), "bob", None, qr=True))
        code = qr_records(f"E2EE1:{DIGITS}")
        self.assertEqual(self.call.printed[: len(code)], code)
        self.assertEqual(self.call.printed[-1], "not verified")

    def test_what_the_code_holds_can_be_confirmed(self) -> None:
        self.assertEqual(address_book.checked_digits(f"E2EE1:{DIGITS}\n"), DIGITS)
        for text in (f"E2EE2:{DIGITS}", f"E2EE1:{DIGITS[1:]}", f"E2EE1:E2EE1:{DIGITS}"):
            self.assertRaises(Failure, address_book.checked_digits, text)

    def test_only_sixty_ascii_digits_are_a_safety_number(self) -> None:
        for text in ("", DIGITS[:-1], f"{DIGITS}0", "１" * 60, "x" * 60):
            self.assertRaises(Failure, address_book.checked_digits, text)

    def test_trust_shows_both_numbers_and_waits_for_what_can_go_now(self) -> None:
        async def trust(_: object) -> TrustChange:
            return TrustChange("1" * 60, "2" * 60)

        self.patch(self.messenger, "trust", trust)
        self.messenger.queued = [SentMessage(ID, BOB, SentState.QUEUED)]
        self.messenger.answer = SentMessage(ID, BOB, SentState.STORED)
        self.assertEqual(self.run_verb(address_book.trust(self.call.as_invocation(), "bob")), 0)
        self.assertEqual([record[:8] for record in self.call.printed], ["old: 111", "new: 222"])
        self.assertEqual(self.call.mentioned, [])

    def test_trust_without_a_server_is_done_as_well(self) -> None:
        self.messenger.queued = [SentMessage(ID, BOB, SentState.QUEUED)]
        self.messenger.answer = Failure(Code.UNREACHABLE, "nobody there")
        self.assertEqual(self.run_verb(address_book.trust(self.call.as_invocation(), "bob")), 0)
        self.assertEqual((self.call.printed, len(self.call.mentioned)), (["nothing to accept"], 1))


FACTS = (ALICE, DEVICE, "localhost:8443", f"sha256:{'B' * 43}", "key_file")


class RecordsTests(VerbTestCase):
    """docs/command-line.md: `history`, `outbox`, `status`."""

    def test_the_history_needs_no_connection(self) -> None:
        self.messenger.past = [
            HistoryEntry("in", ID, BOB, ALICE, "bob", DEVICE, NOON, NOON, "hi", False, False, None)
        ]
        query = HistoryQuery(search="hi", limit=3)
        self.assertEqual(self.run_verb(records.history(self.call.as_invocation(), str(BOB), query)), 0)
        self.assertTrue(self.call.printed[0].endswith("] bob: hi"))
        self.assertEqual(self.call.connected, [False])
        self.assertEqual(self.messenger.queries, [HistoryQuery(BOB, "hi", limit=3)])

    def test_what_is_forgotten_is_counted_and_what_waits_mentioned(self) -> None:
        forgetting = records.forget(self.call.as_invocation(), [ID], [str(BOB)])
        self.assertEqual(self.run_verb(forgetting), 0)
        self.assertEqual(self.messenger.forgotten, [ID, BOB])
        self.assertEqual(
            self.call.printed, [f"{ID} 1 message forgotten", f"{BOB} 12 messages forgotten"]
        )
        self.assertEqual(
            self.call.mentioned, [f"1 message to {BOB} kept: not accepted by the server yet"]
        )
        self.assertEqual(self.call.connected, [False])

    def test_the_outbox_lists_what_waits(self) -> None:
        self.messenger.queued = [SentMessage(ID, BOB, SentState.QUEUED)]
        self.run_verb(records.outbox(self.call.as_invocation()))
        self.assertEqual(self.call.printed, [f"{ID} {BOB} queued"])

    def test_cancelling_what_may_have_left_says_so(self) -> None:
        for state, code in ((SentState.FAILED, None), (SentState.STORED, Code.FAILED)):
            self.messenger.cancelled = SentMessage(ID, BOB, state)
            cancelling = records.cancel(self.call.as_invocation(), ID)
            if code is None:
                self.assertEqual(self.run_verb(cancelling), 0)
            else:
                self.assertIs(self.failure(cancelling).code, code)

    def status(self) -> int:
        return self.run_verb(records.status(self.call.as_invocation()))

    def test_status_shows_what_there_is_to_know(self) -> None:
        self.messenger.state = Status(True, "X25519MLKEM768", bytes(32), 1, 2, 100, 32, None, *FACTS)
        self.assertEqual(self.status(), 0)
        self.assertEqual(
            self.call.printed,
            [
                "profile: default",
                f"address: {ALICE}",
                f"device: {DEVICE}",
                "server: localhost:8443",
                f"pin: sha256:{'A' * 43}",
                "connected: yes",
                "key_exchange: X25519MLKEM768",
                "outbox: 1",
                "unshown: 2",
                "prekeys: 100 one-time, 32 one-time KEM",
                "passphrase: none: the key lies in a file of the profile",
            ],
        )

    def test_status_without_a_server_is_printed_and_3(self) -> None:
        failure = Failure(Code.UNREACHABLE, "nobody there")
        self.messenger.state = Status(False, None, None, 0, 0, 0, 0, failure, *FACTS)
        self.messenger.connection = failure
        self.assertEqual(self.status(), 3)
        self.assertIn("connected: no", self.call.printed)
        self.assertEqual(self.errors, ["e2ee: nobody there"])
