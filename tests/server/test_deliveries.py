"""The table of deliveries: one for each device, whatever its mailbox answers when."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import EnvelopeId
from e2ee.server.deliveries import Deliveries
from e2ee.server.delivery import Delivery
from e2ee.server.seat_terms import Outcome
from e2ee.store.server.ports import Appended, Attached, MailItem, MailRow
from e2ee.wire import messages as m
from tests.server.seat_model import BOB, SENDERS, Ticket, entry, envelope_item
from tests.server.town import PeerDouble


class LateMailbox:
    """Says that `waiting` rows wait, and answers reads and appends when the test does."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.epoch = 0
        self.reads: list[Deferred[Sequence[MailRow]]] = []
        self.appends: list[tuple[list[MailItem], Deferred[Sequence[Appended]]]] = []

    async def attach(self, where: object) -> Attached:
        self.epoch += 1
        return Attached(self.epoch, self.waiting, self.waiting, b"")

    def after(self, *order: object) -> Deferred[Sequence[MailRow]]:
        self.reads.append(Deferred())
        return self.reads[-1]

    def append(self, items: Sequence[MailItem], now: float) -> Deferred[Sequence[Appended]]:
        self.appends.append((list(items), Deferred()))
        return self.appends[-1][1]


class SuccessorTests(SynchronousTestCase):
    """A connection is lost while its rows are read: its delivery is forgotten, and the answer comes later."""

    def setUp(self) -> None:
        self.mailbox = LateMailbox(waiting=5)
        self.outcomes: list[tuple[object, Outcome]] = []
        self.deliveries = Deliveries(self.mailbox, Clock(), lambda: 0.0)  # type: ignore[arg-type]
        self.deliveries.reached = lambda waiter, outcome: self.outcomes.append((waiter.name, outcome))
        first = self.log_in(PeerDouble(BOB))
        assert first.peer is not None
        first.lost(first.peer)
        self.assertIsNone(self.deliveries.find(BOB))

    def log_in(self, peer: PeerDouble) -> Delivery:
        delivery = self.deliveries.to(BOB)
        attached = self.successResultOf(Deferred.fromCoroutine(delivery.attach(peer)))
        assert attached is not None
        delivery.begin(peer, attached)
        return delivery

    def late_answer(self) -> None:
        self.mailbox.reads[0].callback([])

    def test_whoever_has_logged_in_since_is_still_found_and_pushed_to(self) -> None:
        self.mailbox.waiting = 0
        peer = PeerDouble(BOB)
        second = self.log_in(peer)
        self.late_answer()
        self.assertIs(self.deliveries.find(BOB), second)
        item = envelope_item(SENDERS[0], 1)
        self.deliveries.to(BOB).submit(entry(item, Ticket(True, 1)), 0.0)
        self.assertEqual([push.envelope for push in peer.pushes], [item.envelope])
        second.acknowledge(peer, m.Acknowledge(1, EnvelopeId.of(item.envelope), m.Verdict.OPENED))
        self.assertEqual(self.outcomes, [(1, Outcome.DELIVERED)])

    def test_what_is_being_written_stays_before_what_comes_next(self) -> None:
        items = [envelope_item(SENDERS[0], number) for number in range(3)]
        for number, item in enumerate(items):
            self.deliveries.to(BOB).submit(entry(item, Ticket(True, number)), 0.0)
            if number == 0:
                self.late_answer()
        (first, commit), = self.mailbox.appends
        self.assertEqual(first, items[:1])
        commit.callback([Appended(6)])
        later, commit = self.mailbox.appends[1]
        self.assertEqual(later, items[1:])
        commit.callback([Appended(7), Appended(8)])
        self.assertEqual(self.outcomes, [(number, Outcome.STORED) for number in range(3)])

    def test_one_that_nobody_has_followed_stays_forgotten(self) -> None:
        self.late_answer()
        self.assertIsNone(self.deliveries.find(BOB))
