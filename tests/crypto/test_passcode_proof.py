"""The passcode proof: SPAKE2 with one encoding of each element, and one error."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import passcode_proof
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator, is_code, respond
from e2ee.errors import ProofRefused
from e2ee.ids import Address, PasscodeSessionId

P = 2**255 - 19
IDENTITIES = ProofIdentities(
    PasscodeSessionId(bytes(range(16))), Address("+15550100101"), b"k" * 32, b"x" * 32
)
CODE = "012345"
SMALL_ORDER_Y = (
    0,
    1,
    P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303021,
    P - 2707385501144840649318225287225658788936804267575313519463743609750303021,
)


def entropy(seed: int = 1) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def element(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def run(
    client_code: str, server_code: str, client: ProofIdentities, server: ProofIdentities
) -> tuple[Confirmations, Confirmations]:
    state, a = initiator(client_code, client, entropy(1))
    b, theirs = respond(server_code, server, a, entropy(2))
    return state.finish(b), theirs


class AgreementTests(SynchronousTestCase):
    def test_both_sides_with_the_same_code_agree(self) -> None:
        client, server = run(CODE, CODE, IDENTITIES, IDENTITIES)
        self.assertEqual(client, server)
        server.check_client(b"body", client.client(b"body"))
        client.check_server(b"body", b"outcome", server.server(b"body", b"outcome"))

    def test_elements_are_33_bytes_with_the_side_in_front(self) -> None:
        _, a = initiator(CODE, IDENTITIES, entropy())
        b, _ = respond(CODE, IDENTITIES, a, entropy(2))
        self.assertEqual((len(a), a[:1], len(b), b[:1]), (33, b"A", 33, b"B"))

    def test_another_code_does_not_confirm(self) -> None:
        client, server = run("012346", CODE, IDENTITIES, IDENTITIES)
        self.assertRaises(ProofRefused, server.check_client, b"body", client.client(b"body"))
        self.assertRaises(
            ProofRefused, client.check_server, b"body", b"done", server.server(b"body", b"done")
        )

    def test_each_identity_is_bound_into_the_proof(self) -> None:
        """Another session, number, account key or connection: refused, as with a relayed proof."""
        others = (
            replace(IDENTITIES, session=PasscodeSessionId(bytes(16))),
            replace(IDENTITIES, address=Address("+15550100102")),
            replace(IDENTITIES, account_key=b"m" * 32),
            replace(IDENTITIES, exporter=b"y" * 32),
        )
        for other in others:
            client, server = run(CODE, CODE, IDENTITIES, other)
            self.assertRaises(ProofRefused, server.check_client, b"body", client.client(b"body"))

    def test_label_and_version_are_bound_into_the_proof(self) -> None:
        state, a = initiator(CODE, IDENTITIES, entropy(1))
        with mock.patch.object(passcode_proof, "PROOF_VERSION", 2):
            b, server = respond(CODE, IDENTITIES, a, entropy(2))
        self.assertNotEqual(state.finish(b), server)

    def test_identities_are_length_prefixed(self) -> None:
        encoded = IDENTITIES.encode(b"label")
        fields = []
        while encoded:
            size = int.from_bytes(encoded[:2], "big")
            fields.append(encoded[2 : 2 + size])
            encoded = encoded[2 + size :]
        self.assertEqual(
            fields, [b"label", b"\x01", bytes(range(16)), b"+15550100101", b"k" * 32, b"x" * 32]
        )

    def test_the_two_confirmation_keys_differ(self) -> None:
        client, _ = run(CODE, CODE, IDENTITIES, IDENTITIES)
        self.assertNotEqual(client.kc, client.ks)

    def test_confirmations_are_those_of_the_protocol(self) -> None:
        """HMAC(Kc, SHA-256(body)) and HMAC(Ks, SHA-256(body) ‖ outcome), computed independently."""
        import hmac

        keys = Confirmations(b"c" * 32, b"s" * 32)
        digest = hashlib.sha256(b"body").digest()
        self.assertEqual(keys.client(b"body"), hmac.new(b"c" * 32, digest, "sha256").digest())
        self.assertEqual(
            keys.server(b"body", b"out"), hmac.new(b"s" * 32, digest + b"out", "sha256").digest()
        )

    def test_another_body_or_outcome_does_not_confirm(self) -> None:
        client, server = run(CODE, CODE, IDENTITIES, IDENTITIES)
        self.assertRaises(ProofRefused, server.check_client, b"other", client.client(b"body"))
        right = server.server(b"body", b"outcome")
        self.assertRaises(ProofRefused, client.check_server, b"other", b"outcome", right)
        self.assertRaises(ProofRefused, client.check_server, b"body", b"other", right)

    def test_a_confirmation_is_never_the_other_sides(self) -> None:
        client, server = run(CODE, CODE, IDENTITIES, IDENTITIES)
        self.assertRaises(ProofRefused, client.check_server, b"body", b"", client.client(b"body"))
        self.assertRaises(ProofRefused, server.check_client, b"body", server.server(b"body", b""))

    def test_a_confirmation_cut_short_is_refused(self) -> None:
        client, server = run(CODE, CODE, IDENTITIES, IDENTITIES)
        right = client.client(b"body")
        for wrong in (b"", right[:-1], right + b"\0"):
            self.assertRaises(ProofRefused, server.check_client, b"body", wrong)


class ElementTests(SynchronousTestCase):
    """A and B: exactly 33 bytes, canonical, of the right side, in the prime-order group."""

    def refused_by_both(self, encoded: bytes) -> None:
        self.assertRaises(ProofRefused, respond, CODE, IDENTITIES, b"A" + encoded, entropy())
        state, _ = initiator(CODE, IDENTITIES, entropy())
        self.assertRaises(ProofRefused, state.finish, b"B" + encoded)

    def test_wrong_lengths_are_refused(self) -> None:
        _, a = initiator(CODE, IDENTITIES, entropy())
        for wrong in (b"", b"A", a[:-1], a + b"\0"):
            self.assertRaises(ProofRefused, respond, CODE, IDENTITIES, wrong, entropy())

    def test_the_wrong_side_is_refused(self) -> None:
        _, a = initiator(CODE, IDENTITIES, entropy())
        for side in (b"B", b"S", b"\0"):
            self.assertRaises(ProofRefused, respond, CODE, IDENTITIES, side + a[1:], entropy())

    def test_the_clients_own_element_sent_back_is_refused(self) -> None:
        state, a = initiator(CODE, IDENTITIES, entropy())
        self.assertRaises(ProofRefused, state.finish, b"B" + a[1:])

    def test_every_small_order_point_is_refused_under_either_sign(self) -> None:
        for y in SMALL_ORDER_Y:
            self.refused_by_both(element(y))
            self.refused_by_both(element(y, 1))

    def test_encodings_of_the_identity_that_the_library_accepts_are_refused(self) -> None:
        """y = 1 with the sign set, and y = 1 + p under both signs."""
        for encoded in (element(1, 1), element(1 + P), element(1 + P, 1)):
            self.refused_by_both(encoded)

    def test_non_canonical_coordinates_are_refused(self) -> None:
        for y in (P, P + 3, 2**255 - 1):
            self.refused_by_both(element(y))

    def test_a_point_outside_the_prime_order_group_is_refused(self) -> None:
        """A right element plus the point of order two: canonical, but of order 2·L."""
        from spake2.ed25519_basic import Base, ElementOfUnknownGroup

        order_two = ElementOfUnknownGroup((0, P - 1, 1, 0))
        self.refused_by_both(Base.scalarmult(7).add(order_two).to_bytes())

    def test_what_is_not_on_the_curve_is_refused(self) -> None:
        self.refused_by_both(element(2))

    def test_whatever_the_library_raises_is_the_one_error_without_a_cause(self) -> None:
        for raised in (AssertionError("x"), ValueError("x"), TypeError("x"), KeyError("x")):
            state, a = initiator(CODE, IDENTITIES, entropy(1))
            b, _ = respond(CODE, IDENTITIES, a, entropy(2))
            with mock.patch("spake2.spake2.SPAKE2_A.finish", side_effect=raised):
                refused = self.assertRaises(ProofRefused, state.finish, b)
            self.assertTrue(refused.__suppress_context__)

    def test_a_state_is_good_for_one_answer(self) -> None:
        state, a = initiator(CODE, IDENTITIES, entropy(1))
        b, _ = respond(CODE, IDENTITIES, a, entropy(2))
        state.finish(b)
        self.assertRaises(ProofRefused, state.finish, b)

    def test_random_elements_give_keys_or_the_one_error(self) -> None:
        @settings(max_examples=40, deadline=None)
        @given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32).map(lambda y: b"A" + y))
        def check(a: bytes) -> None:
            try:
                b, _ = respond(CODE, IDENTITIES, a, entropy())
            except ProofRefused:
                return
            self.assertEqual((len(a), len(b)), (33, 33))

        check()

    def test_a_changed_bit_of_an_element_never_confirms(self) -> None:
        @settings(max_examples=25, deadline=None)
        @given(st.integers(0, 33 * 8 - 1))
        def check(bit: int) -> None:
            state, a = initiator(CODE, IDENTITIES, entropy(1))
            b, server = respond(CODE, IDENTITIES, a, entropy(2))
            changed = bytearray(b)
            changed[bit // 8] ^= 1 << bit % 8
            try:
                client = state.finish(bytes(changed))
            except ProofRefused:
                return
            self.assertRaises(ProofRefused, server.check_client, b"body", client.client(b"body"))

        check()


class CodeTests(SynchronousTestCase):
    def test_a_code_is_exactly_six_ascii_digits(self) -> None:
        self.assertTrue(is_code("000000"))
        for wrong in ("", "12345", "1234567", "12345a", "１２３４５６", "+12345", "1_2345", "123456\n"):
            self.assertFalse(is_code(wrong), wrong)
            error = self.assertRaises(ValueError, initiator, wrong, IDENTITIES, entropy())
            self.assertNotIn(wrong or "\0", str(error))

    def test_identities_have_fixed_lengths(self) -> None:
        self.assertRaises(ValueError, replace, IDENTITIES, exporter=b"x" * 31)
        self.assertRaises(ValueError, replace, IDENTITIES, account_key=b"k" * 33)

    def test_secrets_are_in_no_repr(self) -> None:
        client, _ = run(CODE, CODE, IDENTITIES, IDENTITIES)
        state, _ = initiator(CODE, IDENTITIES, entropy())
        shown = repr(client) + repr(state) + repr(IDENTITIES)
        for secret in (client.kc, client.ks, IDENTITIES.exporter):
            self.assertNotIn(repr(secret), shown)
        self.assertNotIn(CODE, shown)

    def test_the_randomness_is_the_callers(self) -> None:
        self.assertEqual(
            initiator(CODE, IDENTITIES, entropy(1))[1], initiator(CODE, IDENTITIES, entropy(1))[1]
        )
        self.assertNotEqual(
            initiator(CODE, IDENTITIES, entropy(1))[1], initiator(CODE, IDENTITIES, entropy(2))[1]
        )
