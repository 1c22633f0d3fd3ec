"""What becomes of a text for several people, and the exit code of it."""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

from e2ee.client.events import FailedReason, SentMessage, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import printer
from e2ee.ui.files import files_to_send, folder_for_files
from e2ee.ui.options import Options
from e2ee.ui.sending import TEXT_BYTES, checked_text, send, send_files, text_to_send
from tests.ui.fakes import ALICE, BOB, CAROL, CoroutineTestCase, FakeCall, FakeMessenger, failed

ID = MessageId(bytes(16))


class SendTests(CoroutineTestCase):
    """docs/command-line.md, `send`, and its exit codes."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.call = FakeCall(self.messenger, Options())
        self.errors: list[str] = []
        self.patch(printer, "print_error", self.errors.append)

    def send(self, *recipients: str, wanted: SentState = SentState.STORED) -> int:
        return self.result(send(self.call.as_invocation(), recipients, "hi", None, wanted))

    def answer(self, state: SentState, error: Failure | None = None) -> None:
        self.messenger.answer = SentMessage(ID, BOB, state, error)

    def states(self) -> list[str]:
        return [record.split(" ")[2] for record in self.call.printed]

    def test_accepted_by_all_is_done(self) -> None:
        for state in (SentState.STORED, SentState.DELIVERED):
            self.answer(state)
            self.assertEqual(self.send(BOB, CAROL), 0)
        self.assertEqual(self.errors, [])

    def test_a_line_for_each_recipient_in_the_order_of_the_arguments(self) -> None:
        self.answer(SentState.STORED)
        self.send(CAROL, BOB, "+1 555 010 0103")
        self.assertEqual([record.split(" ")[1] for record in self.call.printed], [CAROL, BOB])

    def test_one_bad_recipient_keeps_everything_from_being_queued(self) -> None:
        for bad in ("nobody", ALICE, "+1555", "555 010 0102"):
            error = self.failure(send(self.call.as_invocation(), [BOB, bad], "hi", None))
            self.assertIs(error.code, Code.USAGE)
        self.assertEqual(self.messenger.queued, [])

    def test_no_answer_in_time_after_a_connection_is_9(self) -> None:
        self.assertEqual(self.send(BOB), 9)
        self.assertEqual(self.states(), ["queued"])

    def test_no_connection_in_time_is_3(self) -> None:
        self.messenger.was_connected = False
        self.assertEqual(self.send(BOB), 3)
        self.assertEqual(self.states(), ["queued"])
        self.assertIn("outbox", self.errors[0])

    def test_limits_are_5(self) -> None:
        for code in (Code.RATE_LIMITED, Code.QUOTA, Code.MAILBOX_FULL, Code.BUSY, Code.UNAVAILABLE):
            self.answer(SentState.QUEUED, Failure(code, "later", 60.0))
            self.assertEqual(self.send(BOB), 5)
            self.assertTrue(self.errors.pop().endswith("(try again in 60 s)"))

    def test_a_changed_key_is_4(self) -> None:
        self.answer(SentState.QUEUED, Failure(Code.KEY_CHANGED, "another key"))
        self.assertEqual(self.send(BOB), 4)
        self.assertEqual(self.states(), ["queued:"])

    def test_an_unknown_recipient_is_1_and_is_not_news_later(self) -> None:
        self.messenger.waiting = [
            failed(0, BOB, FailedReason.NOT_ACCEPTED),
            failed(7, BOB, FailedReason.EXPIRED),
        ]
        self.answer(SentState.FAILED, Failure(Code.UNKNOWN_RECIPIENT, "nobody"))
        self.assertEqual(self.send(BOB), 1)
        self.assertEqual([event.position for event in self.messenger.waiting], [7])

    def test_a_connection_that_was_given_up_has_its_own_code(self) -> None:
        self.messenger.answer = Failure(Code.PIN_MISMATCH, "another key")
        self.assertEqual(self.send(BOB), 4)
        self.assertEqual(self.states(), ["queued:"])

    def test_different_outcomes_are_7(self) -> None:
        answers = [SentMessage(ID, BOB, SentState.STORED), SentMessage(ID, CAROL, SentState.QUEUED)]

        async def accepted(*_: object) -> SentMessage:
            return answers.pop(0)

        self.patch(self.messenger, "reached", accepted)
        self.assertEqual(self.send(BOB, CAROL), 7)


    def test_a_state_is_waited_for_and_one_beyond_it_will_do(self) -> None:
        for wanted, states in {
            SentState.STORED: (SentState.STORED, SentState.DELIVERED, SentState.READ),
            SentState.DELIVERED: (SentState.DELIVERED, SentState.READ),
            SentState.READ: (SentState.READ,),
        }.items():
            for state in states:
                self.answer(state)
                self.assertEqual(self.send(BOB, wanted=wanted), 0)
                self.assertIs(self.messenger.waits.pop(), wanted)
        self.assertEqual(self.errors, [])

    def test_a_state_that_is_not_reached_in_time_is_9_and_the_one_that_was_is_printed(self) -> None:
        for wanted, state in (
            (SentState.DELIVERED, SentState.STORED),
            (SentState.READ, SentState.STORED),
            (SentState.READ, SentState.DELIVERED),
        ):
            self.answer(state)
            self.assertEqual(self.send(BOB, wanted=wanted), 9)
            self.assertEqual(self.states().pop(), state.value)
            self.assertIn(f"{BOB} has not said in time that it was {wanted.value}", self.errors.pop())

    def test_a_repeated_one_without_a_connection_is_3(self) -> None:
        self.messenger.was_connected = False
        self.answer(SentState.STORED)
        self.assertEqual(self.send(BOB, wanted=SentState.READ), 3)
        self.assertEqual(self.states(), ["stored"])

    def test_a_connection_that_is_given_up_while_it_is_waited_for_has_its_own_code(self) -> None:
        self.messenger.answer = Failure(Code.DISPLACED, "elsewhere")
        for state, code in ((SentState.STORED, 6), (SentState.DELIVERED, 6), (SentState.READ, 0)):
            self.patch(self.messenger, "sent", self._stands_at(state))
            self.assertEqual(self.send(BOB, wanted=SentState.READ), code)
            self.assertEqual(self.states().pop(), state.value)

    @staticmethod
    def _stands_at(state: SentState) -> Callable[[MessageId], Awaitable[SentMessage]]:
        async def sent(message_id: MessageId) -> SentMessage:
            return SentMessage(message_id, BOB, state)

        return sent


class TextTests(CoroutineTestCase):
    """Where the text comes from, and which texts are refused before anything is opened."""

    def typed(self, written: bytes) -> str:
        self.patch(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written)))
        return text_to_send(None)

    def refused(self, written: bytes) -> str:
        error = self.assertRaises(Failure, self.typed, written)
        self.assertIs(error.code, Code.USAGE)
        return str(error)

    def test_one_final_newline_is_left_out(self) -> None:
        self.assertEqual(self.typed(b"two\nlines\n"), "two\nlines")
        self.assertEqual(self.typed(b"two\n\n"), "two\n")
        self.assertEqual(text_to_send("kept\n"), "kept\n")

    def test_an_empty_text_is_refused(self) -> None:
        for written in (b"", b"\n"):
            self.assertIn("empty", self.refused(written))
        self.assertRaises(Failure, text_to_send, "")

    def test_64_kib_of_utf_8_is_the_longest(self) -> None:
        longest = "é" * (TEXT_BYTES // 2)
        self.assertEqual(checked_text(longest), longest)
        self.assertEqual(self.typed(f"{longest}\n".encode()), longest)
        for longer in (f"{longest}x", f"{longest}x\n", f"x{longest}é", "é" * 10**5):
            self.assertIn("longer", self.refused(longer.encode()))

    def test_what_is_not_utf_8_is_refused(self) -> None:
        for written in (b"\xff", b"caf\xe9\n", b"\xed\xa0\x80"):
            self.assertIn("UTF-8", self.refused(written))


class FileTests(CoroutineTestCase):
    """`send --file`: a message for each file and recipient."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.call = FakeCall(self.messenger, Options())
        self.patch(printer, "print_error", lambda _: None)

    def send(self, *paths: str) -> int:
        return self.result(send_files(self.call.as_invocation(), [BOB, CAROL], paths, "look", None))

    def test_each_file_goes_to_each_and_the_text_with_the_first(self) -> None:
        self.messenger.answer = SentMessage(ID, BOB, SentState.STORED)
        self.assertEqual(self.send("/a", "/b"), 0)
        self.assertEqual(self.messenger.files.sent, [
            (BOB, "/a", "look"), (CAROL, "/a", "look"), (BOB, "/b", ""), (CAROL, "/b", ""),
        ])  # fmt: skip
        self.assertEqual(len(self.call.printed), 4)

    def test_a_quota_is_5_whether_it_waits_or_has_failed(self) -> None:
        for state in (SentState.QUEUED, SentState.FAILED):
            self.messenger.answer = SentMessage(ID, BOB, state, Failure(Code.QUOTA, "too large"))
            self.assertEqual(self.send("/a"), 5)

    def test_paths_are_whole_ones_of_regular_files(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a").touch()
        whole = str((folder / "a").absolute())
        self.assertEqual(files_to_send([folder / "a"]), [whole])
        self.assertEqual(folder_for_files(folder), str(folder.absolute()))
        self.assertIsNone(folder_for_files(None))
        for wrong in (folder, folder / "b", Path("/dev/null"), folder / "\udcff"):
            self.assertIs(self.assertRaises(Failure, files_to_send, [wrong]).code, Code.USAGE)
        for wrong in (folder / "a", folder / "b"):
            self.assertIs(self.assertRaises(Failure, folder_for_files, wrong).code, Code.USAGE)
