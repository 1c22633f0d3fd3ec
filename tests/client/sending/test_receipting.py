"""Who may be told about a text: the one gate before receipts, typing notices and timers."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.sending.receipting import may_tell
from e2ee.ids import Address
from e2ee.store.client.contacts import ContactRecord

KEY, ANOTHER = b"k" * 32, b"a" * 32
BOB = ContactRecord(
    Address("+15550100102"), "Bob", listed=True, accepted=True, blocked=False, verified=False,
    trusted_key=KEY, pending_key=None, token=None,
)  # fmt: skip


class MayTellTests(SynchronousTestCase):
    """docs/protocol.md, section 6, "Receipts": nobody learns of the user whom he has not accepted."""

    def test_whom_the_user_has_accepted_with_the_key_that_the_text_was_sealed_for(self) -> None:
        self.assertTrue(may_tell(BOB, KEY))
        self.assertTrue(may_tell(replace(BOB, listed=False, name=None), KEY))

    def test_nobody_whom_he_has_not_accepted(self) -> None:
        self.assertFalse(may_tell(replace(BOB, accepted=False), KEY))

    def test_nobody_whom_he_has_blocked_even_if_he_had_accepted_him(self) -> None:
        self.assertFalse(may_tell(replace(BOB, blocked=True), KEY))

    def test_nobody_whose_new_key_he_has_not_accepted(self) -> None:
        self.assertFalse(may_tell(replace(BOB, pending_key=ANOTHER), KEY))
        self.assertFalse(may_tell(replace(BOB, pending_key=ANOTHER), ANOTHER))

    def test_nobody_about_what_another_key_has_sent_or_what_no_key_is_known_of(self) -> None:
        self.assertFalse(may_tell(BOB, ANOTHER))
        self.assertFalse(may_tell(BOB, None))
        self.assertFalse(may_tell(replace(BOB, trusted_key=None), None))
