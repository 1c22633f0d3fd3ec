"""Frames: a four-byte length, judged before the rest is waited for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.wire.framing import FrameReader, frame
from e2ee.wire.messages import RefusalCode
from e2ee.wire.violations import ProtocolViolation

LIMIT = 100
PAYLOADS = st.lists(st.binary(min_size=1, max_size=LIMIT), max_size=8)


def read_all(reader: FrameReader) -> list[bytes]:
    frames = []
    while (payload := reader.next_frame(LIMIT)) is not None:
        frames.append(payload)
    return frames


class FramingTests(SynchronousTestCase):
    """FrameReader cuts any stream of frames, however it arrives."""

    def test_a_frame_is_its_length_and_its_bytes(self) -> None:
        self.assertEqual(frame(b"abc"), b"\0\0\0\3abc")

    @settings(deadline=None, max_examples=60)
    @given(payloads=PAYLOADS, tail=st.binary(max_size=3))
    def test_whole_with_a_tail(self, payloads: list[bytes], tail: bytes) -> None:
        reader = FrameReader()
        reader.feed(b"".join(map(frame, payloads)) + tail)
        self.assertEqual(read_all(reader), payloads)
        self.assertEqual(reader.buffered, len(tail))

    @settings(deadline=None, max_examples=60)
    @given(payloads=PAYLOADS)
    def test_byte_by_byte(self, payloads: list[bytes]) -> None:
        reader, frames = FrameReader(), []
        for byte in b"".join(map(frame, payloads)):
            reader.feed(bytes([byte]))
            frames += read_all(reader)
            self.assertTrue(reader.buffered < LIMIT + 4)
        self.assertEqual(frames, payloads)

    @settings(deadline=None, max_examples=60)
    @given(payloads=PAYLOADS, cuts=st.lists(st.integers(0, 900), max_size=10))
    def test_in_any_pieces(self, payloads: list[bytes], cuts: list[int]) -> None:
        stream = b"".join(map(frame, payloads))
        edges = [0, *sorted(cuts), len(stream)]
        reader, frames = FrameReader(), []
        for begin, end in pairwise(edges):
            reader.feed(stream[begin:end])
            frames += read_all(reader)
        self.assertEqual(frames, payloads)

    def test_a_frame_of_the_limit_passes_and_one_byte_more_does_not(self) -> None:
        reader = FrameReader()
        reader.feed(frame(b"x" * LIMIT))
        self.assertEqual(reader.next_frame(LIMIT), b"x" * LIMIT)
        reader.feed((LIMIT + 1).to_bytes(4, "big"))
        violation = self.assertRaises(ProtocolViolation, reader.next_frame, LIMIT)
        self.assertEqual(violation.code, RefusalCode.FRAME_TOO_LARGE)

    def test_the_largest_length_is_refused_on_its_four_bytes(self) -> None:
        reader = FrameReader()
        reader.feed(b"\xff\xff\xff")
        self.assertIsNone(reader.next_frame(LIMIT))
        reader.feed(b"\xff")
        violation = self.assertRaises(ProtocolViolation, reader.next_frame, LIMIT)
        self.assertIn(str(2**32 - 1), violation.sentence)

    def test_an_empty_frame_is_malformed(self) -> None:
        reader = FrameReader()
        reader.feed(b"\0\0\0\0")
        violation = self.assertRaises(ProtocolViolation, reader.next_frame, LIMIT)
        self.assertEqual(violation.code, RefusalCode.MALFORMED)

    def test_after_stop_nothing_is_kept(self) -> None:
        reader = FrameReader()
        reader.feed(b"\0\0")
        reader.stop()
        reader.feed(frame(b"more") * 100)
        self.assertEqual(reader.buffered, 0)
        self.assertIsNone(reader.next_frame(LIMIT))
