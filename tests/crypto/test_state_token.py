"""State tokens: only the device makes them, and nothing else is one."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.limits import COUNTERS
from e2ee.crypto.own_device import create_device
from e2ee.crypto.state_token import STATE_TOKEN_BYTES, make_state_token, read_state_token
from e2ee.ids import Address
from e2ee.testing.entropy import seeded_entropy

OWN = create_device(Address("+15550100101"), 1, seeded_entropy("own"))
OTHER = create_device(Address("+15550100101"), 1, seeded_entropy("other"))


class StateTokens(SynchronousTestCase):
    def test_the_layout(self) -> None:
        counter = (258).to_bytes(8, "big")
        extracted = hmac.digest(bytes(32), OWN.device_secret.raw, "sha256")
        key = hmac.digest(extracted, b"e2ee/1 state token\x01", "sha256")
        self.assertEqual(make_state_token(OWN, 258), counter + hmac.digest(key, counter, hashlib.sha256))

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, COUNTERS - 1))
    def test_the_counter_comes_back(self, counter: int) -> None:
        token = make_state_token(OWN, counter)
        self.assertEqual((len(token), read_state_token(OWN, token)), (STATE_TOKEN_BYTES, counter))

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, COUNTERS - 2))
    def test_bytes_and_counters_have_the_same_order(self, counter: int) -> None:
        self.assertLess(make_state_token(OWN, counter), make_state_token(OWN, counter + 1))

    def test_every_changed_bit_makes_it_none(self) -> None:
        token = make_state_token(OWN, 7)
        for at in range(8 * len(token)):
            changed = bytearray(token)
            changed[at // 8] ^= 1 << at % 8
            self.assertIsNone(read_state_token(OWN, bytes(changed)), at)

    def test_another_devices_token_another_length_and_a_counter_out_of_range_are_none(self) -> None:
        token = make_state_token(OWN, 7)
        for other in (make_state_token(OTHER, 7), token[:-1], token + b"x", b"", b"\xff" * 40):
            self.assertIsNone(read_state_token(OWN, other))
        for counter in (-1, COUNTERS):
            self.assertRaises(ValueError, make_state_token, OWN, counter)
