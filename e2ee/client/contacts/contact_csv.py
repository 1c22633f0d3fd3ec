"""Contacts as CSV (RFC 4180): a header with `address` and `name`, then one contact a line.

Pure. Knows columns and quotes; not which numbers are possible nor which names are allowed (`contact_file`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from e2ee.client.contacts.vcard import lines_of
from e2ee.errors import E2eeError

HEADER = ("address", "name")
_FORMULA = ("=", "-", "@")
"""What a spreadsheet would compute instead of showing; names never begin with the fourth, a plus."""


class NotCsv(E2eeError, ValueError):
    """A file that is none, or has other columns; the text says in which line."""


def write_rows(contacts: Iterable[tuple[str, str]]) -> str:
    """The file for names and numbers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEADER)
    writer.writerows((number, _as_text(name)) for name, number in contacts)
    return file.getvalue()


def read_rows(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and number of each row. Raises NotCsv."""
    head = text.partition("\n")[0]
    delimiter = ";" if ";" in head and "," not in head else ","
    rows = csv.reader(lines_of(text), delimiter=delimiter, strict=True)
    try:
        columns = [cell.strip().casefold() for cell in next(rows, [])]
        if not set(HEADER) <= set(columns):
            raise NotCsv(f"line 1 does not name the columns {' and '.join(HEADER)}")
        address, name = (columns.index(one) for one in HEADER)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) <= max(address, name):
                raise NotCsv(f"line {rows.line_num} has too few columns")
            yield rows.line_num, _from_text(row[name]), row[address].strip()
    except csv.Error as error:
        raise NotCsv(f"line {rows.line_num}: {error}") from None


def _as_text(name: str) -> str:
    """With an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{name}" if name.lstrip("'").startswith(_FORMULA) else name


def _from_text(name: str) -> str:
    """The reverse."""
    return name[1:] if name.startswith("'") and name.lstrip("'").startswith(_FORMULA) else name
