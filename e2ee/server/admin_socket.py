"""The operator's UNIX socket in the state directory: one line of JSON in, one out.

Knows how to bind it privately, who may ask, and how long that may take; not what is answered. Each
connection is alone: one that dribbles, or does not read, is cut and keeps nobody else waiting. The
path of a socket has 108 bytes at the most: see `StateDirectory.socket_address`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from e2ee.errors import E2eeError
from e2ee.server.admin_requests import REQUEST_BYTES, AdminRequest
from e2ee.server.state_directory import ADMIN_SOCKET, StateDirectory

BACKLOG = 8
CONNECTIONS = 16
"""At a time; whoever is one too many is told to try again."""
ASK_SECONDS = 10.0
TAKE_SECONDS = 30.0
"""How long an answer may wait to be read."""

Answer = Callable[[AdminRequest], Awaitable[dict[str, object]]]
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AdminRequest)


class NotUnderstood(E2eeError):
    """A line that is no request."""


def decode_request(line: bytes) -> AdminRequest:
    """A request of an operator's. Raises NotUnderstood for anything else."""
    try:
        return _decoder.decode(line)  # type: ignore[no-any-return]
    except Exception:
        # msgspec has a family of errors, bad UTF-8 is none of it, and deep nesting is a RecursionError.
        raise NotUnderstood from None


def error(code: str, sentence: str) -> dict[str, object]:
    """The answer to what is not done."""
    return {"type": "error", "code": code, "message": sentence}


def peer_uid(transport: Any) -> int | None:
    """Who is at the other end of a UNIX socket, where the system says so (Linux, unix(7))."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = struct.Struct("3i")
    found = transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(found)[1])


class AdminProtocol(LineOnlyReceiver):
    """One question, one answer."""

    _log = Logger()
    delimiter = b"\n"
    MAX_LENGTH = REQUEST_BYTES
    transport: Any

    def __init__(self, factory: AdminFactory) -> None:
        self._factory = factory
        self._asked = False
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Only this user and root may ask; the file's mode says the same."""
        factory = self._factory
        if factory.uid_of(self.transport) not in (None, 0, os.geteuid()):
            self._log.warn("somebody else's process has tried to administrate the server")
            self.transport.abortConnection()
            return
        factory.connections.add(self)
        self._wait(ASK_SECONDS)
        if len(factory.connections) > CONNECTIONS:
            self._asked = True
            self._answer(error("busy", "too many others ask at the same time"))

    def lineReceived(self, line: bytes) -> None:
        """The question; anything after it is ignored."""
        if self._asked:
            return
        self._asked = True
        self._stop_waiting()
        try:
            request = decode_request(line)
        except NotUnderstood:
            self._answer(error("usage", "the server does not understand this question"))
            return
        answered = Deferred.fromCoroutine(self._reply(request))
        answered.addErrback(self._failed)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nobody asks that much."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Over. What was begun is finished all the same."""
        self._stop_waiting()
        self._factory.connections.discard(self)

    async def _reply(self, request: AdminRequest) -> None:
        self._answer(await self._factory.answer(request))

    def _answer(self, answer: dict[str, object]) -> None:
        if self not in self._factory.connections:
            return
        self.sendLine(json.dumps(answer).encode("ascii"))
        self._wait(TAKE_SECONDS)
        self.transport.loseConnection()

    def _failed(self, failure: Failure) -> None:
        """A defect: its kind goes to the log, never its text."""
        self._log.error("an operator's question has failed: {kind}", kind=type(failure.value).__name__)
        self._answer(error("failed", "the server has failed at this: its log has a line about it"))

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._deadline = self._factory.clock.callLater(seconds, self.transport.abortConnection)

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class AdminFactory(ServerFactory[AdminProtocol]):
    """For the one socket."""

    noisy = False

    def __init__(
        self, answer: Answer, clock: IReactorTime, uid_of: Callable[[Any], int | None] = peer_uid
    ) -> None:
        self.answer = answer
        self.clock = clock
        self.uid_of = uid_of
        self.connections: set[AdminProtocol] = set()

    def buildProtocol(self, addr: object) -> AdminProtocol:
        """See `IProtocolFactory.buildProtocol`."""
        return AdminProtocol(self)


def serve(reactor: Any, state: StateDirectory, answer: Answer) -> IListeningPort:
    """Listen in the state directory; mode 0600 from the first moment."""
    state.remove(ADMIN_SOCKET)
    before = os.umask(0o177)
    try:
        port: IListeningPort = reactor.listenUNIX(
            state.socket_address(ADMIN_SOCKET), AdminFactory(answer, reactor), backlog=BACKLOG, mode=0o600
        )
    finally:
        os.umask(before)
    return port
