"""What stands inside an envelope: a typed, versioned structure, encoded in one way.

Knows fields and bounds, not how contents are encrypted or what becomes of them. Everything malformed
is OpenFailed: it comes from an authenticated sender, but is treated like a wrong MAC.

Layout, all numbers big-endian: type (1), version 0x01, message id (16), time (8), have_up_to (8), own
generation (8), their generation (8), contact token (flag, then 16 bytes). A text goes on with its
sequence number (8), length (4) and UTF-8; a resume with the highest number sent (8), and twice a count
(1) and so many ranges, each its first and its last number (8, 8); a receipt with twice a count (1) and so
many message ids (16): of the delivered, then of the read; a timer notice with a timer; a typing notice with
nothing. A file goes on like a text, which may be empty, then with the file (`shared_file`). Both end with
their expiry if the conversation ever had a timer (`expiry`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto import limits
from e2ee.crypto.counters import NumberRange, counter, encode_ranges, read_counter, read_ranges
from e2ee.crypto.encoding import FieldReader, number
from e2ee.crypto.expiry import Expiry, Timer, encode_expiry, encode_timer, read_expiry, read_timer
from e2ee.crypto.shared_file import SharedFile, encode_file, read_file
from e2ee.errors import EncodingRefused, OpenFailed
from e2ee.ids import ContactToken, MessageId

_TEXT = 1
_TOKEN_NOTICE = 2
_RESUME = 3
_RECEIPT = 4
_FILE = 5
_TIMER = 6
_TYPING = 7
_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class CommonFields:
    """What every content says beside its own.

    `have_up_to` is the highest contiguous sequence number received from the other side, 0 for none. The
    generations are those of both statements as the sender knows them. `token` is the sender's contact
    token, for contacts whom he has accepted. Times are ms since 1970.
    """

    message_id: MessageId
    sent_at: int
    have_up_to: int
    own_generation: int
    their_generation: int
    token: ContactToken | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Text(CommonFields):
    """A message for a person, 1 to 65,536 bytes of UTF-8; with a file it may be empty.

    `sequence` counts the text-like contents of the sender's device for this account from 1, over all
    sessions.
    """

    sequence: int
    text: str = field(repr=False)
    file: SharedFile | None = field(default=None, kw_only=True)
    expiry: Expiry | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class TokenNotice(CommonFields):
    """Hands the contact token over without a text. Shown to nobody, has no sequence number."""

    token: ContactToken = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resume(CommonFields):
    """Says how far the numbered texts of both sides have come, after something was lost. Shown to nobody.

    `sent_up_to` is the highest number that the sender's device has given a text which the server
    accepted, 0 for none. `missing` are numbers of the other side's texts that are not here, above
    `have_up_to`; `gone` are own numbers under which nothing will come any more. Both ascend, with at
    least one number between two ranges, and have at most RESUME_RANGES.
    """

    sent_up_to: int
    missing: tuple[NumberRange, ...]
    gone: tuple[NumberRange, ...]


@dataclass(frozen=True, slots=True)
class Receipt(CommonFields):
    """Says of texts of the other side that they are kept, or have been read. Shown to nobody as a message.

    Both together have 1 to RECEIPT_IDS ids.
    """

    delivered: tuple[MessageId, ...]
    read: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True)
class TimerNotice(CommonFields):
    """Says that the timer is another one. Shown to nobody as a message, has no sequence number."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Typing(CommonFields):
    """Says that the sender is writing at this moment. Shown to nobody as a message, kept nowhere."""


Content = Text | TokenNotice | Resume | Receipt | TimerNotice | Typing

_KINDS = {
    Text: _TEXT, TokenNotice: _TOKEN_NOTICE, Resume: _RESUME, Receipt: _RECEIPT, TimerNotice: _TIMER,
    Typing: _TYPING,
}  # fmt: skip


def encode_content(content: Content) -> bytes:
    """The bytes to seal. ValueError for what has no encoding, such as an empty or too long text."""
    common = b"".join((
        number(_kind(content), 1),
        _VERSION,
        content.message_id,
        counter(content.sent_at),
        counter(content.have_up_to),
        counter(content.own_generation),
        counter(content.their_generation),
        b"\0" if content.token is None else b"\1" + content.token,
    ))
    if isinstance(content, Text):
        return common + _encode_text(content)
    if isinstance(content, Resume):
        ranges = encode_ranges(content.missing) + encode_ranges(content.gone)
        return common + counter(content.sent_up_to) + ranges
    if isinstance(content, Receipt):
        return common + _encode_receipt(content)
    if isinstance(content, TimerNotice):
        return common + encode_timer(content.timer)
    return common


