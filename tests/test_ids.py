"""Names of things: one spelling for each, and a reason for what is refused."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import InvalidAddress, InvalidIdentifier
from e2ee.ids import (
    ADDRESS_LENGTH,
    Address,
    ContactToken,
    DeviceAddress,
    DeviceId,
    EnvelopeId,
    MessageId,
    PasscodeSessionId,
)

ALICE = "+15550100101"
KINDS = (DeviceId, MessageId, EnvelopeId, PasscodeSessionId, ContactToken)


class AddressTests(SynchronousTestCase):
    """Phone numbers: all spellings of a number are one address."""

    def test_all_spellings_are_one_address(self) -> None:
        for spelling in (
            "+15550100101", "+1 555 010 0101", "+1 (555) 010-0101", "+1.555.010.0101", "tel:+1-555-010-0101",
            "+1 [555] 0100101", "  +15550100101  ", "+1\u00a0555\u00a00100101", "+1\u2011555\u20110100101",
        ):  # fmt: skip
            self.assertEqual(Address.parse(spelling), ALICE, spelling)

    def test_a_country_with_a_national_prefix_in_brackets(self) -> None:
        self.assertEqual(Address.parse("+49 30 901820"), "+4930901820")

    def test_what_is_not_international(self) -> None:
        for text in ("5550100101", "(555) 010-0101", "001 555 010 0101", "tel:15550100101", "", " ", "alice"):
            self.assertRaises(InvalidAddress, Address.parse, text)

    def test_what_else_is_refused(self) -> None:
        for text in (
            "+15550100101x5", "+15550100101;ext=5", "+1555010CALL", "++15550100101", "+1555+0100101", "+",
            "+15550100101\n+15550100102", "+1\uff15\uff15\uff150100101", "+1_555_010_0101",
            "tel:tel:+15550100101", "+1555010\x000101", "+" + "1" * 60,
        ):  # fmt: skip
            self.assertRaises(InvalidAddress, Address.parse, text)

    def test_the_reason_is_told(self) -> None:
        for text, words in (
            ("5550100101", "country code"),
            ("+9995550100", "country code"),
            ("+1555", "too short"),
            ("+155501001010", "too long"),
            ("+15550100101 ext. 5", "no extension"),
        ):
            self.assertIn(words, str(self.assertRaises(InvalidAddress, Address.parse, text)))

    def test_the_constructor_takes_the_one_form_only(self) -> None:
        self.assertEqual(Address(ALICE), ALICE)
        for text in ("+1 5550100101", "15550100101", "+05550100101", ALICE + "\n", "+" + "1" * 16, "+1"):
            self.assertRaises(InvalidAddress, Address, text)

    def test_the_longest(self) -> None:
        self.assertEqual(len(Address("+" + "1" * 15)), ADDRESS_LENGTH)

    def test_parsing_twice_is_parsing_once(self) -> None:
        self.assertRaises(InvalidAddress, Address.parse, "+55001500100101")
        once = Address.parse("+1 (555) 010-0101")
        self.assertEqual(Address.parse(once), once)
        self.assertIsInstance(once, Address)

    @settings(deadline=None, max_examples=200)
    @given(text=st.text(max_size=30))
    def test_any_text_is_an_address_or_refused(self, text: str) -> None:
        for candidate in (text, "+" + text, "+1555" + text):
            try:
                address = Address.parse(candidate)
            except InvalidAddress:
                continue
            self.assertEqual(Address(str(address)), address)


class IdentifierTests(SynchronousTestCase):
    """Bytes of one length, lower-case hex in text."""

    def test_exactly_their_length(self) -> None:
        for kind in KINDS:
            self.assertEqual(bytes(kind(b"x" * kind.SIZE)), b"x" * kind.SIZE)
            for size in (0, kind.SIZE - 1, kind.SIZE + 1):
                self.assertRaises(InvalidIdentifier, kind, b"x" * size)

    def test_hex_in_one_spelling(self) -> None:
        for kind in KINDS:
            text = "0a" * kind.SIZE
            self.assertEqual(kind.from_hex(text), b"\x0a" * kind.SIZE)
            wrongs = (text.upper(), text[2:], text + "0a", text[:-1] + "g", " " + text[1:], text + "\n", "")
            for wrong in wrongs:
                self.assertRaises(InvalidIdentifier, kind.from_hex, wrong)

    def test_they_print_as_hex(self) -> None:
        self.assertEqual(str(DeviceId(b"\x01" * 8)), "01" * 8)
        self.assertEqual(repr(DeviceId(b"\x01" * 8)), f"DeviceId({'01' * 8})")

    def test_a_contact_token_is_in_no_text(self) -> None:
        token = ContactToken(b"\x01" * 16)
        for text in (repr(token), str(token), f"{token}", repr([token])):
            self.assertNotIn("01", text)
            self.assertNotIn("\\x01", text)

    def test_an_envelope_id_is_computed_from_its_bytes(self) -> None:
        expected = hashlib.sha256(b"envelope").digest()[:16]
        self.assertEqual(EnvelopeId.of(b"envelope"), expected)
        self.assertNotEqual(EnvelopeId.of(b"envelopf"), expected)

    def test_a_device_has_an_address_and_an_id(self) -> None:
        where = DeviceAddress(Address(ALICE), DeviceId(b"d" * 8))
        self.assertEqual(where, (ALICE, b"d" * 8))
