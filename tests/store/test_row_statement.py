"""One statement for many rows: all of them, in their order, in few statements of few texts."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.row_statement import MOST_ROWS, RowStatement

COUNTS = (0, 1, 2, 3, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 5)


class RowStatementTests(SynchronousTestCase):
    """On a database in memory."""

    def setUp(self) -> None:
        self.connection: Any = sqlite3.connect(":memory:")
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE thing (number INTEGER, name TEXT)")
        self.texts: list[str] = []
        self.connection.set_trace_callback(self.texts.append)

    def test_every_row_goes_in_once_in_its_order(self) -> None:
        statement = RowStatement("INSERT INTO thing", 2)
        for count in COUNTS:
            rows = [(number, f"n{number}") for number in range(count)]
            self.connection.execute("DELETE FROM thing")
            self.assertEqual(statement.run(self.connection, rows), [])
            found = self.connection.execute("SELECT * FROM thing ORDER BY rowid").fetchall()
            self.assertEqual(found, rows)

    def test_what_is_found_comes_back_with_parameters_of_the_head(self) -> None:
        rows = [(number, ("even", "odd")[number % 2]) for number in range(400)]
        RowStatement("INSERT INTO thing", 2).run(self.connection, rows)
        statement = RowStatement("SELECT number FROM thing WHERE name = ? AND number IN (", 1, ")")
        for count in COUNTS:
            asked = [(number,) for number in range(count)]
            found = statement.run(self.connection, asked, "odd")
            self.assertEqual(found, [(number,) for number in range(1, count, 2)])

    def test_many_rows_are_few_statements(self) -> None:
        self.texts.clear()
        RowStatement("INSERT INTO thing", 2).run(self.connection, [(1, "one")] * (2 * MOST_ROWS + 3))
        self.assertEqual(len([text for text in self.texts if text.startswith("INSERT")]), 4)
