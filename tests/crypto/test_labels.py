"""Labels separate: none is used twice, none begins another."""

from __future__ import annotations

from itertools import permutations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels, limits
from e2ee.wire import limits as wire_limits

ALL = {name: value for name, value in vars(labels).items() if isinstance(value, bytes) and name.isupper()}


class Labels(SynchronousTestCase):
    def test_no_label_is_or_begins_another(self) -> None:
        self.assertGreater(len(ALL), 10)
        for one, other in permutations(ALL.values(), 2):
            self.assertFalse(other.startswith(one), (one, other))

    def test_each_names_its_version(self) -> None:
        for label in ALL.values():
            self.assertTrue(label.startswith(b"e2ee/1 "), label)

    def test_a_context_cannot_be_moved_into_the_message(self) -> None:
        self.assertNotEqual(labels.in_context(b"ab", b"c"), labels.in_context(b"a", b"bc"))


class Limits(SynchronousTestCase):
    def test_cryptography_and_wire_agree_on_sizes(self) -> None:
        for name in ("STATEMENT_BYTES", "SIGNED_PREKEY_BYTES", "KEM_PREKEY_BYTES", "ENVELOPE_BYTES",
                     "IDENTITY_BYTES"):
            self.assertEqual(getattr(limits, name), getattr(wire_limits, name), name)

    def test_an_unanswered_chain_ends_before_its_keys_are_too_many_to_skip(self) -> None:
        self.assertLess(limits.UNANSWERED_MESSAGES, limits.SKIPPED_GAP)
