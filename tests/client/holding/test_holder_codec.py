"""The bytes between a command and the holder of its vault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import events
from e2ee.client.events import (
    HistoryQuery,
    KeyChanged,
    LinkDown,
    MessageReceived,
    MessageSent,
    SentMessage,
    SentState,
)
from e2ee.client.holding import clerk
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.holder_codec import (
    Malformed,
    decode_asked,
    decode_told,
    decode_value,
    encode,
    encode_asked,
    encode_value,
    wrapped,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId, MessageId
from e2ee.wire.framing import FrameReader

BOB = Address("+15550100102")
ID = MessageId(b"\x05" * 16)
MESSAGE = MessageReceived(ID, BOB, None, DeviceId(bytes(8)), 1, 2, "text", True, False, True, 7)


def unframed(framed: bytes) -> bytes:
    reader = FrameReader()
    reader.feed(framed)
    payload = reader.next_frame(h.TOLD_FRAME_BYTES)
    assert payload is not None
    assert not reader.buffered
    return payload


class CodecTests(SynchronousTestCase):
    """Everything arrives as what it was; anything else is Malformed."""

    def test_requests_arrive_with_their_types(self) -> None:
        for request in (
            h.Queue(BOB, "hello \U0001f642 \x00", ID),
            h.Take(5, events.Selection((BOB,), own_affairs=True)),
            h.Take(None, None),
            h.MarkShown((1, 2, 3)),
            h.FindHistory(HistoryQuery(BOB, "x", 5, None, "in", 3)),
            h.FindHistory(HistoryQuery()),
            h.LoadHistory((1, 2, 3)),
            h.Reached(ID, SentState.READ, 1.5),
            h.Outbox(),
        ):
            asked = decode_asked(unframed(encode_asked(h.Ask(7, request))))
            self.assertEqual(asked, h.Ask(7, request))
        queue: Any = decode_asked(unframed(encode(h.Ask(1, h.Queue(BOB, "x", ID)))))
        self.assertIs(type(queue.request.to), Address)
        self.assertIs(type(queue.request.message_id), MessageId)

    def test_events_arrive_with_their_types(self) -> None:
        failure = Failure(Code.KEY_CHANGED, "why", 1.5)
        put_back = events.PutBack(events.WhatWasPutBack.SERVER, BOB, 5, True, 3)
        again = events.SentAgain(BOB, None, 2, 5, False, 4)
        read = events.ReceiptReceived(ID, BOB, "bob", SentState.READ, 5, True, 6)
        timer = events.TimerChanged(BOB, "bob", 60, 5, True, 7)
        changed = KeyChanged(BOB, "bob", 5, True, 3)
        for event in (MESSAGE, changed, read, timer, again, put_back, events.Drained(),
                      events.ContactTyping(BOB)):  # fmt: skip
            told: Any = decode_told(unframed(encode(h.Tell(wrapped(event)))))
            self.assertEqual(told.told.event, event)
        sent = MessageSent(SentMessage(ID, BOB, SentState.QUEUED, failure))
        for waits in (sent, LinkDown(failure)):
            told = decode_told(unframed(encode(h.Tell(wrapped(waits)))))
            found = told.told.event
            arrived = found.failure if isinstance(found, LinkDown) else found.message.error
            self.assertEqual(
                (arrived.code, arrived.sentence, arrived.retry_after), (failure.code, "why", 1.5)
            )

    def test_every_event_can_be_told_and_every_request_is_performed(self) -> None:
        self.assertEqual(set(h.WRAPPINGS), set(get_args(events.Event)))
        self.assertEqual(set(h.WRAPPINGS.values()), set(get_args(h.AnyTold)))
        self.assertEqual(set(clerk._PERFORM), set(get_args(h.AnyRequest)))

    def test_lists_are_cut_into_parts_that_are_bounded(self) -> None:
        values = tuple("x" * 60_000 for _ in range(20))
        parts = [bytes(part) for part in encode_value(values)]
        self.assertGreater(len(parts), 4)
        self.assertLess(max(map(len, parts)), h.PART_BYTES + 1000)
        found = [one for part in parts for one in decode_value(part, tuple[str, ...])]
        self.assertEqual(tuple(found), values)
        self.assertEqual([bytes(part) for part in encode_value(())], [b"\x90"])
        self.assertEqual(len(list(encode_value(None))), 1)

    def test_bounds_are_held_on_both_sides(self) -> None:
        fits, too_long = "x" * 128 * 1024, "x" * (128 * 1024 + 1)
        encode_asked(h.Ask(1, h.Queue(BOB, fits, ID)))
        with self.assertRaises(Failure) as caught:
            encode_asked(h.Ask(1, h.Queue(BOB, too_long, ID)))
        self.assertIs(caught.exception.code, Code.USAGE)
        with self.assertRaises(Malformed):
            decode_asked(unframed(encode(h.Ask(1, h.Queue(BOB, too_long, ID)))))

    def test_what_is_no_valid_value_is_malformed(self) -> None:
        good = unframed(encode(h.Ask(1, h.Queue(BOB, "x", ID))))
        for bad in (
            good.replace(b"+15550100102", b"+0555010010x"),
            good.replace(b"queue", b"quack"),
            good.replace(b"text", b"tixt"),
            good + b"\x00",
            good[:-1],
            b"",
            b"\xc0",
        ):
            with self.assertRaises(Malformed):
                decode_asked(bad)
        told = unframed(encode(h.Refused(1, Failure(Code.USAGE, "why"))))
        with self.assertRaises(Malformed):
            decode_told(told.replace(b"usage", b"usige"))

    @given(st.binary(max_size=300))
    @settings(max_examples=300, deadline=None)
    def test_any_bytes_are_a_message_or_malformed(self, garbage: bytes) -> None:
        for decode in (decode_asked, decode_told):
            try:
                decode(garbage)
            except Malformed:
                continue

    def test_no_text_is_in_what_could_be_logged(self) -> None:
        secret = h.Ask(1, h.Queue(BOB, "nobody's business", ID))
        self.assertNotIn("business", repr(secret) + repr(h.Tell(wrapped(replace(MESSAGE, text="business")))))
