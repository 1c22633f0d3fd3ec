"""Contacts in files: vCard (RFC 6350) and CSV, written, read and refused."""

from __future__ import annotations

import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.contacts.contact_csv import NotCsv, read_rows, write_rows
from e2ee.client.contacts.contact_file import (
    FILE_BYTES,
    ContactFormat,
    contacts_of,
    format_of,
    read_contacts,
    write_contacts,
)
from e2ee.client.contacts.contact_values import IMPORTED_CONTACTS, NamedNumber
from e2ee.client.contacts.lookalikes import name_refused
from e2ee.client.contacts.vcard import CARD_NUMBERS, LINE_OCTETS, NotVCard, read_cards, write_cards
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.testing.entropy import seeded_entropy

BOB, CAROL = Address("+15550100102"), Address("+15550100103")

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100).filter(
    lambda name: name_refused(name) is None
)
numbers = st.integers(0, 99).map(lambda last: Address(f"+155501001{last:02}"))
contacts = st.lists(st.builds(NamedNumber, numbers, st.none() | names), max_size=20)


def card(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCARD", "VERSION:4.0", *lines, "END:VCARD", ""))


def only(text: str) -> list[tuple[str | None, str]]:
    return [(one.name, str(one.address)) for one in contacts_of(text).contacts]


class WritingTests(SynchronousTestCase):
    """What is written can be read by others, and here."""

    def test_a_card_has_what_the_standard_asks_for(self) -> None:
        self.assertEqual(
            write_cards([("Bob; the \\ first, only", "+15550100102")]),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Bob\\; the \\\\ first\\, only\r\n"
            "TEL;VALUE=uri:tel:+15550100102\r\nEND:VCARD\r\n",
        )

    def test_long_lines_are_folded_between_characters(self) -> None:
        for name in ("n" * 100, "é" * 100, "漢" * 100, "👍" * 100):
            written = write_cards([(name, str(BOB))])
            self.assertTrue(all(len(line.encode()) <= LINE_OCTETS for line in written.split("\r\n")))
            self.assertEqual(only(written), [(name, BOB)])

    def test_rows_have_a_header(self) -> None:
        self.assertEqual(
            write_rows([('Bob "B", junior', "+15550100102")]),
            'address,name\r\n+15550100102,"Bob ""B"", junior"\r\n',
        )

    def test_no_name_is_a_formula_in_a_spreadsheet(self) -> None:
        for name in ("=1+1", "-2", "@SUM(A1)", "'=1", "''=1", "'quoted'", "plain"):
            written = write_rows([(name, str(BOB))])
            cell = written.split("\r\n")[1].split(",", 1)[1]
            self.assertFalse(cell.startswith(("=", "-", "@")), name)
            self.assertEqual(only(written), [(name, BOB)])

    @given(contacts, st.sampled_from((write_cards, write_rows)))
    @settings(deadline=None, max_examples=150)
    def test_what_was_written_is_read_again(self, given_contacts, write) -> None:  # type: ignore[no-untyped-def]
        read = contacts_of(write((one.name or str(one.address), str(one.address)) for one in given_contacts))
        self.assertEqual((list(read.contacts), read.wrong, read.beside), (given_contacts, [], []))


class ReadingCardsTests(SynchronousTestCase):
    """Cards of other programs."""

    def test_the_older_versions(self) -> None:
        old = (
            "BEGIN:VCARD\nVERSION:2.1\nN:M=C3=BCller;Anna;;;\n"
            "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Anna=20M=C3=BC=\nller\n"
            "TEL;HOME:+1 555 010-0103\nTEL;CELL;PREF:+1 555 010-0102\nPHOTO;ENCODING=BASE64;JPEG:/9j/\n"
            " 4AAQ\n\nEND:VCARD\n"
            "begin:vcard\nversion:3.0\nitem1.TEL;type=CELL;type=VOICE;type=pref:(+1) 555 0100103\n"
            "N:Doe;Carol;;Dr.;\nORG:\"Quoted: Ltd.\"\nend:vcard\n"
        )
        found = contacts_of(old)
        self.assertEqual([one.name for one in found.contacts], ["Anna Müller"])
        self.assertEqual([one.address for one in found.contacts], [BOB])
        self.assertEqual(len(found.beside), 1)
        # A number in brackets with its plus is no spelling that is known here.
        self.assertIn("Carol Doe", found.wrong[0].what)

    def test_the_main_number_is_taken_and_the_others_are_named(self) -> None:
        others = "TEL;TYPE=home:tel:+15550100103"
        found = contacts_of(card("FN:Bob", others, 'TEL;VALUE=uri;TYPE="voice,cell":tel:+1-555-010-0102'))
        self.assertEqual([one.address for one in found.contacts], [BOB])
        self.assertIn(CAROL, found.beside[0].reason)

    def test_the_same_number_twice_is_one(self) -> None:
        found = contacts_of(card("FN:Bob", "TEL:+15550100102", "TEL:+1 (555) 010 0102"))
        self.assertEqual((len(found.contacts), len(found.beside)), (1, 0))

    def test_a_name_from_its_parts_and_without_line_breaks(self) -> None:
        self.assertEqual(only(card("N:Doe;Jane;;;", f"TEL:{BOB}")), [("Jane Doe", BOB)])
        self.assertEqual(only(card("FN:  Jane\\n\\n Doe ", f"TEL:{BOB}")), [("Jane Doe", BOB)])

    def test_folded_with_tabs_bare_newlines_and_a_mark_at_the_beginning(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"\xef\xbb\xbf" + card("F", "\tN:Bo", " b", f"TEL:{BOB}").replace("\r", "").encode())
        self.assertEqual([one.name for one in read_contacts(path).contacts], ["Bob"])

    def test_who_has_no_number_is_counted(self) -> None:
        found = contacts_of(card("FN:Bob", "EMAIL:bob@example.org"))
        self.assertEqual((found.contacts, found.wrong, found.without_number), ([], [], 1))

    def test_what_the_address_book_would_refuse_is_named_with_its_line(self) -> None:
        for lines, reason in (
            (("FN:Bob", "TEL:0555 010 0102"), "country code"),
            (("FN:Bob", "TEL:+1555"), "too short"),
            (("FN:me", f"TEL:{BOB}"), "your own messages"),
            (("FN:Bob: hello", f"TEL:{BOB}"), "colon"),
            (("FN:+15550100103", f"TEL:{BOB}"), "like a number"),
            (("FN:B\u202eob", f"TEL:{BOB}"), "printable"),
            (("FN:" + "n" * 101, f"TEL:{BOB}"), "100"),
            ((f"TEL:{BOB}",), "1 to 100"),
        ):
            with self.subTest(lines):
                found = contacts_of(card("FN:Carol", f"TEL:{CAROL}") + card(*lines))
                self.assertEqual([one.name for one in found.contacts], ["Carol"])
                self.assertTrue(found.wrong[0].what.startswith("line 6"), found.wrong)
                self.assertIn(reason, found.wrong[0].reason)

    def test_what_is_no_card_is_refused_as_a_whole(self) -> None:
        for text in (
            "BEGIN:VCARD\nFN:Bob\n",
            "BEGIN:VCARD\nno colon\nEND:VCARD\n",
            "BEGIN:VCARD\nBEGIN:VCARD\nEND:VCARD\n",
            "BEGIN:VCARD\nEND:VCARD\nFN:Bob\n",
            "BEGIN:VCARD\n;:\nEND:VCARD\n",
            'BEGIN:VCARD\nFN;"X:Bob\nEND:VCARD\n',
            "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE;CHARSET=utf-8:=FF\nEND:VCARD\n",
            "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE;CHARSET=nonsense:Bob\nEND:VCARD\n",
            card(*[f"TEL:{BOB}"] * (CARD_NUMBERS + 1)),
        ):
            with self.subTest(text), self.assertRaises(NotVCard):
                list(read_cards(text))
        self.assertEqual(len(list(read_cards(card(*[f"TEL:{BOB}"] * CARD_NUMBERS)))), 1)

    @given(st.text(st.sampled_from("BEGINVCARD:;=\"\\\r\n \tTELFN+15,0x\u202e\0"), max_size=200))
    @settings(deadline=None, max_examples=200)
    def test_whatever_stands_in_a_file_is_read_or_refused(self, text: str) -> None:
        for whole in (text, card(text), f"address,name\n{text}"):
            try:
                found = contacts_of(whole)
            except (NotVCard, NotCsv):
                continue
            for one in found.contacts:
                self.assertTrue(one.name is None or name_refused(one.name) is None)


class ReadingRowsTests(SynchronousTestCase):
    """CSV of other programs."""

    def test_columns_are_found_by_their_names(self) -> None:
        text = 'Name;e-mail;Address\r\n"Bob; junior";b@example.org;+1 555 010 0102\r\n;;\r\n'
        self.assertEqual(only(text), [("Bob; junior", BOB)])

    def test_who_has_no_number_is_counted(self) -> None:
        self.assertEqual(contacts_of("address,name\n,Bob\n").without_number, 1)

    def test_what_is_no_csv_is_refused_as_a_whole(self) -> None:
        for text in ("", "\n", "+15550100102,bob\n", "name\nbob\n", "address,name\n+15550100102\n",
                     'address,name\n+15550100102,"bob\n', 'address,name\n+15550100102,"bob"x\n',
                     "address,name\n+15550100102," + "n" * 200_000 + "\n"):  # fmt: skip
            with self.subTest(text[:40]), self.assertRaises(NotCsv):
                list(read_rows(text))


class FileTests(SynchronousTestCase):
    """Bounds, modes and names."""

    def test_the_name_of_a_file_says_its_format(self) -> None:
        for name, form in (("a.vcf", ContactFormat.VCARD), ("A.VCF", ContactFormat.VCARD),
                           ("a.csv", ContactFormat.CSV)):  # fmt: skip
            self.assertIs(format_of(Path(name)), form)
        with self.assertRaises(Failure) as caught:
            format_of(Path("contacts"))
        self.assertIs(caught.exception.code, Code.USAGE)

    def test_it_is_private_whole_and_replaces_nothing(self) -> None:
        path = Path(self.mktemp())
        write_contacts(path, [NamedNumber(BOB, "Bob")], ContactFormat.CSV, seeded_entropy("x"))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        with self.assertRaises(Failure) as caught:
            write_contacts(path, [], ContactFormat.CSV, seeded_entropy("x"))
        self.assertIs(caught.exception.code, Code.USAGE)
        self.assertEqual([one.name for one in read_contacts(path).contacts], ["Bob"])
        with self.assertRaises(Failure) as caught:
            write_contacts(path / "x", [], ContactFormat.CSV, seeded_entropy("x"))
        self.assertIs(caught.exception.code, Code.FAILED)
        self.assertEqual([one for one in path.parent.iterdir() if one.name.endswith(".part")], [])

    def test_what_cannot_be_read_is_refused(self) -> None:
        path = Path(self.mktemp())
        for content in (None, b"address,name\n\xff,x\n", bytes(FILE_BYTES + 1)):
            if content is not None:
                path.write_bytes(content)
            with self.assertRaises(Failure) as caught:
                read_contacts(path)
            self.assertIs(caught.exception.code, Code.USAGE)

    def test_a_file_has_a_bounded_number_of_contacts(self) -> None:
        rows = [f"+1555{number:07},n{number}\n" for number in range(IMPORTED_CONTACTS + 1)]
        with self.assertRaises(Failure) as caught:
            contacts_of("address,name\n" + "".join(rows))
        self.assertIs(caught.exception.code, Code.USAGE)
        self.assertEqual(contacts_of("address,name\n" + "".join(rows[:-1])).wrong, [])
