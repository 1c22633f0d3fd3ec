"""10,000 hostile texts on their whole way to the terminal: rendered, printed, and shown by an emulator.

docs/command-line.md, "What others write".
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence

import pyte
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from e2ee.client.events import HistoryEntry, MessageReceived, SentState
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import event_render, render
from e2ee.ui.printer import RecordPrinter
from e2ee.ui.sanitiser import FURTHER_LINE
from e2ee.ui.streams import Interruption, LineSink
from e2ee.ui.terminal_console import TerminalConsole
from examples.screen import Sheet
from tests.ui.fakes import ALICE, BOB, NOON, message
from tests.ui.hostile import SEED, hostile_texts
from tests.ui.terminal_double import Desk, no_suggestions

TEXTS = 10_000
DRAWN_TEXTS = 200
BATCH = 100
COLUMNS = 60
OWN_SEQUENCE = re.compile("\x1b\\[(?:[0-9;]*[ABCDJKm]|\\?(?:1|7|12|25|2004)[hl])|\r|\n|\x08")
"""What the line editor itself may write: cursor, erasing, attributes, and five modes."""


def is_forbidden(character: str) -> bool:
    """Whether this one could steer a terminal, or hide something; a line feed is looked at elsewhere."""
    unseen = "\u034f\u115f\u1160\u3164\uffa0\u2800"
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in unseen


def batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """So many at once, with the number of the first."""
    for start in range(0, len(texts), BATCH):
        yield start, texts[start : start + BATCH]


class PrintedTests(SynchronousTestCase):
    """Through the printer that a pipe and a plain terminal have."""

    texts = hostile_texts(TEXTS)

    def setUp(self) -> None:
        self.interruption = Interruption()
        self.reading, self.writing = os.pipe()
        self.addCleanup(self.interruption.close)
        for descriptor in (self.reading, self.writing):
            self.addCleanup(os.close, descriptor)
        self.sink = LineSink(self.writing, self.interruption)

    def printed(self, records: Sequence[str], *, folded: bool = True) -> bytes:
        """What these records are on their way out."""
        printer = RecordPrinter(self.sink, folded=folded)
        found = b""
        for record in records:
            printer.print(record)
            found += os.read(self.reading, 1 << 16)
        return found

    def shown(self, output: str) -> Sheet:
        """The emulator's screen after a row of ours and this output."""
        screen = Sheet(COLUMNS, output.count("\n") + 2)
        stream = pyte.Stream(screen)
        stream.feed("the row above\r\n" + output.replace("\n", "\r\n") + "the row below")
        return screen

    def check(self, records: Sequence[str], begins: Sequence[str]) -> None:
        """Each record is where it belongs, and nothing else has changed."""
        output = self.printed(records).decode("utf-8")
        bad = {ascii(one) for one in set(output) if one != "\n" and is_forbidden(one)}
        self.assertEqual(bad, set())
        self.assertNotRegex(output, "\u0301{9}")
        screen = self.shown(output)
        rows = screen.rows
        self.assertEqual(rows[0], "the row above")
        end = max(number for number, row in enumerate(rows) if row)
        self.assertEqual((rows[end], screen.cursor.y), ("the row below", end))
        own = [row for row in rows[1:end] if not row.startswith(FURTHER_LINE.rstrip())]
        self.assertEqual([row[: len(begin)] for row, begin in zip(own, begins, strict=True)], list(begins))
        self.assertEqual((screen.answers, screen.title, screen.icon_name), ([], "", ""))
        self.assertEqual(screen.mode, pyte.Screen(COLUMNS, 1).mode)
        self.assertEqual(screen.margins, None)

    def test_no_text_leaves_its_own_lines(self) -> None:
        self.patch(LineSink, "columns", COLUMNS)
        for start, texts in batches(self.texts):
            numbered = [f"<{start + number}> {text}" for number, text in enumerate(texts)]
            records = [event_render.event_record(message(text, BOB, "bob"), NOON) for text in numbered]
            head = records[0].partition("<")[0]
            self.check(records, [f"{head}<{start + number}>" for number in range(len(texts))])

    def test_nor_does_a_name(self) -> None:
        """The address book refuses such names; what prints them does not rely on that."""
        self.patch(LineSink, "columns", COLUMNS)
        for start, texts in batches(self.texts[:1000]):
            records = [
                event_render.event_record(message("hi", BOB, f"<{start + number}>{text}"), NOON)
                for number, text in enumerate(texts)
            ]
            head = records[0].partition("<")[0]
            self.check(records, [f"{head}<{start + number}>" for number in range(len(texts))])

    def test_nor_what_a_server_says(self) -> None:
        self.patch(LineSink, "columns", COLUMNS)
        for _, texts in batches(self.texts[:500]):
            failures = [Failure(Code.FAILED, f"error {text}") for text in texts]
            records = [render.notice(render.failure_sentence(failure)) for failure in failures]
            self.check(records, ["* error"] * len(texts))

    def test_nor_the_past(self) -> None:
        self.patch(LineSink, "columns", COLUMNS)
        for _, texts in batches(self.texts[:500]):
            entries = [
                HistoryEntry(
                    direction="out", message_id=MessageId(bytes(16)), from_address=ALICE, to=BOB, name="bob",
                    device=None, sent_at=NOON, received_at=None, text=text, verified=False, late=False,
                    state=SentState.READ,
                )
                for text in texts
            ]  # fmt: skip
            records = [render.history_record(entry, NOON) for entry in entries]
            self.check(records, [records[0].partition("(")[0] + "(read):"] * len(texts))

    def test_json_has_one_object_a_line_with_the_text_as_it_was(self) -> None:
        for _, texts in batches(self.texts):
            objects = [render.as_json(event_render.event_object(self.received(text))) for text in texts]
            output = self.printed(objects, folded=False)
            lines = output.decode("ascii").split("\n")
            self.assertEqual(lines.pop(), "")
            self.assertTrue(all(line.isprintable() for line in lines))
            self.assertEqual([json.loads(line)["text"] for line in lines], list(texts))

    def received(self, text: str) -> MessageReceived:
        return message(text, BOB, "bob")

    def test_the_texts_are_hostile(self) -> None:
        """Without the sanitiser they do what they are here to prevent."""
        screen = self.shown("".join(self.texts[:300]))
        self.assertNotEqual(screen.answers, [])
        self.assertNotEqual(screen.rows[0], "the row above")
        kinds = {unicodedata.category(one) for text in self.texts for one in text}
        self.assertLessEqual({"Cc", "Cf", "Zl", "Zp", "Co", "Mn", "So"}, kinds)
        self.assertEqual(hostile_texts(3, SEED), self.texts[:3])


