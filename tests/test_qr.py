"""A QR code as text: the modules that segno makes, and nothing that steers a terminal."""

from __future__ import annotations

import segno
from twisted.trial.unittest import SynchronousTestCase

from e2ee.qr import QUIET_ZONE, qr_records
from e2ee.ui.sanitiser import printable

CONTENT = "E2EE1:" + "0123456789" * 6
LIGHT_ABOVE, LIGHT_BELOW = "\u2588\u2580", "\u2588\u2584"


class QrTests(SynchronousTestCase):
    """The code of a safety number."""

    def modules(self, records: list[str]) -> list[list[bool]]:
        """What a camera sees, True for dark, read back from the text."""
        rows = []
        for record in records:
            rows.append([one not in LIGHT_ABOVE for one in record])
            rows.append([one not in LIGHT_BELOW for one in record])
        return rows

    def test_every_module_is_where_it_belongs(self) -> None:
        code = segno.make(CONTENT, error="m", boost_error=False)
        self.assertEqual((code.version, code.mode, code.error), (4, "alphanumeric", "M"))
        expected = [[bool(one) for one in row] for row in code.matrix_iter(border=QUIET_ZONE)]
        seen = self.modules(qr_records(CONTENT))
        self.assertEqual(seen[: len(expected)], expected)
        self.assertEqual([any(row) for row in seen[len(expected) :]], [False])

    def test_it_fits_on_a_terminal_of_80_by_24_with_its_digits(self) -> None:
        records = qr_records(CONTENT)
        self.assertLess(len(records) + 2, 24)
        self.assertEqual({len(record) for record in records}, {41})

    def test_the_printer_leaves_it_as_it_is(self) -> None:
        for record in qr_records(CONTENT):
            self.assertEqual(printable(record), record)

    def test_its_three_finder_patterns(self) -> None:
        """Seven dark modules in a row at three corners, as ISO/IEC 18004 has them."""
        rows = self.modules(qr_records(CONTENT))
        first, last = QUIET_ZONE, QUIET_ZONE + 33
        self.assertTrue(all(rows[first][first : first + 7]) and all(rows[first][last - 7 : last]))
        self.assertTrue(all(rows[last - 1][first : first + 7]))
        self.assertFalse(any(rows[first - 1]))
