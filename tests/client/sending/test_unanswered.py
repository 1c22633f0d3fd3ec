"""Texts without an answer: a new handshake now and then, and whoever comes back late is still read."""

from __future__ import annotations

from e2ee.client.events import Undecryptable
from e2ee.crypto import limits
from e2ee.store.client import sessions
from e2ee.store.client.sessions import SESSIONS_PER_DEVICE
from e2ee.store.connection import Connection
from tests.client.sending.test_receipts import ReceiptCase

WORN = 10
"""In place of UNANSWERED_MESSAGES."""


class UnansweredTests(ReceiptCase):
    """Bob is away while Alice writes; what he wrote before leaves when he is back."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(limits, "UNANSWERED_MESSAGES", WORN)
        self.bob.link.disconnect()
        self.world.settle()
        self.bob.queue(self.alice, "written before")

    def write(self, count: int) -> None:
        for number in range(count):
            self.alice.say(self.bob, str(number))

    def come_back(self) -> None:
        self.bob.link.connect()
        self.world.wait(5)
        for person in (self.alice, self.bob):
            self.assertEqual(person.heard(Undecryptable), [])

    def test_each_side_reads_the_other_however_many_handshakes_later(self) -> None:
        self.write(2 * SESSIONS_PER_DEVICE * WORN)
        self.assertGreater(self.handshakes(), SESSIONS_PER_DEVICE + 1)
        self.come_back()
        self.assertEqual(len(self.bob.read()), 2 * SESSIONS_PER_DEVICE * WORN)
        self.assertEqual(self.alice.read(), ["written before"])
        self.bob.say(self.alice, "now")
        self.alice.say(self.bob, "good")
        self.assertEqual((self.alice.read(), self.bob.read()), (["now"], ["good"]))

    def test_what_still_comes_in_a_worn_session_begins_no_other(self) -> None:
        """Bob, who is slow, goes on in the first until he has read so far."""
        (first,) = self.alice.look("SELECT session_id FROM session")
        self.write(WORN + 1)
        self.assertEqual(self.handshakes(), 2)
        for _ in range(3):
            self.alice.run(self.alice.vault.write(lambda tx: self.opened(tx, first[0])))
            self.write(2)
        self.assertEqual(self.handshakes(), 2)
        self.write(WORN)
        self.assertEqual(self.handshakes(), 3)
        self.come_back()
        self.assertEqual(len(self.bob.read()), 2 * WORN + 7)

    def handshakes(self) -> int:
        return len(self.alice.look("SELECT * FROM session"))

    def opened(self, tx: Connection, session_id: bytes) -> None:
        """As if something of Bob's had been opened, without a step of the ratchet."""
        record = sessions.session_by_id(tx, self.bob.address, session_id)
        assert record is not None
        sessions.save_opened(tx, record, first=False)

    def test_where_both_write_for_long(self) -> None:
        self.alice.link.disconnect()
        self.world.settle()
        for number in range(4 * WORN):
            self.alice.queue(self.bob, f"a{number}")
            self.bob.queue(self.alice, f"b{number}")
        self.alice.link.connect()
        self.world.wait(5)
        self.write(2 * SESSIONS_PER_DEVICE * WORN)
        self.come_back()
        self.assertEqual(len(self.bob.read()), (4 + 2 * SESSIONS_PER_DEVICE) * WORN)
        self.assertEqual(len(self.alice.read()), 1 + 4 * WORN)
