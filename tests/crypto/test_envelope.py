"""The layout of envelopes, byte for byte, and what is refused before any key is used."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits
from e2ee.crypto.envelope import decode_envelope, encode_head
from e2ee.crypto.extension import ANSWER, OFFER, Extension, encode_extension
from e2ee.errors import OpenFailed

SESSION, RATCHET_KEY, IV, BODY, TAG = b"sessions", b"r" * 32, b"i" * 16, b"c" * 272, b"t" * 32
OFFERED, ANSWERED = Extension(OFFER, b"o" * 1184), Extension(ANSWER, b"a" * 1088)


def plain(number: int = 3, previous: int = 2, extension: Extension | None = None) -> bytes:
    return encode_head(SESSION, RATCHET_KEY, previous, number, extension, None) + IV + BODY + TAG


def first(handshake: bytes = b"handshake", extension: Extension | None = None) -> bytes:
    return encode_head(SESSION, RATCHET_KEY, 0, 0, extension, handshake) + IV + BODY + TAG


class Layout(SynchronousTestCase):
    def test_a_later_message(self) -> None:
        expected = b"\x01\x02" + SESSION + RATCHET_KEY + b"\0\0\0\x02" + b"\0\0\0\x03" + b"\0\0"
        self.assertEqual(plain(), expected + IV + BODY + TAG)

    def test_a_first_message(self) -> None:
        expected = b"\x01\x01" + SESSION + RATCHET_KEY + bytes(8) + b"\0\0" + b"\0\x09handshake"
        self.assertEqual(first(), expected + IV + BODY + TAG)

    def test_the_parts_come_back(self) -> None:
        parts = decode_envelope(plain())
        self.assertEqual((parts.session_id, parts.ratchet_key), (SESSION, RATCHET_KEY))
        self.assertEqual((parts.previous, parts.number, parts.handshake), (2, 3, None))
        self.assertEqual((parts.iv, parts.ciphertext, parts.tag), (IV, BODY, TAG))
        self.assertEqual(parts.covered + parts.tag, plain())
        parts = decode_envelope(first())
        self.assertEqual((parts.handshake, parts.iv, parts.ciphertext), (b"handshake", IV, BODY))

    def test_an_offer_and_an_answer(self) -> None:
        for extension, head in ((OFFERED, b"\x04\xa3\x01\x04\xa0"), (ANSWERED, b"\x04\x43\x02\x04\x40")):
            self.assertEqual(plain(extension=extension)[50:], head + extension.value + IV + BODY + TAG)
            self.assertEqual(decode_envelope(plain(extension=extension)).extension, extension)
            parts = decode_envelope(first(extension=extension))
            self.assertEqual((parts.extension, parts.handshake), (extension, b"handshake"))


class Refused(SynchronousTestCase):
    def refused(self, envelope: bytes) -> None:
        self.assertRaises(OpenFailed, decode_envelope, envelope)

    def test_unknown_versions_and_types(self) -> None:
        for at in (0, 1):
            for value in (0, 3, 255):
                self.refused(plain()[:at] + bytes((value,)) + plain()[at + 1 :])
        self.refused(b"\x02" + plain()[1:])

    def test_unknown_extensions_other_lengths_and_more_than_one(self) -> None:
        """An unknown one might mean anything."""
        rest = IV + BODY + TAG
        for extension in (OFFERED, ANSWERED):
            good = encode_extension(extension)
            longer = encode_extension(extension._replace(value=extension.value + b"\0"))
            shorter = encode_extension(extension._replace(value=extension.value[:-1]))
            unknown = [bytes((kind,)) + good[1:] for kind in (0, 3, 255)]
            swapped = bytes((3 - extension.kind,)) + good[1:]
            parts = [good[:at] for at in (1, 2, 3, 4, len(good) - 1)]
            for bad in (longer, shorter, *unknown, swapped, *parts, good + b"\0", good + good, b"\0", b"\1"):
                self.refused(plain()[:50] + len(bad).to_bytes(2, "big") + bad + rest)
            decode_envelope(plain()[:50] + len(good).to_bytes(2, "big") + good + rest)
        self.refused(plain()[:50] + b"\0\x10" + plain()[52:])
        self.refused(plain()[:50] + b"\xff\xff" + plain()[52:])

    def test_numbers_from_2_to_31(self) -> None:
        last = 2**31 - 1
        self.assertEqual(decode_envelope(plain(number=last, previous=last)).number, last)
        self.refused(plain(number=2**31))
        self.refused(plain(previous=2**31))
        self.refused(plain(number=2**32 - 1))

    def test_a_ciphertext_that_is_not_whole_blocks(self) -> None:
        head = encode_head(SESSION, RATCHET_KEY, 0, 0, None, None)
        decode_envelope(head + IV + bytes(16) + TAG)
        for size in (0, 1, 15, 17, 31):
            self.refused(head + IV + bytes(size) + TAG)

    def test_every_shorter_envelope_that_does_not_end_on_a_block(self) -> None:
        for envelope in (plain(), first()):
            whole = [size for size in range(len(envelope)) if _decodes(envelope[:size])]
            self.assertTrue(all((len(envelope) - size) % 16 == 0 for size in whole))

    def test_a_handshake_longer_than_the_rest_or_than_its_limit(self) -> None:
        decode_envelope(first(b"h" * limits.HANDSHAKE_BYTES))
        self.refused(first(b"h" * (limits.HANDSHAKE_BYTES + 1)))
        self.refused(first()[:52] + b"\xff\xff" + first()[54:])
        self.refused(first()[:53])

    def test_96_kib_and_not_a_byte_more(self) -> None:
        head = encode_head(SESSION, RATCHET_KEY, 0, 0, None, None) + IV
        room = limits.ENVELOPE_BYTES - len(head) - len(TAG)
        whole = room // 16 * 16
        decode_envelope(head + bytes(whole) + TAG)
        self.refused(head + bytes(whole + 16) + TAG)

    @settings(deadline=None, max_examples=150)
    @given(st.binary(max_size=300), st.sampled_from([b"", b"\x01\x01", b"\x01\x02"]))
    def test_random_bytes_are_taken_apart_or_refused(self, noise: bytes, head: bytes) -> None:
        try:
            parts = decode_envelope(head + noise)
        except OpenFailed:
            return
        again = encode_head(
            parts.session_id,
            parts.ratchet_key,
            parts.previous,
            parts.number,
            parts.extension,
            parts.handshake,
        )
        self.assertEqual(again + parts.iv + parts.ciphertext + parts.tag, head + noise)


def _decodes(envelope: bytes) -> bool:
    try:
        decode_envelope(envelope)
    except OpenFailed:
        return False
    return True
