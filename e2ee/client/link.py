"""The client's one connection: kept up, logged in, with requests answered in any order.

Knows when to try again and when never again; of what is asked for and pushed only whether an envelope
got through. See `docs/protocol.md`, sections 2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.linking.backoff import Backoff
from e2ee.client.linking.channel import Channel, Connect, open_channel
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.refusals import FINAL, LinkLost
from e2ee.crypto.own_device import OwnDevice
from e2ee.errors import Code, E2eeError, Failure
from e2ee.wire import messages as m

_log = Logger()


class LinkPhase(Enum):
    """What the link is doing."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"  # waits before the next attempt
    STOPPED = "stopped"  # for good


@dataclass(frozen=True, slots=True)
class LinkState:
    """Where the link is. `logged_in`, `key_exchange` (the TLS group) and `peer_pin` (of the
    server's key) are there when it is UP.

    `failure` says why it is DOWN, with `retry_in` seconds to the next attempt, or STOPPED: a matter
    of trust, a refused login, DISPLACED, LOGGED_OUT; None after `stop`.
    """

    phase: LinkPhase
    logged_in: m.LoggedIn | None = None
    key_exchange: str | None = None
    peer_pin: bytes | None = None
    failure: Failure | None = None
    retry_in: float | None = None


class Link:
    """Keeps one connection that is logged in as `own`.

    `on_push` gets what the server pushes, `on_state` each new state; UP comes before the first push
    of its connection. With `once` the first end of a connection, or of an attempt, is the last.
    """

    def __init__(
        self,
        clock: IReactorTime,
        connect: Connect,
        server: KnownServer,
        own: OwnDevice,
        entropy: Callable[[int], bytes],
        *,
        on_push: Callable[[m.Message], None],
        on_state: Callable[[LinkState], None],
        once: bool = False,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._server = server
        self._own = own
        self._backoff = Backoff(entropy)
        self._on_push = on_push
        self._on_state = on_state
        self._once = once
        self._channel: Channel | None = None
        self._running: Deferred[None] | None = None
        self._stopping = False
        self._state = LinkState(LinkPhase.STOPPED)

    @property
    def state(self) -> LinkState:
        """The newest state."""
        return self._state

    def start(self) -> None:
        """Begin. Whatever goes wrong is told through `on_state`."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._crashed)

    def keep_trying(self) -> None:
        """From now on no end is the last one; one that was the last one for `once` is made good."""
        if self._once:
            self._once = False
            failure = self._state.failure
            if self._state.phase is LinkPhase.STOPPED and failure and failure.code not in FINAL:
                self.start()

    async def stop(self) -> None:
        """End in good order: what was sent still leaves. `on_push` is not called any more."""
        if self._stopping or self._running is None:
            return
        self._stopping = True
        if self._channel is None:
            self._running.cancel()
        else:
            self._channel.close()
            await self._running
        self._enter(LinkState(LinkPhase.STOPPED))

    async def request(self, message: m.Message) -> m.Message:
        """Send a request, whatever its number says, and give the answer (StaleDevice is one).

        Raises Refusal where the server refuses; LinkLost where there is no connection, or it ends
        before the answer.
        """
        answer = await self._open_channel().request(message)
        if isinstance(answer, m.Accepted):
            self._backoff.got_through()
        return answer

    async def room(self) -> None:
        """Wait until all that was sent has left this process. Raises LinkLost without a connection."""
        await self._open_channel().room()

    def send(self, message: m.Message) -> None:
        """Send what is not answered: Acknowledge, AcknowledgeNotice. Raises LinkLost without a connection."""
        self._open_channel().send(message)
        if isinstance(message, m.Acknowledge):
            self._backoff.got_through()

    def _open_channel(self) -> Channel:
        if self._channel is None or self._stopping:
            raise LinkLost("there is no connection to the server")
        return self._channel

    async def _run(self) -> None:
        while True:
            self._enter(LinkState(LinkPhase.CONNECTING))
            failure = await self._live()
            if self._stopping:
                return
            if self._once or failure.code in FINAL:
                self._enter(LinkState(LinkPhase.STOPPED, failure=failure))
                return
            wait = self._backoff.next(failure.retry_after)
            self._enter(LinkState(LinkPhase.DOWN, failure=failure, retry_in=wait))
            await deferLater(self._clock, wait)

    async def _live(self) -> Failure:
        """One connection from its beginning to its end; why it ended."""
        try:
            channel = await open_channel(self._connect, self._server, self._push)
        except Failure as failure:
            return failure
        except E2eeError as error:
            return Failure(Code.FAILED, str(error))
        try:
            logged_in = await log_in(channel, self._own)
        except Failure as failure:
            return failure
        return await self._stay(channel, logged_in)

    async def _stay(self, channel: Channel, logged_in: m.LoggedIn) -> Failure:
        began = self._clock.seconds()
        self._channel = channel
        tls = channel.tls
        self._enter(LinkState(LinkPhase.UP, logged_in, tls.group, tls.peer_pin))
        failure = await channel.ended()
        self._channel = None
        self._backoff.worked_for(self._clock.seconds() - began)
        return failure

    def _push(self, message: m.Message) -> None:
        if not self._stopping:
            self._on_push(message)

    def _enter(self, state: LinkState) -> None:
        self._state = state
        self._on_state(state)

    def _crashed(self, reason: TwistedFailure) -> None:
        """A defect of ours, unless it is `stop`: say so, and do not go on as if nothing were."""
        if self._stopping and reason.check(CancelledError):
            return
        _log.failure("the link has ended", failure=reason)
        self._enter(LinkState(LinkPhase.STOPPED, failure=Failure(Code.FAILED, "the link has failed")))


async def log_in(channel: Channel, own: OwnDevice) -> m.LoggedIn:
    """Log in on a greeted channel. Raises Refusal or LinkLost; the channel is closed then."""
    signature = own.sign_login(channel.tls.exporter)
    try:
        return await channel.ask(m.LogIn(0, str(own.address), bytes(own.device), signature), m.LoggedIn)
    except BaseException:
        channel.abort()
        raise
