"""Texts without an answer: a new handshake now and then, and whoever comes back late is still read."""

from __future__ import annotations

from dataclasses import replace

from e2ee.client.events import SentState, Undecryptable
from e2ee.crypto import limits
from e2ee.crypto.account_statement import AccountStatement
from e2ee.crypto.own_device import sign_statement
from e2ee.ids import DeviceId
from e2ee.store.client import sessions
from e2ee.store.client.sessions import SESSIONS_PER_DEVICE
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
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
        (first,) = self.begun()
        self.write(WORN + 1)
        self.assertEqual(self.handshakes(), 2)
        for _ in range(3):
            self.open_in(first)
            self.write(2)
        self.assertEqual(self.handshakes(), 2)
        self.write(WORN)
        self.assertEqual(self.handshakes(), 3)
        self.come_back()
        self.assertEqual(len(self.bob.read()), 2 * WORN + 7)

    def test_who_answers_in_a_new_one_and_goes_on_in_the_worn_one_brings_no_other(self) -> None:
        """What Bob has written before comes late, or he does that on purpose."""
        (first,) = self.begun()
        self.write(WORN + 1)
        self.open_in(self.begun()[-1], first=True)
        for _ in range(3):
            self.open_in(first)
            self.write(2)
            self.open_in(self.begun()[-1])
        self.assertEqual(self.handshakes(), 2)

    def test_who_has_several_worn_ones_brings_one_handshake_at_the_most(self) -> None:
        self.write(2 * SESSIONS_PER_DEVICE * WORN)
        worn = self.begun()
        for session in worn:
            self.open_in(session, first=True)
        before = self.handshakes()
        for _ in range(2):
            self.write(1)
            self.open_in(self.begun()[-1], first=True)
            for session in self.begun()[:-1]:
                self.open_in(session)
        self.assertEqual(self.handshakes(), before + 1)

    def test_who_goes_on_in_a_session_with_an_older_statement_of_his_brings_no_other(self) -> None:
        (first,) = self.begun()
        self.serve(replace(self.bob.own.statement, generation=self.bob.own.generation + 1))
        self.write(1)
        for _ in range(3):
            self.open_in(first)
            self.write(1)
        self.assertEqual(self.handshakes(), 2)

    def test_a_recipient_who_has_always_another_device_gets_a_handshake_now_and_then(self) -> None:
        """He and the server are one."""
        devices = iter(range(1, 2**32))

        def another_device(message: m.Message) -> m.Message | None:
            if not isinstance(message, m.Send):
                return None
            number = next(devices)
            device, generation = DeviceId(number.to_bytes(8, "big")), self.bob.own.generation + number
            statement = replace(self.bob.own.statement, device=device, generation=generation)
            return m.StaleDevice(0, self.serve(statement), None)

        self.world.relay.intercept[self.alice.address] = another_device
        sent = self.alice.say(self.bob, "patience")
        self.assertEqual((self.handshakes(), sent.state), (2, SentState.QUEUED))
        assert sent.error is not None
        self.world.wait(60)
        self.assertLessEqual(self.handshakes(), 5)
        del self.world.relay.intercept[self.alice.address]
        self.bob.stored.served = None

    def serve(self, statement: AccountStatement) -> bytes:
        """Have the directory show another statement of Bob's account key from now on."""
        self.bob.stored.served = sign_statement(self.bob.own.account_secret, statement)
        return self.bob.stored.served

    def handshakes(self) -> int:
        """How many sessions were begun, also those that are not kept."""
        return self.world.relay.count(self.alice.address, m.FetchBundle)

    def begun(self) -> list[bytes]:
        """The ids of the sessions, the oldest first."""
        rows = self.alice.look("SELECT session_id FROM session ORDER BY begun")
        return [session_id for (session_id,) in rows]

    def open_in(self, session_id: bytes, *, first: bool = False) -> None:
        """As if something of Bob's had been opened, without a step of the ratchet."""

        def operation(tx: Connection) -> None:
            record = sessions.session_by_id(tx, self.bob.address, session_id)
            assert record is not None
            sessions.save_opened(tx, record, first=first)

        self.alice.run(self.alice.vault.write(operation))

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
