"""`e2ee agent`: keeps the connection, and serves programs of the same user at a UNIX socket.

Knows when it begins and ends; one program's lines are `connection`'s, and what they say the desk's.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.events import Event, LinkDown, LinkEnded, LinkUp
from e2ee.client.holding.agent_socket import AgentSocket
from e2ee.errors import Failure
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc.connection import Connection

PROGRAMS = 100
"""That are served at once."""
PARTING_SECONDS = 1.0
"""For programs to hear why there is no connection any more."""


async def run_agent(call: Invocation, path: Path | None) -> int:
    """Serve until told to end, or until the connection is given up for good: raises the Failure why."""
    async with call.conversations(lasting=True, patient=True) as conversations:
        socket = AgentSocket(call.profile, os.environ, path)
        agent = Agent(call)
        given_up: Deferred[int] = Deferred()
        watch = _Watch(call, given_up)
        unwatch = conversations.watch_link(watch.hear)
        connected = Deferred.fromCoroutine(conversations.connected(None))
        connected.addErrback(watch.failed)
        try:
            port = socket.listen(call.reactor, agent)
            shown = {
                "type": "agent",
                "address": str(conversations.own_address),
                "socket": str(socket.path),
                "pid": os.getpid(),
            }
            await call.show([f"listening on {socket.path}"], shown)
            try:
                return await given_up
            except Failure:
                # They are told why, over sockets of their own.
                await agent.left_within(PARTING_SECONDS)
                raise
            finally:
                await maybeDeferred(port.stopListening)
        finally:
            unwatch()
            connected.cancel()
            await agent.end()
            socket.close()


class _Watch:
    """Says how the connection stands, and ends what waits when there will be none any more."""

    def __init__(self, call: Invocation, given_up: Deferred[int]) -> None:
        self._call = call
        self._given_up = given_up
        self._lost = False

    def hear(self, event: Event) -> None:
        """What the conversations tell of the link."""
        match event:
            case LinkEnded(failure):
                self._end(failure)
            case LinkDown(failure) if not self._lost:
                self._lost = True
                self._call.mention(f"no connection: {failure.sentence}; trying again")
            case LinkUp() if self._lost:
                self._lost = False
                self._call.mention("connected again")

    def failed(self, reason: TwistedFailure) -> None:
        """It was given up before anybody listened."""
        if reason.check(Failure):
            self._end(reason.value)

    def _end(self, failure: BaseException | None) -> None:
        if not self._given_up.called and failure is not None:
            self._given_up.errback(failure)


class Agent(Factory):
    """The programs that are connected."""

    noisy = False

    def __init__(self, call: Invocation) -> None:
        self.call = call
        self._present: set[Connection] = set()
        self._alone: Deferred[None] | None = None
        self._ending = False

    def buildProtocol(self, addr: object) -> Connection:
        """See `IProtocolFactory.buildProtocol`."""
        return Connection(self.call, self)

    def came(self, connection: Connection) -> bool:
        """A program has connected; whether it is served."""
        if self._ending or len(self._present) >= PROGRAMS:
            return False
        self._present.add(connection)
        return True

    def went(self, connection: Connection) -> None:
        """It has gone, and nothing runs for it any more."""
        self._present.discard(connection)
        if not self._present:
            self._be_alone()

    async def left_within(self, seconds: float) -> None:
        """Let nobody else in, and wait so long for those who are here to go."""
        self._ending = True
        if self._present:
            timer = self.call.reactor.callLater(seconds, self._be_alone)
            try:
                await self._until_alone()
            finally:
                if timer.active():
                    timer.cancel()

    async def end(self) -> None:
        """Part from all of them."""
        self._ending = True
        for connection in tuple(self._present):
            connection.abort()
        if self._present:
            await self._until_alone()

    async def _until_alone(self) -> None:
        self._alone = Deferred()
        await self._alone

    def _be_alone(self) -> None:
        if self._alone is not None:
            alone, self._alone = self._alone, None
            alone.callback(None)