def _kind(content: Content) -> int:
    return _FILE if isinstance(content, Text) and content.file else _KINDS[type(content)]


def decode_content(encoded: bytes) -> Content:
    """The reverse; raises OpenFailed for anything that `encode_content` would not have made."""
    try:
        return _decode(FieldReader(encoded))
    except (EncodingRefused, UnicodeDecodeError):
        raise OpenFailed from None


def _encode_text(content: Text) -> bytes:
    text = content.text.encode()
    least = 1 if content.file is None else 0
    if not least <= len(text) <= limits.TEXT_BYTES:
        raise ValueError(f"a text has {least} to {limits.TEXT_BYTES} bytes, not {len(text)}")
    if content.sequence < 1:
        raise ValueError("sequence numbers begin at 1")
    file = b"" if content.file is None else encode_file(content.file)
    end = b"" if content.expiry is None else encode_expiry(content.expiry)
    return counter(content.sequence) + number(len(text), 4) + text + file + end


def _encode_receipt(content: Receipt) -> bytes:
    if not 0 < len(content.delivered) + len(content.read) <= limits.RECEIPT_IDS:
        raise ValueError(f"a receipt has 1 to {limits.RECEIPT_IDS} ids")
    return b"".join(number(len(ids), 1) + b"".join(ids) for ids in (content.delivered, content.read))


def _decode(reader: FieldReader) -> Content:
    kind = reader.number(1)
    reader.expect(_VERSION)
    message_id = MessageId(reader.take(MessageId.SIZE))
    sent_at, have_up_to = read_counter(reader), read_counter(reader)
    own_generation, their_generation = read_counter(reader), read_counter(reader)
    token = ContactToken(reader.take(ContactToken.SIZE)) if reader.flag() else None
    common = message_id, sent_at, have_up_to, own_generation, their_generation
    if kind == _TEXT:
        return Text(*common, token, *_decode_text(reader, 1), expiry=_decode_expiry(reader))
    if kind == _FILE:
        words, file = _decode_text(reader, 0), read_file(reader)
        return Text(*common, token, *words, file=file, expiry=_decode_expiry(reader))
    if kind == _TOKEN_NOTICE and token is not None:
        reader.end()
        return TokenNotice(*common, token)
    if kind == _RESUME:
        return Resume(*common, token, *_decode_resume(reader))
    if kind == _RECEIPT:
        return Receipt(*common, token, *_decode_receipt(reader))
    if kind == _TYPING:
        reader.end()
        return Typing(*common, token)
    if kind == _TIMER:
        timer = read_timer(reader)
        reader.end()
        return TimerNotice(*common, token, timer)
    raise EncodingRefused("of another type")


def _decode_text(reader: FieldReader, least: int) -> tuple[int, str]:
    sequence, length = read_counter(reader), reader.number(4)
    if sequence < 1 or not least <= length <= limits.TEXT_BYTES:
        raise EncodingRefused("a number out of its range")
    return sequence, reader.take(length).decode()


def _decode_expiry(reader: FieldReader) -> Expiry | None:
    expiry = None if reader.ended else read_expiry(reader)
    reader.end()
    return expiry


def _decode_resume(
    reader: FieldReader,
) -> tuple[int, tuple[NumberRange, ...], tuple[NumberRange, ...]]:
    sent_up_to = read_counter(reader)
    missing, gone = read_ranges(reader), read_ranges(reader)
    reader.end()
    return sent_up_to, missing, gone


def _decode_receipt(reader: FieldReader) -> tuple[tuple[MessageId, ...], tuple[MessageId, ...]]:
    delivered, read = _read_ids(reader), _read_ids(reader)
    reader.end()
    if not 0 < len(delivered) + len(read) <= limits.RECEIPT_IDS:
        raise EncodingRefused("no ids, or too many")
    return delivered, read


def _read_ids(reader: FieldReader) -> tuple[MessageId, ...]:
    return tuple(MessageId(reader.take(MessageId.SIZE)) for _ in range(reader.number(1)))
