"""A conversation with the server that must come to its end within a command's time.

Knows how often to try to connect and when to cut a connection; not what is said on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from e2ee.client.deadline import Deadline
from e2ee.client.linking.backoff import Backoff
from e2ee.client.linking.channel import Channel, Connect, open_channel
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.refusals import LinkLost
from e2ee.errors import Code, Failure
from e2ee.wire.messages import Message

T = TypeVar("T")


class Dialler:
    """Connects until it succeeds or the deadline does not allow another attempt."""

    def __init__(
        self, clock: IReactorTime, connect: Connect, deadline: Deadline, entropy: Callable[[int], bytes]
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._deadline = deadline
        self._entropy = entropy

    async def converse(self, server: KnownServer, talk: Callable[[Channel], Awaitable[T]]) -> T:
        """What `talk` returns on a greeted channel, which is cut at the deadline and closed after.

        Raises Failure: UNREACHABLE once no further attempt fits, others at once.
        """
        channel = await self._open(server)
        left = self._deadline.left()
        cut = None if left is None else self._clock.callLater(left, channel.abort)
        try:
            return await talk(channel)
        finally:
            if cut is not None and cut.active():
                cut.cancel()
            channel.close()

    async def wait_out(self, failure: Failure) -> None:
        """Wait as long as the server asks for; raises `failure` where that does not fit."""
        if failure.retry_after is None or not self._deadline.allows(failure.retry_after):
            raise failure
        await deferLater(self._clock, failure.retry_after)

    async def _open(self, server: KnownServer) -> Channel:
        backoff = Backoff(self._entropy)
        while True:
            try:
                return await self._attempt(server)
            except Failure as failure:
                wait = backoff.next(failure.retry_after)
                if failure.code is not Code.UNREACHABLE or not self._deadline.allows(wait):
                    raise
            await deferLater(self._clock, wait)

    async def _attempt(self, server: KnownServer) -> Channel:
        attempt = Deferred.fromCoroutine(open_channel(self._connect, server, _ignore))
        left = self._deadline.left()
        if left is not None:
            attempt.addTimeout(left, self._clock)
        try:
            return await attempt
        except TimeoutError:
            raise LinkLost("the server has not answered in time") from None


def _ignore(message: Message) -> None:
    """Nothing is pushed before a login, and what is pushed right after one comes again."""
