"""The one place that prints. Every record passes the sanitiser here, whoever wrote it.

Knows standard output and standard error, not what is printed. Blocks: what goes to standard output is
written in a thread.
"""

from __future__ import annotations

import os

from e2ee.errors import Failure
from e2ee.ui.exit_codes import exit_code
from e2ee.ui.render import as_json, error_object, failure_sentence
from e2ee.ui.sanitiser import printable
from e2ee.ui.streams import LineSink


class RecordPrinter:
    """Records to a descriptor; on a terminal they are folded to its width if `folded`."""

    def __init__(self, sink: LineSink, *, folded: bool) -> None:
        self._sink = sink
        self._folded = folded

    def print(self, *records: str) -> None:
        """Return when the system has taken them. Raises OutputClosed, Interrupted."""
        columns = self._sink.columns if self._folded else None
        text = "".join(f"{printable(record, columns)}\n" for record in records)
        self._sink.write(text.encode("utf-8"))

    def draw(self, *lines: str) -> None:
        """A figure, whose lines nobody folds. As `print`."""
        self._sink.write("".join(f"{printable(line)}\n" for line in lines).encode("utf-8"))

    def prompt(self, text: str) -> None:
        """A prompt: what follows is typed behind it."""
        self._sink.write(f"{printable(text)} ".encode())


def print_error(record: str) -> None:
    """One record to standard error. Where that is closed, nobody can be told, and nothing happens."""
    written = f"{printable(record)}\n".encode()
    try:
        while written:
            written = written[os.write(2, written) :]
    except OSError:
        return


def report(failure: Failure, json: bool) -> int:
    """Say on standard error what went wrong; returns the exit code."""
    print_error(as_json(error_object(failure)) if json else f"e2ee: {failure_sentence(failure)}")
    return exit_code(failure.code)
