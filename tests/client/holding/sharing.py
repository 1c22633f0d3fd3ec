"""Commands that share one vault in memory: holders, callers, and a wire between them that can be cut."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure as TwistedFailure
from twisted.test.iosim import FakeTransport, IOPump, connect

from e2ee.client.agent import Conversations
from e2ee.client.deadline import Deadline
from e2ee.client.events import Event
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.borrowed import Borrowed
from e2ee.client.holding.frame_protocol import HolderLost
from e2ee.client.holding.holder import Holder
from e2ee.client.holding.way import OnLost, Way
from e2ee.errors import Code, Failure
from e2ee.testing.entropy import seeded_entropy
from tests.client.people import Person, World

T = TypeVar("T")


class Table:
    """One person's vault, its holder, and the commands that sit around it."""

    def __init__(self, world: World, person: Person, *, lasting: bool = True) -> None:
        self.world = world
        self.person = person
        self.pumps: list[IOPump] = []
        self.callers: list[Any] = []
        self.commands = 0
        self.admits = True
        self.refuses: Failure | None = None
        self.holder: Holder | None = None
        self.open(lasting=lasting)

    def open(self, *, lasting: bool = True) -> None:
        """Somebody holds the vault as it is on the disk."""
        self.holder = Holder(
            self.world.clock, self.person.messenger, lasting=lasting, admits=lambda _: self.admits
        )

    def connect(self, borrowed: Borrowed) -> IOPump:
        """A connection to the holder; nothing has passed yet."""
        assert self.holder is not None
        caller = self.holder.buildProtocol(None)
        self.callers.append(caller)
        pump: IOPump = connect(
            caller, FakeTransport(caller, isServer=True), borrowed, FakeTransport(borrowed, isServer=False)
        )
        self.pumps.append(pump)
        return pump

    def borrow(self, events: list[Event] | None = None, *, lasting: bool = False) -> Borrowed:
        """A command that was let in."""
        heard = [] if events is None else events
        borrowed = Borrowed(
            self.world.clock, lasting=lasting, on_event=heard.append, on_lost=lambda _: None
        )
        self.connect(borrowed)
        assert self.result(borrowed.greet(1.0)) is not None
        return borrowed

    def kill(self) -> None:
        """The holder's process ends at once; what it has committed is on the disk."""
        pumps, self.pumps = self.pumps, []
        self.holder = None
        self.person.kill()
        self._cut(pumps)
        self.settle()

    def _cut(self, pumps: list[IOPump]) -> None:
        """Only the commands notice: nobody is left at the other end."""
        for pump in pumps:
            if not pump.clientIO.disconnected:
                pump.clientIO.disconnected = True
                pump.client.connectionLost(TwistedFailure(HolderLost()))

    def kill_holder_only(self, *, connect: bool = True) -> None:
        """The same, and another process has the vault at once."""
        pumps, self.pumps = self.pumps, []
        self.person.kill()
        self.person.start(connect=connect)
        self.open()
        self._cut(pumps)

    # --- going on -----------------------------------------------------------------------------

    def settle(self) -> None:
        """Let happen what happens without time passing."""
        for _ in range(10_000):
            self.world.settle()
            moved = False
            for pump in tuple(self.pumps):
                moved = bool(pump.pump()) or moved
            if not moved:
                return
        raise AssertionError("the table does not come to rest")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.wait(seconds)
        self.settle()

    def begin(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Start, and let it go as far as it goes."""
        task = Deferred.fromCoroutine(work)
        self.settle()
        return task

    def result(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """What it gives, or raises, without time passing."""
        outcomes: list[Any] = []
        self.begin(work).addBoth(outcomes.append)
        if not outcomes:
            raise AssertionError("this waits for something")
        if isinstance(outcomes[0], TwistedFailure):
            outcomes[0].raiseException()
        return cast(T, outcomes[0])

    # --- commands -----------------------------------------------------------------------------

    def command(self, *, lasting: bool = False, timeout: float | None = 30.0) -> Command:
        """A command, started."""
        self.commands += 1
        command = Command(self, f"command {self.commands}", lasting=lasting)
        self.result(command.start(timeout))
        return command


class Command(Conversations):
    """A command whose way leads over the table, and that keeps what it hears."""

    def __init__(self, table: Table, seed: str, *, lasting: bool) -> None:
        way = cast(Way, TableWay(table, lasting))
        super().__init__(way, table.world.clock, seeded_entropy(seed))
        self.heard: list[Event] = []

    def listen(self) -> Callable[[], None]:
        """Hear all events."""
        return self.subscribe(self.heard.append)


class TableWay:
    """Finds the present holder of a table, as long as there is one."""

    def __init__(self, table: Table, lasting: bool) -> None:
        self._table = table
        self.lasting = lasting

    async def enter(
        self, deadline: Deadline, on_event: Callable[[Event], None], on_lost: OnLost
    ) -> Borrowed:
        """See `Way.enter`."""
        if self._table.refuses is not None:
            raise self._table.refuses
        while self._table.holder is None:
            if deadline.passed:
                raise self.busy()
            await deferLater(self._table.world.clock, 0.05)
        borrowed = Borrowed(
            self._table.world.clock, lasting=self.lasting, on_event=on_event, on_lost=on_lost
        )
        self._table.connect(borrowed)
        if await borrowed.greet(deadline.left()) is None:
            raise self.busy()
        return borrowed

    def busy(self) -> Failure:
        """See `Way.busy`."""
        return Failure(Code.PROFILE_BUSY, "the profile is in use by process 1")


ALL_REQUESTS = h.AnyRequest.__args__
