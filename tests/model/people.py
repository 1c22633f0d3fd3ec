"""People with real vaults and real links, who reach the server in memory through wires that can be cut.

Knows how one is started, killed and registered anew on this network; what they do with each other is the
tests' (`tests.client.people` has the rest of a person).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.link import Link
from e2ee.client.linking.channel import connector
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.refusals import LinkLost
from e2ee.crypto.keys import KemSuite
from e2ee.ids import DeviceAddress
from e2ee.store.client.identity import ServerRecord
from e2ee.testing.network import MemoryConnector, MemoryNetwork
from e2ee.testing.transport import Wire
from e2ee.wire.messages import Message, Send
from tests.client.people import NOON, Person, World, _ignore
from tests.model.server import Server

PATIENCE_SECONDS = 120
"""Longer than any deadline of a connection."""


class Machine:
    """The network as one computer sees it: it remembers its own connections."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.connectors: list[MemoryConnector] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def connectTCP(self, *arguments: Any, **options: Any) -> MemoryConnector:
        """As in Twisted."""
        made = self._network.connectTCP(*arguments, **options)
        self.connectors = [*self.connectors[-3:], made]
        return made

    def wires(self) -> list[Wire]:
        """Those that stand."""
        ends = [one.transport for one in self.connectors if one.transport is not None]
        return [wire for wire in self._network.wires if wire.client in ends]


class ModelPerson(Person):
    """A person behind a machine of their own."""

    world: ModelWorld

    def _make_link(self, on_push: Any, on_state: Any) -> Any:
        self.machine = Machine(self.world.network)

        async def save(record: ServerRecord) -> None:
            """The server's keys do not change here."""

        server = KnownServer(ServerRecord(str(self.world.server.link)), save)
        self.real_link = Link(
            cast(Any, self.machine), connector(self.machine), server, self.own, self.entropy,
            on_push=on_push, on_state=on_state,
        )  # fmt: skip
        request = self.real_link.request

        async def noted(message: Message) -> Message:
            if isinstance(message, Send):
                self.world.envelopes.append(message.envelope)
            return await request(message)

        cast(Any, self.real_link).request = noted
        return self.real_link

    @property
    def where(self) -> DeviceAddress:
        """The present device."""
        return DeviceAddress(self.address, self.own.device)

    def cut(self) -> None:
        """The wire breaks; both ends notice."""
        for wire in self.machine.wires():
            wire.cut()

    def stall(self, *, up: bool) -> None:
        """From now on nothing comes through in one direction, and nobody notices."""
        for wire in self.machine.wires():
            (wire.client if up else wire.server).stalled = True

    def stop(self) -> None:
        """End in good order; on a connection that swallows everything that takes a while."""
        stopped = Deferred.fromCoroutine(self.messenger.stop())
        for _ in range(PATIENCE_SECONDS):
            self.world.settle()
            if stopped.called:
                break
            self.world.network.advance(1)
        self.world.result(stopped)

    def go_online(self) -> None:
        """Connect, after a start without that."""
        self.run(self.messenger.connect(once=False))
        self.world.settle()

    def kill(self) -> None:
        """End like a killed process; the vault is opened as it is on the disk."""
        self.messenger._context.tasks.spawn = _ignore  # type: ignore[method-assign]
        self.cut()
        with suppress(LinkLost):
            self.run(self.real_link.stop())
        self.run(self.messenger._context.tasks.finish())
        self.reopen()


class ModelWorld(World):
    """The world of `tests.client.people` with the real server in place of the fake one."""

    def __init__(self, case: SynchronousTestCase) -> None:
        super().__init__(case)
        self.network = MemoryNetwork()
        self.network.advance(NOON)
        self.clock = self.network
        self.server = Server(self.network)
        self.relay = cast(Any, self.server)
        self.envelopes: list[bytes] = []
        """All that anybody has ever sent."""

    def person(
        self, address: str, config: Config | None = None, suite: KemSuite = KemSuite.ML_KEM_1024
    ) -> ModelPerson:
        """Somebody registered who is not started."""
        self._made += 1
        one = ModelPerson(self, address, f"{address} {self._made}", config, suite)
        self.people.append(one)
        return one

    def settle(self) -> None:
        """Let happen what happens without time passing."""
        for _ in range(100_000):
            if not self.nudge():
                return
        raise AssertionError("the world does not come to rest")

    def nudge(self) -> bool:
        """A little of what happens without time passing: one turn of everybody. Whether anything did."""
        network = self.network
        network.advance(0)
        network.wires[:] = [wire for wire in network.wires if not (wire.client._gone and wire.server._gone)]
        moved = [end.deliver() for wire in network.wires for end in (wire.client, wire.server)]
        due = any(call.getTime() <= network.seconds() for call in network.getDelayedCalls())
        return bool(self.lanes.step()) or any(moved) or due

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        for _ in range(PATIENCE_SECONDS):
            if reached():
                return
            self.wait(1)
        raise AssertionError("it does not come to that")

    def pass_days(self, days: int) -> None:
        """A long time, in steps that no deadline of a connection survives."""
        for _ in range(days * 24):
            self.network.advance(3_600)
            self.settle()
