"""The table of exit codes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code
from e2ee.ui.exit_codes import EXIT_CODES, MIXED, exit_code, joined

# As docs/command-line.md lists them.
CONTRACT = {
    1: "already_registered registration_closed invite_refused unknown_recipient passphrase failed",
    2: "usage not_available",
    3: "unreachable",
    4: "pin_mismatch certificate name_mismatch key_changed safety_number",
    5: "rate_limited quota mailbox_full busy unavailable",
    6: "not_registered logged_out displaced wrong_code code_exhausted wrong_pin pin_required",
    8: "profile_busy",
    9: "timeout",
}


class ExitCodesTests(SynchronousTestCase):
    """docs/command-line.md, exit codes."""

    def test_every_code_has_the_exit_code_of_the_contract(self) -> None:
        expected = {Code(name): number for number, names in CONTRACT.items() for name in names.split()}
        self.assertEqual(dict(EXIT_CODES), expected)

    def test_no_code_is_missing(self) -> None:
        for code in Code:
            self.assertNotEqual(exit_code(code), 0)

    def test_recipients_with_one_outcome_have_its_exit_code(self) -> None:
        self.assertEqual(joined([]), 0)
        self.assertEqual(joined([0, 0]), 0)
        self.assertEqual(joined([5, 5, 5]), 5)

    def test_recipients_with_different_outcomes_are_mixed(self) -> None:
        self.assertEqual(joined([0, 1]), MIXED)
        self.assertEqual(joined([3, 5]), 7)
