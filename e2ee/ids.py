"""Validated value types for everything that names something.

Knows how names are spelled, not what they name. A value of one of these types is always valid;
`bytes(x)` and `str(x)` give the plain value for the wire.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import ClassVar, NamedTuple, Self

from e2ee.errors import InvalidAddress, InvalidIdentifier

ADDRESS_LENGTH = 16
"""The longest E.164 number, with its plus sign."""

_E164 = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_SPELLING = re.compile(r"(?:tel:)?\+[0-9 .\-()\[\]\u00a0\u2010-\u2015]{1,48}")
_IGNORED = re.compile(r"[^0-9]", re.ASCII)


class Address(str):
    """A phone number in its one E.164 form, such as ``+15550100101``.

    Raises InvalidAddress for what is not in that form; `parse` accepts the spellings of people.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not _E164.fullmatch(text):
            raise InvalidAddress("not a number in international form, such as +15550100101")
        return super().__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The canonical form of a number as people write it: ``tel:+1 (555) 010-0101``.

        Raises InvalidAddress with a reason for a national form, an extension, letters, or what is
        not a possible number of its country.
        """
        # Imported here: the metadata costs a fifth of a second that most commands do not need.
        import phonenumbers

        text = text.strip(" ")
        if not text.startswith(("+", "tel:+")):
            raise InvalidAddress("a number begins with + and its country code, such as +15550100101")
        if not _SPELLING.fullmatch(text):
            raise InvalidAddress(
                "a number has only digits, spaces, dots, dashes and brackets after its +,"
                " and no extension"
            )
        try:
            number = phonenumbers.parse("+" + _IGNORED.sub("", text), None)
        except phonenumbers.NumberParseException:
            raise InvalidAddress("the country code of this number is unknown") from None
        reason = phonenumbers.is_possible_number_with_reason(number)
        possible = phonenumbers.ValidationResult
        if reason == possible.TOO_SHORT:
            raise InvalidAddress("this number is too short for its country")
        if reason == possible.TOO_LONG:
            raise InvalidAddress("this number is too long for its country")
        if reason != possible.IS_POSSIBLE:
            raise InvalidAddress("this is not a possible number of its country")
        canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        # One trunk prefix is left out as people write it; behind two of them is no one spelling.
        if phonenumbers.parse(canonical, None) != number:
            raise InvalidAddress("this number has a trunk prefix that is not dialled from abroad")
        return cls(canonical)

    @property
    def country_code(self) -> str:
        """The digits of its country calling code; empty if no country has one that fits."""
        import phonenumbers

        try:
            return str(phonenumbers.parse(self, None).country_code)
        except phonenumbers.NumberParseException:
            return ""


class _FixedBytes(bytes):
    """Bytes of one length; each subclass names one kind of thing."""

    __slots__ = ()
    SIZE: ClassVar[int]

    def __new__(cls, value: bytes) -> Self:
        if len(value) != cls.SIZE:
            raise InvalidIdentifier(f"{cls.__name__} has {cls.SIZE} bytes, not {len(value)}")
        return super().__new__(cls, value)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """From exactly 2·SIZE lower-case hex digits; raises InvalidIdentifier."""
        if not re.fullmatch(rf"[0-9a-f]{{{2 * cls.SIZE}}}", text, re.ASCII):
            raise InvalidIdentifier(f"{cls.__name__} is written as {2 * cls.SIZE} lower-case hex digits")
        return cls(bytes.fromhex(text))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __str__(self) -> str:
        return self.hex()


class DeviceId(_FixedBytes):
    """One installation of the client: 8 random bytes, never used again."""

    __slots__ = ()
    SIZE = 8


class MessageId(_FixedBytes):
    """A message as people and scripts see it: 16 random bytes inside the encrypted content."""

    __slots__ = ()
    SIZE = 16


class EnvelopeId(_FixedBytes):
    """The first 16 bytes of SHA-256 of an envelope; everyone computes it, nobody sends it first."""

    __slots__ = ()
    SIZE = 16

    @classmethod
    def of(cls, envelope: bytes) -> Self:
        """The id of these bytes."""
        return bytes.__new__(cls, envelope_digest(envelope))


def envelope_digest(envelope: bytes) -> bytes:
    """The bytes of an `EnvelopeId`, for whoever only compares them."""
    return sha256(envelope).digest()[: EnvelopeId.SIZE]


class PasscodeSessionId(_FixedBytes):
    """One run of registration by passcode: 16 random bytes chosen by the server."""

    __slots__ = ()
    SIZE = 16


class ContactToken(_FixedBytes):
    """What an account gives to those whom it has accepted: 16 random bytes. A secret: no repr."""

    __slots__ = ()
    SIZE = 16

    def __repr__(self) -> str:
        return "ContactToken(…)"

    def __str__(self) -> str:
        return "ContactToken(…)"


class DeviceAddress(NamedTuple):
    """A device of an account. Device ids alone name nothing: anyone may register with any."""

    address: Address
    device: DeviceId
