"""The one place that prints."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from e2ee.errors import Code, Failure
from e2ee.ui import printer
from e2ee.ui.console import PlainConsole, Printer
from e2ee.ui.printer import RecordPrinter, report
from e2ee.ui.streams import Interruption, LineSink, LineSource
from tests.ui.fakes import CoroutineTestCase


class PrinterTests(CoroutineTestCase):
    """Every record passes the sanitiser, and records do not run into each other."""

    def setUp(self) -> None:
        self.interruption = Interruption()
        self.reading, self.writing = os.pipe()
        for close in (
            self.interruption.close,
            *(lambda d=d: os.close(d) for d in (self.reading, self.writing)),
        ):
            self.addCleanup(close)
        self.records = RecordPrinter(LineSink(self.writing, self.interruption), folded=True)

    def printed(self) -> str:
        return os.read(self.reading, 10_000).decode("utf-8")

    def test_standard_output_is_sanitised(self) -> None:
        self.records.print("[12:00] bob: \x1b[2J\n* trust me", "next")
        self.assertEqual(self.printed(), "[12:00] bob: \ufffd[2J\n    | * trust me\nnext\n")

    def test_a_figure_is_sanitised_and_not_folded(self) -> None:
        self.patch(LineSink, "columns", 20)
        line = "\u2588" * 41
        self.records.draw(line, "\x1b[2J")
        self.assertEqual(self.printed(), f"{line}\n\ufffd[2J\n")
        self.records.print(line)
        self.assertIn("    | ", self.printed())

    def test_prompts_are_sanitised(self) -> None:
        self.records.prompt("b\x07b>")
        self.assertEqual(self.printed(), "b\ufffdb> ")

    def test_standard_error_is_sanitised(self) -> None:
        written: list[bytes] = []

        def write(descriptor: int, data: bytes) -> int:
            written.append(data)
            return len(data)

        self.patch(os, "write", write)
        self.assertEqual(report(Failure(Code.QUOTA, "no\x1b[31m\nmore", 2.0), json=False), 5)
        self.assertEqual(written, ["e2ee: no\ufffd[31m\n    | more (try again in 2 s)\n".encode()])

    def test_a_closed_standard_error_is_no_error(self) -> None:
        def write(descriptor: int, data: bytes) -> int:
            raise OSError(9, "closed")

        self.patch(os, "write", write)
        printer.print_error("nobody reads this")

    def test_one_record_is_flushed_before_the_next(self) -> None:
        gates: list[Deferred[None]] = []

        async def in_thread(work: object) -> None:
            gates.append(Deferred())
            await gates[-1]

        printing = Printer(self.records, in_thread)  # type: ignore[arg-type]
        first, second = self.start(printing.print("one")), self.start(printing.print("two"))
        self.assertEqual(len(gates), 1)
        gates[0].callback(None)
        self.successResultOf(first)
        self.assertNoResult(second)
        gates[1].callback(None)
        self.successResultOf(second)

    def test_prompts_are_for_terminals(self) -> None:
        for prompts, expected in ((False, "x\n"), (True, "address: x\n")):
            with open(os.devnull, "rb") as nothing:
                console = PlainConsole(
                    LineSource(nothing.fileno(), self.interruption),
                    Printer(self.records, at_once),
                    at_once,
                    prompts=prompts,
                )
                self.assertIsNone(self.result(console.read_line("address:")))
                self.result(console.print("x"))
                self.assertEqual(self.printed(), expected)


async def at_once(work):  # type: ignore[no-untyped-def]
    """In no thread."""
    return work()
