"""Texts without an answer: a new handshake now and then, and whoever comes back late is still read."""

from __future__ import annotations

from e2ee.client.events import Undecryptable
from e2ee.crypto import limits
from e2ee.store.client.sessions import SESSIONS_PER_DEVICE
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
        self.assertGreater(self.alice.look("SELECT count(*) FROM session")[0][0], SESSIONS_PER_DEVICE + 1)
        self.come_back()
        self.assertEqual(len(self.bob.read()), 2 * SESSIONS_PER_DEVICE * WORN)
        self.assertEqual(self.alice.read(), ["written before"])
        self.bob.say(self.alice, "now")
        self.alice.say(self.bob, "good")
        self.assertEqual((self.alice.read(), self.bob.read()), (["now"], ["good"]))

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
