"""Contents: every field comes back, bounds hold on both sides, the rest is OpenFailed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits
from e2ee.crypto.content import (
    Content,
    Receipt,
    Resume,
    Text,
    TimerNotice,
    TokenNotice,
    Typing,
    decode_content,
    encode_content,
)
from e2ee.crypto.counters import NumberRange
from e2ee.crypto.expiry import Expiry, Timer
from e2ee.crypto.shared_file import SharedFile
from e2ee.errors import OpenFailed
from e2ee.ids import ContactToken, MessageId
from tests.crypto.mutations import resized

TOKEN = ContactToken(b"t" * 16)
TEXT = Text(MessageId(b"m" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN, 5, "Hello")
RESUME = Resume(
    MessageId(b"r" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN, 9,
    (NumberRange(5, 5), NumberRange(7, 2**53 - 1)), (NumberRange(2, 3),),
)  # fmt: skip
RECEIPT = Receipt(
    MessageId(b"q" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN,
    (MessageId(b"1" * 16),), (MessageId(b"2" * 16), MessageId(b"3" * 16)),
)  # fmt: skip
FILE = replace(
    TEXT, text="", file=SharedFile("naïve.pdf", 2**53 - 1, b"f" * 16, b"c" * 16, b"k" * 32, b"d" * 32)
)
NOTICE = TokenNotice(MessageId(b"n" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN)
TIMER = Timer(3600, 7, 1_800_000_000_000, True)
TIMED = replace(TEXT, expiry=Expiry(60, TIMER))
TIMER_NOTICE = TimerNotice(MessageId(b"d" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN, TIMER)
TYPING = Typing(MessageId(b"y" * 16), 1_800_000_000_000, 4, 10, 11, TOKEN)
EVERY = (TEXT, NOTICE, RESUME, RECEIPT, TIMED, TIMER_NOTICE, TYPING)

counters = st.integers(0, limits.COUNTERS - 1)
tokens = st.binary(min_size=16, max_size=16).map(ContactToken)
seconds = st.integers(0, limits.TIMER_SECONDS)
timers = st.builds(Timer, seconds, st.integers(1, limits.TIMER_VERSIONS - 1), counters, st.booleans())
message_ids = st.binary(min_size=16, max_size=16).map(MessageId)


def _ranges(ends: list[int]) -> tuple[NumberRange, ...]:
    """Ranges that ascend with something between them, out of any numbers."""
    firsts, lasts, before = sorted(set(ends))[::2], sorted(set(ends))[1::2], -1
    ranges = []
    for first, last in zip(firsts, lasts, strict=False):
        if first > before + 1:
            ranges.append(NumberRange(first, last))
            before = last
    return tuple(ranges[: limits.RESUME_RANGES])


range_lists = st.lists(counters, max_size=140).map(_ranges)
contents: st.SearchStrategy[Content] = st.builds(
    Text,
    message_ids,
    counters,
    counters,
    counters,
    counters,
    st.none() | tokens,
    st.integers(1, limits.COUNTERS - 1),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=300),
    expiry=st.none() | st.builds(Expiry, seconds, timers),
) | st.builds(
    TimerNotice, message_ids, counters, counters, counters, counters, tokens, timers
) | st.builds(TokenNotice, message_ids, counters, counters, counters, counters, tokens) | st.builds(
    Typing, message_ids, counters, counters, counters, counters, st.none() | tokens
) | st.builds(
    Resume, message_ids, counters, counters, counters, counters, st.none() | tokens, counters,
    range_lists, range_lists,
) | st.builds(
    Receipt, message_ids, counters, counters, counters, counters, st.none() | tokens,
    st.lists(message_ids, min_size=1, max_size=9).map(tuple), st.lists(message_ids, max_size=9).map(tuple),
)  # fmt: skip


class Contents(SynchronousTestCase):
    @settings(deadline=None, max_examples=150)
    @given(contents)
    def test_every_content_comes_back(self, content: Content) -> None:
        self.assertEqual(decode_content(encode_content(content)), content)

    def test_the_layout_of_a_text(self) -> None:
        numbers = b"".join(value.to_bytes(8, "big") for value in (1_800_000_000_000, 4, 10, 11))
        expected = b"\x01\x01" + b"m" * 16 + numbers + b"\x01" + b"t" * 16
        expected += (5).to_bytes(8, "big") + b"\0\0\0\x05Hello"
        self.assertEqual(encode_content(TEXT), expected)

    def test_a_text_without_token(self) -> None:
        without = replace(TEXT, token=None)
        self.assertEqual(decode_content(encode_content(without)), without)
        self.assertEqual(len(encode_content(without)), len(encode_content(TEXT)) - 16)

    def test_every_kind_of_unicode(self) -> None:
        simple = ("é", "e\u0301", "漢字", "\u202eabc", "\0", "a\nb\r\n", "\x1b[2J", "\ufeff", "\U0010ffff")
        for text in (*simple, "\U0001f469\u200d\U0001f469\u200d\U0001f467"):
            content = replace(TEXT, text=text)
            self.assertEqual(decode_content(encode_content(content)), content)

    def test_64_kib_of_utf_8_and_not_one_byte_more(self) -> None:
        for text in ("x" * 65536, "é" * 32768, "😀" * 16384):
            content = replace(TEXT, text=text)
            self.assertEqual(decode_content(encode_content(content)), content)
            self.assertRaises(ValueError, encode_content, replace(TEXT, text=text + "x"))

    def test_a_longer_text_is_refused_by_the_recipient_too(self) -> None:
        encoded = encode_content(replace(TEXT, text="x" * 65536))
        longer = encoded.replace((65536).to_bytes(4, "big"), (65537).to_bytes(4, "big")) + b"x"
        self.assertRaises(OpenFailed, decode_content, longer)

    def test_an_empty_text_is_refused_on_both_sides(self) -> None:
        self.assertRaises(ValueError, encode_content, replace(TEXT, text=""))
        encoded = encode_content(TEXT).replace(b"\0\0\0\x05Hello", bytes(4))
        self.assertRaises(OpenFailed, decode_content, encoded)

    def test_a_file_comes_with_a_text_or_without(self) -> None:
        for content in (FILE, replace(FILE, text="look")):
            self.assertEqual(decode_content(encode_content(content)), content)

    def test_what_opens_a_file_is_in_no_repr(self) -> None:
        shown = repr(FILE)
        for hidden in ("kkkk", "cccc", "dddd", "pdf"):
            self.assertNotIn(hidden, shown)

    def test_a_file_of_another_form_is_refused_on_both_sides(self) -> None:
        assert FILE.file is not None
        for field, value in (
            ("name", ""), ("name", "x" * 256), ("name", "\ud800"), ("size", 2**53), ("size", -1),
            ("file_id", b""), ("capability", b"c" * 17), ("key", b"k" * 31), ("digest", b""),
        ):  # fmt: skip
            wrong = replace(FILE, file=replace(FILE.file, **{field: value}))  # type: ignore[arg-type]
            self.assertRaises(ValueError, encode_content, wrong)
        encoded = encode_content(FILE)
        at = encoded.index(b"\x00\x0ana")
        for wrong_bytes in (
            encoded[:-1], encoded + b"x", encoded.replace(b"\xc3\xaf", b"\xff\xff"),
            encoded[:at] + b"\0\0" + encoded[at + 12 :], encoded[:at] + b"\x01\x00" + encoded[at + 2 :],
            b"\x01" + encoded[1:],
        ):  # fmt: skip
            self.assertRaises(OpenFailed, decode_content, wrong_bytes)

    def test_what_is_not_utf_8_is_refused_on_both_sides(self) -> None:
        self.assertRaises(ValueError, encode_content, replace(TEXT, text="\ud800"))
        encoded = encode_content(TEXT)
        for ending in (b"Hell\xff", b"He\xed\xa0\x80", b"Hel\xc0\x80", b"Hell\xc3"):
            self.assertRaises(OpenFailed, decode_content, encoded[:-5] + ending)

    def test_sequence_numbers_begin_at_1(self) -> None:
        self.assertRaises(ValueError, encode_content, replace(TEXT, sequence=0))
        encoded = encode_content(TEXT)
        at = len(encoded) - len(b"\0\0\0\x05Hello")
        self.assertEqual(encoded[at - 1], 5)
        self.assertRaises(OpenFailed, decode_content, encoded[: at - 1] + b"\0" + encoded[at:])

    def test_counters_stay_below_2_to_53_on_both_sides(self) -> None:
        last = 2**53 - 1
        for name in ("sent_at", "have_up_to", "own_generation", "their_generation", "sequence"):
            highest = replace(TEXT, **{name: last})  # type: ignore[arg-type]
            encoded = encode_content(highest)
            self.assertEqual(decode_content(encoded), highest)
            for value in (2**53, -1):
                self.assertRaises(ValueError, encode_content, replace(TEXT, **{name: value}))  # type: ignore[arg-type]
            too_high = encoded.replace(last.to_bytes(8, "big"), (2**53).to_bytes(8, "big"))
            self.assertRaises(OpenFailed, decode_content, too_high)

    def test_a_token_notice_has_a_token_and_nothing_else(self) -> None:
        encoded = encode_content(NOTICE)
        self.assertEqual(decode_content(encoded), NOTICE)
        self.assertRaises(OpenFailed, decode_content, encoded[:-17] + b"\0")

    def test_the_layout_of_a_resume(self) -> None:
        def numbers(*values: int) -> bytes:
            return b"".join(value.to_bytes(8, "big") for value in values)

        expected = b"\x03\x01" + b"r" * 16 + numbers(1_800_000_000_000, 4, 10, 11) + b"\x01" + b"t" * 16
        expected += numbers(9) + b"\x02" + numbers(5, 5, 7, 2**53 - 1) + b"\x01" + numbers(2, 3)
        self.assertEqual(encode_content(RESUME), expected)

    def test_64_ranges_and_not_one_more(self) -> None:
        ranges = tuple(NumberRange(2 * n + 1, 2 * n + 1) for n in range(65))
        for name in ("missing", "gone"):
            full = replace(RESUME, **{name: ranges[:64]})  # type: ignore[arg-type]
            encoded = encode_content(full)
            self.assertEqual(decode_content(encoded), full)
            self.assertRaises(ValueError, encode_content, replace(RESUME, **{name: ranges}))  # type: ignore[arg-type]
        longer = encode_content(replace(RESUME, gone=ranges[:64]))
        at = len(longer) - 64 * 16 - 1
        one_more = b"".join(end.to_bytes(8, "big") for end in ranges[64])
        changed = longer[:at] + b"\x41" + longer[at + 1 :] + one_more
        self.assertRaises(OpenFailed, decode_content, changed)

    def test_ranges_have_one_spelling(self) -> None:
        for wrong in (
            [(0, 1)], [(3, 2)], [(1, 2), (3, 4)], [(1, 5), (4, 9)], [(7, 8), (1, 2)], [(1, 2), (1, 2)],
        ):  # fmt: skip
            ranges = tuple(NumberRange(*one) for one in wrong)
            self.assertRaises(ValueError, encode_content, replace(RESUME, gone=ranges))
            right = encode_content(replace(RESUME, gone=tuple(NumberRange(9 * n + 1, 9 * n + 1)
                                                              for n in range(len(wrong)))))  # fmt: skip
            head = right[: len(right) - 16 * len(wrong)]
            encoded = head + b"".join(end.to_bytes(8, "big") for one in wrong for end in one)
            self.assertRaises(OpenFailed, decode_content, encoded)

    def test_the_layout_of_a_receipt(self) -> None:
        numbers = b"".join(value.to_bytes(8, "big") for value in (1_800_000_000_000, 4, 10, 11))
        expected = b"\x04\x01" + b"q" * 16 + numbers + b"\x01" + b"t" * 16
        expected += b"\x01" + b"1" * 16 + b"\x02" + b"2" * 16 + b"3" * 16
        self.assertEqual(encode_content(RECEIPT), expected)

    def test_a_receipt_tells_of_1_to_250_texts_and_fits_into_4_kib(self) -> None:
        ids = tuple(MessageId(number.to_bytes(16, "big")) for number in range(251))
        for delivered, read in ((ids[:250], ()), ((), ids[:250]), (ids[:125], ids[125:250])):
            full = replace(RECEIPT, delivered=delivered, read=read)
            self.assertEqual(decode_content(encode_content(full)), full)
            self.assertLess(len(encode_content(full)), 4096)
        for delivered, read in ((ids, ()), (ids[:1], ids[1:]), ((), ())):
            wrong = replace(RECEIPT, delivered=delivered, read=read)
            self.assertRaises(ValueError, encode_content, wrong)
            head = encode_content(RECEIPT)[: -3 * 16 - 2]
            lists = (bytes((len(one),)) + b"".join(one) for one in (delivered, read))
            self.assertRaises(OpenFailed, decode_content, head + b"".join(lists))

    def test_the_layout_of_a_timer_and_of_a_text_that_has_one(self) -> None:
        moment = (7).to_bytes(8, "big") + (1_800_000_000_000).to_bytes(8, "big")
        timer = (3600).to_bytes(4, "big") + moment + b"\1"
        self.assertEqual(encode_content(TIMED), encode_content(TEXT) + (60).to_bytes(4, "big") + timer)
        head = encode_content(replace(NOTICE, message_id=TIMER_NOTICE.message_id))
        self.assertEqual(encode_content(TIMER_NOTICE), b"\x06" + head[1:] + timer)

    def test_the_layout_of_a_typing_notice(self) -> None:
        head = encode_content(replace(NOTICE, message_id=TYPING.message_id))
        self.assertEqual(encode_content(TYPING), b"\x07" + head[1:])

    def test_a_timer_has_at_most_366_days_and_a_bounded_version(self) -> None:
        longest = replace(TIMER, seconds=366 * 86_400, version=2**52 - 1, set_at=2**53 - 1)
        for timer in (longest, replace(longest, seconds=0, version=1, set_at=0, by_sender=False)):
            content = replace(TIMER_NOTICE, timer=timer)
            self.assertEqual(decode_content(encode_content(content)), content)
        encoded = encode_content(TIMER_NOTICE)
        for name, size, wrong in (("seconds", 4, 366 * 86_400 + 1), ("version", 8, 2**52), ("version", 8, 0),
                                  ("set_at", 8, 2**53)):  # fmt: skip
            timer = replace(TIMER, **{name: wrong})  # type: ignore[arg-type]
            self.assertRaises(ValueError, encode_content, replace(TIMER_NOTICE, timer=timer))
            right = getattr(TIMER, name).to_bytes(size, "big")
            at = encoded.rindex(right)
            changed = encoded[:at] + wrong.to_bytes(size, "big") + encoded[at + size :]
            self.assertRaises(OpenFailed, decode_content, changed)
        self.assertRaises(ValueError, encode_content, replace(TEXT, expiry=Expiry(366 * 86_400 + 1, TIMER)))

    def test_other_types_versions_flags_and_lengths_are_refused(self) -> None:
        for encoded in (encode_content(content) for content in EVERY):
            for changed in resized(encoded):
                if changed != encode_content(TEXT):  # which is TIMED without its end
                    self.assertRaises(OpenFailed, decode_content, changed)
            for at, value in ((0, 0), (0, 9), (0, 255), (1, 0), (1, 2), (50, 2)):
                changed = encoded[:at] + bytes((value,)) + encoded[at + 1 :]
                self.assertRaises(OpenFailed, decode_content, changed)

    @settings(deadline=None, max_examples=150)
    @given(st.binary(max_size=200), st.sampled_from([b"", *(bytes((kind, 1)) for kind in range(1, 8))]))
    def test_random_bytes_are_a_content_or_refused(self, noise: bytes, head: bytes) -> None:
        try:
            content = decode_content(head + noise)
        except OpenFailed:
            return
        self.assertEqual(encode_content(content), head + noise)

    def test_no_repr_shows_text_or_token(self) -> None:
        for content in EVERY:
            self.assertNotIn("Hello", repr(content))
            self.assertNotIn("ttt", repr(content))
