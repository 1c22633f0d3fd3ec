"""One program at the agent's socket, from its connection to its end.

Knows bytes and the transport; what the lines say, the desk knows. Nothing is read while there is no room
for more requests, and an answer counts as taken when the system has all of it.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.client.holding.agent_socket import is_own_user
from e2ee.errors import Failure
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc.desk import Desk
from e2ee.ui.rpc.jsonrpc import LINE_BYTES, error_of, error_text
from e2ee.ui.rpc.lines import LineSplitter, LineTooLong
from e2ee.ui.streams import OutputClosed
from e2ee.ui.waiting import Bell

_log = Logger()


class House(Interface):
    """Who counts the programs."""

    def came(self, connection: Connection) -> bool:
        """Whether it is served."""

    def went(self, connection: Connection) -> None:
        """It has gone."""


@implementer(IPullProducer, IHalfCloseableProtocol)
class Connection(Protocol):
    """A program's. It has conversations of its own, so it reads for itself."""

    transport: Any

    def __init__(self, call: Invocation, house: House) -> None:
        self._call = call
        self._house = house
        self._splitter = LineSplitter(LINE_BYTES)
        self._pending: list[bytes | LineTooLong] = []
        self._bell = Bell(call.reactor)
        self._untaken: list[Deferred[None]] = []
        self._input_ended = False
        self._gone = False
        self._serving: Deferred[None] | None = None

    # --- work ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            # Whoever holds the vault, it is never asked for here: this process has it, or knows who has.
            async with self._call.conversations(lasting=True, reads_lines=True) as conversations:
                desk = Desk(self._call, conversations, self.write, self.abort)
                try:
                    await self._take_lines(desk)
                    await desk.finish()
                finally:
                    desk.end()
        except Failure as failure:
            await self.write(error_text(None, error_of(failure)))

    async def _take_lines(self, desk: Desk) -> None:
        while True:
            while self._pending:
                await self._take(desk, self._pending.pop(0))
            if self._input_ended:
                return
            self.transport.resumeProducing()
            await self._bell.rung()

    @staticmethod
    async def _take(desk: Desk, line: bytes | LineTooLong) -> None:
        if isinstance(line, LineTooLong):
            await desk.refuse_long()
            return
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            await desk.refuse_bytes()
            return
        await desk.take(text)

    async def write(self, line: str) -> None:
        """Return when the system has taken it. Raises OutputClosed."""
        if self._gone:
            raise OutputClosed
        untaken: Deferred[None] = Deferred()
        self._untaken.append(untaken)
        self.transport.write(f"{line}\n".encode("ascii"))
        await untaken

    def abort(self) -> None:
        """Part from it, whatever is on its way."""
        if not self._gone:
            self.transport.abortConnection()

    # --- Twisted's side -----------------------------------------------------------------------

    def connectionMade(self) -> None:
        """See `IProtocol.connectionMade`."""
        if not is_own_user(self.transport) or not self._house.came(self):
            self.transport.abortConnection()
            return
        self.transport.pauseProducing()
        # A pull producer is asked for more exactly when all before was taken.
        self.transport.registerProducer(self, False)
        self._serving = Deferred.fromCoroutine(self._serve())
        self._serving.addErrback(self._failed)
        self._serving.addBoth(lambda _: self._done())

    def dataReceived(self, data: bytes) -> None:
        """See `IProtocol.dataReceived`."""
        self._pending.extend(self._splitter.feed(data))
        if self._pending:
            self.transport.pauseProducing()
            self._bell.ring()

    def readConnectionLost(self) -> None:
        """It says nothing more, and may wait for its answers."""
        self._pending.extend(self._splitter.end())
        self._input_ended = True
        self._bell.ring()

    def writeConnectionLost(self) -> None:
        """It reads nothing more."""
        self.abort()

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """See `IProtocol.connectionLost`."""
        self._gone = True
        was_served = self._serving is not None and self._serving.called
        untaken, self._untaken = self._untaken, []
        for one in untaken:
            if not one.called:
                # This may end the serving, which then says that it has gone.
                one.errback(OutputClosed())
        if was_served:
            self._house.went(self)
        elif self._serving is not None:
            self._serving.cancel()

    def resumeProducing(self) -> None:
        """See `IPullProducer.resumeProducing`: all that was written has been taken."""
        untaken, self._untaken = self._untaken, []
        for one in untaken:
            if not one.called:
                one.callback(None)

    def stopProducing(self) -> None:
        """See `IProducer.stopProducing`; the end is told by `connectionLost`."""

    def _failed(self, reason: TwistedFailure) -> None:
        if not reason.check(CancelledError, OutputClosed):
            _log.failure("a program cannot be served", failure=reason)

    def _done(self) -> None:
        """Everything is answered, or nothing can be."""
        if self._gone:
            self._house.went(self)
        else:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
