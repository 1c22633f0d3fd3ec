"""Frames over a UNIX socket: what both ends of a holder's socket share.

Knows lengths, bounds and pauses of a transport; not what a frame says.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.client.holding.holder_codec import Malformed
from e2ee.errors import E2eeError
from e2ee.wire.framing import FrameReader
from e2ee.wire.violations import ProtocolViolation


class HolderLost(E2eeError):
    """The process at the other end has gone, or nothing can be said to it any more."""

    def __init__(self) -> None:
        super().__init__("the process that holds the profile has ended")


@implementer(IPushProducer)
class FrameProtocol(Protocol):
    """`frame_limit` bounds what is taken in at once, `unsent_limit` what the other side leaves untaken."""

    frame_limit = 0
    unsent_limit = 0
    transport: Any

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._unsent = 0
        self._paused = False
        self._rooms: list[Deferred[None]] = []
        self.gone = False

    # --- for the classes made of this ---------------------------------------------------------

    def opened(self) -> None:
        """The connection is there."""

    def frame_received(self, payload: bytes) -> None:
        """A frame has come. What is Malformed ends the connection."""

    def closed(self) -> None:
        """The connection is gone."""

    def write(self, framed: bytes) -> None:
        """Send a frame with its length. Who does not take what he asked for is cut off."""
        if self.gone:
            return
        if self._paused:
            self._unsent += len(framed)
            if self._unsent > self.unsent_limit:
                self.abort()
                return
        self.transport.write(framed)

    async def room(self) -> None:
        """Wait until the other side has taken what was sent. Raises HolderLost."""
        while self._paused and not self.gone:
            waiting: Deferred[None] = Deferred()
            self._rooms.append(waiting)
            await waiting
        if self.gone:
            raise HolderLost

    def close(self) -> None:
        """End in good order: what was sent still arrives."""
        if not self.gone:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection."""
        if not self.gone:
            self._reader.stop()
            self.transport.abortConnection()

    # --- Twisted's side -----------------------------------------------------------------------

    def connectionMade(self) -> None:
        """See `IProtocol.connectionMade`."""
        self.transport.registerProducer(self, True)
        self.opened()

    def dataReceived(self, data: bytes) -> None:
        """See `IProtocol.dataReceived`."""
        self._reader.feed(data)
        try:
            while (payload := self._reader.next_frame(self.frame_limit)) is not None:
                self.frame_received(payload)
        except (Malformed, ProtocolViolation):
            self.abort()

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """See `IProtocol.connectionLost`."""
        self.gone = True
        self._make_room()
        self.closed()

    def pauseProducing(self) -> None:
        """The transport's buffer has filled up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._paused = False
        self._unsent = 0
        self._make_room()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._paused = False

    def _make_room(self) -> None:
        rooms, self._rooms = self._rooms, []
        for waiting in rooms:
            waiting.callback(None)
