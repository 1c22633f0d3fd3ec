"""What was typed in a chat: the newest lines of it, and none that was forgotten."""

from __future__ import annotations

from unittest.mock import patch

from e2ee.store.client import history, typed_lines
from e2ee.store.client.typed_lines import TYPED_LINE_CHARACTERS, remember_line
from tests.store.test_history import HistoryCase, own, received

NOW = 5


class TypedLinesTests(HistoryCase):
    """docs/command-line.md, "On a terminal"."""

    def remember(self, *lines: str) -> None:
        for line in lines:
            remember_line(self.tx, line)

    def kept(self) -> list[str]:
        return typed_lines.typed_lines(self.tx)

    def test_they_are_kept_in_order_and_an_equal_one_moves_up(self) -> None:
        self.remember("one", "two", "one", "three")
        self.assertEqual(self.kept(), ["two", "one", "three"])

    def test_the_oldest_goes_when_there_are_too_many(self) -> None:
        with patch.object(typed_lines, "TYPED_LINES", 3):
            self.remember("1", "2", "3")
            self.assertEqual(self.kept(), ["1", "2", "3"])
            self.remember("4", "2", "5")
        self.assertEqual(self.kept(), ["4", "2", "5"])

    def test_a_very_long_one_is_not_kept(self) -> None:
        self.remember("x" * TYPED_LINE_CHARACTERS, "x" * (TYPED_LINE_CHARACTERS + 1))
        self.assertEqual([len(line) for line in self.kept()], [TYPED_LINE_CHARACTERS])

    def test_what_is_forgotten_was_not_typed_either(self) -> None:
        rows = self.add(own(1, "a secret"), own(2, "/slashed"), own(3, "kept"), received(4, "/who"))
        self.remember("a secret", "//slashed", "kept", "/menu")
        history.forget(self.tx, rows[:2], NOW)
        self.assertEqual(self.kept(), ["kept", "/menu"])
