"""The deliveries of all devices that are connected or have something in memory.

Knows where a device's delivery is: here, in this process. The one place that another node's seats
would be asked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorTime

from e2ee.ids import DeviceAddress
from e2ee.server.delivery import Delivery, Reached
from e2ee.server.peer import Peer
from e2ee.store.server.ports import Mailbox


class Deliveries:
    """One delivery for each device, made when it is needed and forgotten when it is at rest."""

    reached: Reached
    """Who is told what became of each envelope: the one that hands them over."""

    def __init__(self, mailbox: Mailbox, clock: IReactorTime, now: Callable[[], float]) -> None:
        self.mailbox = mailbox
        self._clock = clock
        self._now = now
        self._here: dict[DeviceAddress, Delivery] = {}
        self._stopping = False

    def to(self, where: DeviceAddress) -> Delivery:
        """The delivery to this device."""
        delivery = self._here.get(where)
        if delivery is None:
            delivery = Delivery(where, self.mailbox, self._clock, self._now, self.reached, self._forget)
            if self._stopping:
                delivery.stop()
            self._here[where] = delivery
        return delivery

    def find(self, where: DeviceAddress) -> Delivery | None:
        """The same, if it is there."""
        return self._here.get(where)

    def peers(self) -> Iterator[Peer]:
        """Every connection whose login was answered, as of now."""
        for delivery in list(self._here.values()):
            if delivery.peer is not None and delivery.peer.ready:
                yield delivery.peer

    async def settle(self) -> None:
        """Take nothing more and write everything that is in memory; returns when it is on disk."""
        self._stopping = True
        for delivery in list(self._here.values()):
            delivery.stop()
        await gatherResults([delivery.at_rest() for delivery in list(self._here.values())])

    def _forget(self, delivery: Delivery) -> None:
        # One that was forgotten before may have a successor, who must not go with it: then there would be
        # two seats of one device, and a connection that nothing is pushed to.
        if self._here.get(delivery.where) is delivery:
            del self._here[delivery.where]