class DrawnTests(TestCase):
    """Through the line editor, above a half-typed line."""

    async def test_no_text_leaves_its_own_lines_or_touches_the_line_being_typed(self) -> None:
        desk = Desk(self, COLUMNS, 24)
        console = TerminalConsole(reactor, None, desk.make_editor, lambda line: None)  # type: ignore[arg-type]
        console.open((), no_suggestions)
        reading = console.read_line("bob>")
        reading.send(None)
        desk.type("half typed")
        await desk.until("the line", "bob> half typed")
        begins = []
        for number, text in enumerate(hostile_texts(DRAWN_TEXTS, SEED + 1)):
            record = event_render.event_record(message(f"<{number}> {text}", BOB, "bob"), NOON)
            begins.append(record.partition(">")[0] + ">")
            if number % 3:
                await console.print(record)
            else:
                # One that is drawn together with the line being typed.
                await console.show_own(number, record)
            self.assertEqual(desk.rows[-1], "bob> half typed")
        transcript = [*desk.screen.scrolled, *desk.rows[:-1]]
        own = [row for row in transcript if row and not row.startswith(FURTHER_LINE.rstrip())]
        self.assertEqual([row[: len(begin)] for row, begin in zip(own, begins, strict=True)], begins)
        self.assertEqual((desk.screen.answers, desk.screen.title), ([], ""))
        written = OWN_SEQUENCE.sub("", desk.wire.written)
        self.assertEqual({ascii(one) for one in set(written) if is_forbidden(one)}, set())
        reading.close()
        await console.close()
