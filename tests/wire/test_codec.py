"""Decoding validates: everything that is not a message within its bounds is one ProtocolViolation."""

from __future__ import annotations

import contextlib
import tracemalloc

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.wire import codec, limits
from e2ee.wire import messages as m
from e2ee.wire.violations import ProtocolViolation
from tests.wire.examples import CLIENT, LAST_WORD, NUMBER, SERVER

EVERY = CLIENT + SERVER


def plain(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


class CodecTests(SynchronousTestCase):
    """Every message has one encoding; anything else is refused without a word about its content."""

    def assert_refused(self, data: bytes, who: str = "client") -> None:
        decode = codec.decode_client if who == "client" else codec.decode_server
        violation = self.assertRaises(ProtocolViolation, decode, data)
        self.assertEqual(violation.code, m.RefusalCode.MALFORMED)
        self.assertEqual(violation.sentence, "this frame is not a message of this protocol")

    def test_every_message_survives_the_round_trip(self) -> None:
        for message in CLIENT:
            self.assertEqual(codec.decode_client(codec.encode(message)), message)
        for message in (*SERVER, LAST_WORD):
            self.assertEqual(codec.decode_server(codec.encode(message)), message)

    def test_the_examples_are_all_messages(self) -> None:
        self.assertEqual({type(message) for message in CLIENT}, set(m.ClientMessage.__args__))
        self.assertEqual({type(message) for message in SERVER}, set(m.ServerMessage.__args__))

    def test_no_repr_shows_a_contact_token_or_an_invite(self) -> None:
        send = m.Send(7, "+15550100101", b"h" * 32, b"t" * 16, b"envelope", b"s" * 40)
        self.assertIn("Send(n=7, number='+15550100101'", repr(send))
        secret = (
            send,
            m.FetchBundle(1, "+15550100101", b"t" * 16),
            m.Watch(1, (m.Target("+15550100101", b"t" * 16),)),
            m.RequestCode(1, "+15550100101", b"t" * 16),
        )
        for message in secret:
            self.assertNotIn("tttt", repr(message) + str(message))

    def test_no_two_messages_share_a_tag(self) -> None:
        tags = [kind.__struct_config__.tag for kind in (m.ClientMessage | m.ServerMessage).__args__]
        self.assertEqual(len(tags), len(set(tags)))

    def test_what_a_server_says_is_nothing_for_a_server(self) -> None:
        for message in SERVER:
            self.assert_refused(codec.encode(message), "client")
        for message in CLIENT:
            self.assert_refused(codec.encode(message), "server")

    def test_a_further_field_is_refused(self) -> None:
        self.assert_refused(plain("ping", 1, 2))

    def test_a_tail_is_refused(self) -> None:
        self.assert_refused(plain("ping", 1) + b"\0")

    def test_a_map_is_refused(self) -> None:
        self.assert_refused(msgspec.msgpack.encode({"type": "ping", "n": 1}))

    def test_other_types_are_refused(self) -> None:
        for wrong in ("1", 1.0, True, None, [1], 2**31, -1):
            self.assert_refused(plain("ping", wrong))
        self.assert_refused(plain("ping", None))

    def test_both_sides_of_a_length(self) -> None:
        envelope = b"x" * limits.ENVELOPE_BYTES
        codec.decode_client(plain("send", 1, NUMBER, b"h" * 32, None, envelope, b"s" * 40, False))
        self.assert_refused(plain("send", 1, NUMBER, b"h" * 32, None, envelope + b"x", b"s" * 40, False))
        self.assert_refused(plain("send", 1, NUMBER, b"h" * 32, None, b"", b"s" * 40, False))
        self.assert_refused(plain("send", 1, NUMBER, b"h" * 32, None, b"x", b"s" * 39, False))
        self.assert_refused(plain("send", 1, NUMBER, b"h" * 31, None, b"x", b"s" * 40, False))

    def test_a_number_is_ascii_digits_and_nothing_behind_them(self) -> None:
        codec.decode_client(plain("lookup", 1, NUMBER))
        for wrong in (NUMBER + "\n", "15550100101", "+1555010010\u0661", "+0555", "+", "+1" + "5" * 15):
            self.assert_refused(plain("lookup", 1, wrong))

    def test_seconds_are_finite(self) -> None:
        for wrong in (float("nan"), float("inf"), -1.0):
            self.assert_refused(plain("code=", 1, b"s" * 16, wrong), "server")

    def test_deep_nesting_is_refused(self) -> None:
        self.assert_refused(b"\x91" * 100_000)

    def test_a_length_that_is_not_there_allocates_nothing(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for huge in (
            b"\x94\xa2hi\x01\xdd\xff\xff\xff\xff\x01\x90",
            b"\xdd\xff\xff\xff\xff\xa2hi",
            b"\x92\xa4ping\xc6\xff\xff\xff\xff",
        ):
            self.assert_refused(huge)
        self.assertTrue(tracemalloc.get_traced_memory()[1] < 1_000_000)

    def test_a_part_is_decoded_alone(self) -> None:
        for outcome in (
            m.RegistrationOutcome(m.OutcomeKind.REGISTERED),
            m.RegistrationOutcome(m.OutcomeKind.PIN_REQUIRED, b"s" * 16),
        ):
            encoded = codec.encode(outcome)
            self.assertEqual(codec.decode_part(encoded, m.RegistrationOutcome), outcome)
            self.assertRaises(ProtocolViolation, codec.decode_part, encoded + b"\0", m.RegistrationOutcome)
            codec.decode_server(codec.encode(m.PinRequired(1, encoded, b"c" * 32)))

    def test_a_salt_and_a_stretched_pin_have_one_length(self) -> None:
        codec.decode_client(plain("pin", 1, b"s" * 16, b"p" * 32))
        codec.decode_client(plain("prove-pin", 1, b"p" * 32, b"c" * 32))
        for salt, stretched in ((15, 32), (17, 32), (16, 31), (16, 33), (0, 0)):
            self.assert_refused(plain("pin", 1, b"s" * salt, b"p" * stretched))
        for stretched, confirmation in ((31, 32), (33, 32), (32, 31), (32, 33)):
            self.assert_refused(plain("prove-pin", 1, b"p" * stretched, b"c" * confirmation))
        for salt in (15, 17):
            wrong = plain("pin_required", b"s" * salt)
            self.assertRaises(ProtocolViolation, codec.decode_part, wrong, m.RegistrationOutcome)

    @settings(deadline=None, max_examples=200)
    @given(data=st.binary(max_size=200))
    def test_random_bytes_raise_nothing_else(self, data: bytes) -> None:
        for decode in (codec.decode_client, codec.decode_server):
            with contextlib.suppress(ProtocolViolation):
                decode(data)

    @settings(deadline=None, max_examples=300)
    @given(which=st.sampled_from(EVERY), at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.booleans())
    def test_mutations_raise_nothing_else(self, which: m.Message, at: int, byte: int, cut: bool) -> None:
        data = bytearray(codec.encode(which))
        data[at % len(data)] = byte
        if cut:
            del data[at % len(data) :]
        for decode in (codec.decode_client, codec.decode_server):
            with contextlib.suppress(ProtocolViolation):
                decode(bytes(data))
