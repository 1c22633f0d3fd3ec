"""The operator's UNIX socket in the state directory: one line of JSON in, one out.

Knows how to bind it privately and where; not what is asked. The path of a socket has 108 bytes at
the most: see `StateDirectory.socket_address`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from e2ee.server.state_directory import ADMIN_SOCKET, StateDirectory

LINE_BYTES = 1024
BACKLOG = 8
Answer = Callable[[str, Mapping[str, object]], Awaitable[dict[str, object]]]
"""A verb, and the whole question with what else it has."""


class AdminProtocol(LineOnlyReceiver):
    """One question, one answer."""

    _log = Logger()
    delimiter = b"\n"
    MAX_LENGTH = LINE_BYTES
    transport: Any

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def lineReceived(self, line: bytes) -> None:
        """A question: ``{"verb": "status"}``."""
        try:
            question = json.loads(line)
            verb = str(question["verb"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self.transport.loseConnection()
            return
        Deferred.fromCoroutine(self._reply(verb, question)).addErrback(self._failed)

    async def _reply(self, verb: str, question: Mapping[str, object]) -> None:
        self.sendLine(json.dumps(await self._answer(verb, question)).encode("ascii"))
        self.transport.loseConnection()

    def _failed(self, failure: Failure) -> None:
        self._log.error("an operator's question has failed: {kind}", kind=type(failure.value).__name__)
        self.transport.loseConnection()


class AdminFactory(ServerFactory[AdminProtocol]):
    """For the one socket."""

    noisy = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def buildProtocol(self, addr: object) -> AdminProtocol:
        """See `IProtocolFactory.buildProtocol`."""
        return AdminProtocol(self._answer)


def serve(reactor: IReactorUNIX, state: StateDirectory, answer: Answer) -> IListeningPort:
    """Listen in the state directory; mode 0600 from the first moment."""
    factory: Any = AdminFactory(answer)
    state.remove(ADMIN_SOCKET)
    before = os.umask(0o177)
    try:
        port: IListeningPort = reactor.listenUNIX(
            state.socket_address(ADMIN_SOCKET), factory, backlog=BACKLOG, mode=0o600
        )
    finally:
        os.umask(before)
    return port
