"""One connection to the server from its greeting to its end: requests, answers and pushes.

Knows request numbers and how a conversation ends; not what is asked for, nor whether there will be
another connection after this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from e2ee.client.linking.known_server import KnownServer
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.errors import Code, Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.net.connecting import connect
from e2ee.net.outbound import Outbound
from e2ee.net.protocol import Handler, TlsFacts
from e2ee.net.x509 import CredentialsRefused, load_certificates
from e2ee.wire import messages as m
from e2ee.wire.limits import LOGIN_SECONDS

A = TypeVar("A", bound=m.Message)

CLIENT_FEATURES: tuple[int, ...] = ()


class Outlet(Protocol):
    """What a channel needs of `e2ee.net.protocol.MessageProtocol`."""

    @property
    def outbound(self) -> Outbound:
        """What has not left yet."""

    def send(self, message: m.Message) -> None:
        """Send a message that is legal now."""

    def next_number(self) -> int:
        """The number for the next request."""

    def close(self) -> None:
        """End in good order."""

    def abort(self) -> None:
        """End now."""


Connect = Callable[[ConnectLink, bytes | None, Handler], Awaitable[Outlet]]
"""Make a connection (link, CA in PEM form, handler) whose server is the right one, or raise Failure."""


def connector(reactor: Any) -> Connect:
    """Connections over the real network."""

    async def connect_to(link: ConnectLink, ca: bytes | None, handler: Handler) -> Outlet:
        authorities = () if ca is None else load_ca(ca)
        return await connect(reactor, link, authorities, handler, LOGIN_SECONDS)

    return connect_to


def load_ca(pem: bytes) -> tuple[Any, ...]:
    """The certificates of a CA file; raises Failure(USAGE) where there is none in it."""
    try:
        return load_certificates(pem)
    except CredentialsRefused as error:
        raise Failure(Code.USAGE, f"the CA file cannot be used: {error}") from error


class Channel:
    """One connection. `open_channel` makes one that is greeted; `on_push` gets what nobody asked for."""

    def __init__(self, on_push: Callable[[m.Message], None]) -> None:
        self._on_push = on_push
        self._outlet: Outlet | None = None
        self._tls: TlsFacts | None = None
        self._waiting: dict[int, Deferred[m.Message]] = {}
        self._last_word: Refusal | None = None
        self._reason: Failure | None = None
        self._end: Deferred[None] = Deferred()

    @property
    def tls(self) -> TlsFacts:
        """What the handshake established."""
        if self._tls is None:
            raise LinkLost
        return self._tls

    async def ask(self, message: m.Message, kind: type[A]) -> A:
        """Send a request, whatever its number, and give the answer, which is of this kind.

        Raises Refusal where the server refuses, LinkLost where the connection ends first.
        """
        answer = await self.request(message)
        if not isinstance(answer, kind):
            self.abort()
            raise LinkLost("the server has answered with something else")
        return answer

    def request(self, message: m.Message) -> Deferred[m.Message]:
        """The same with an answer of any kind. Raises at once where the connection has ended."""
        outlet = self._open_outlet()
        number = outlet.next_number()
        answer: Deferred[m.Message] = Deferred()
        self._waiting[number] = answer
        try:
            outlet.send(msgspec.structs.replace(message, n=number))
        except BaseException:
            del self._waiting[number]
            raise
        return answer

    def room(self) -> Awaitable[None]:
        """Wait until all that was sent has left. Raises LinkLost where the connection has ended."""
        return self._open_outlet().outbound.room()

    def send(self, message: m.Message) -> None:
        """Send what is not answered. Raises LinkLost where the connection has ended."""
        self._open_outlet().send(message)

    async def ended(self) -> Failure:
        """Wait for the end; its reason. One caller at a time."""
        if self._reason is None:
            await self._end
        return self._reason or LinkLost()

    def close(self) -> None:
        """End after what was sent has left."""
        if self._outlet is not None:
            self._outlet.close()

    def abort(self) -> None:
        """End now, whatever is on its way."""
        if self._outlet is not None:
            self._outlet.abort()

    def attach(self, outlet: Outlet) -> None:
        """The connection is made and its server the right one."""
        self._outlet = outlet

    def secured(self, tls: TlsFacts) -> None:
        """For the connection: the handshake is done."""
        self._tls = tls

    def received(self, message: m.Message) -> None:
        """For the connection: a message came. Its kind fits its request; `e2ee.wire` sees to that."""
        number = getattr(message, "n", None)
        if number is not None:
            self._answer(self._waiting.pop(number), message)
        elif isinstance(message, m.Refused):
            self._last_word = Refusal(message)
        else:
            self._on_push(message)

    def lost(self, reason: Failure) -> None:
        """For the connection: it is gone."""
        self._outlet = None
        self._reason = self._last_word or reason
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(self._last_word or LinkLost(reason.sentence))
        self._end.callback(None)

    def _open_outlet(self) -> Outlet:
        if self._outlet is None or self._reason is not None:
            raise self._last_word or LinkLost()
        return self._outlet

    def _answer(self, answer: Deferred[m.Message], message: m.Message) -> None:
        if isinstance(message, m.Refused):
            answer.errback(Refusal(message))
        else:
            answer.callback(message)


async def open_channel(
    connect_to: Connect, server: KnownServer, on_push: Callable[[m.Message], None]
) -> Channel:
    """Connect and greet; what the greeting says of pins and versions is kept before this returns.

    Raises Failure: UNREACHABLE, or PIN_MISMATCH, CERTIFICATE or NAME_MISMATCH (a matter of trust).
    """
    versions = server.offered()
    channel = Channel(on_push)
    channel.attach(await connect_to(server.link, server.record.ca, channel))
    try:
        welcome = await channel.ask(m.Hello(0, versions, CLIENT_FEATURES), m.Welcome)
        await server.greeted(channel.tls.peer_pin, welcome)
    except BaseException:
        channel.abort()
        raise
    return channel
