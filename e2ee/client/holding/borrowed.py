"""A vault that another process holds: its holder's end of the socket, as a command sees it.

Knows requests and their answers, and when the holder is gone; not how to find the next one (`way`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from e2ee.client.events import Event, LinkDown, LinkEnded, LinkUp
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.frame_protocol import FrameProtocol, HolderLost
from e2ee.client.holding.holder_codec import Malformed, decode_told, decode_value, encode, encode_asked
from e2ee.errors import E2eeError
from e2ee.ids import Address

T = TypeVar("T")


class HolderSilent(E2eeError):
    """The holder is there and does not answer."""

    def __init__(self) -> None:
        super().__init__("the process that holds the profile does not answer")


class _Asked:
    """A request that is not answered yet."""

    def __init__(self, request: h.Request[Any]) -> None:
        self.request = request
        self.parts: list[Any] = []
        self.answer: Deferred[Any] = Deferred()


class Borrowed(FrameProtocol):
    """One connection to a holder. `lasting`: this command does not end by itself.

    `on_event` gets what the holder tells, `on_lost` is called once when it has gone.
    """

    frame_limit = h.TOLD_FRAME_BYTES
    unsent_limit = h.UNSENT_BYTES

    def __init__(
        self,
        clock: IReactorTime,
        *,
        lasting: bool,
        on_event: Callable[[Event], None],
        on_lost: Callable[[Borrowed], None],
    ) -> None:
        super().__init__()
        self._clock = clock
        self._lasting = lasting
        self._on_event = on_event
        self._on_lost = on_lost
        self._welcomed: Deferred[h.Welcome] = Deferred()
        self._welcome: h.Welcome | None = None
        self._waiting: dict[int, _Asked] = {}
        self._numbers = 0
        self._leaving = False
        self._ended = False
        self.connected_now = False
        self.was_connected = False

    # --- the greeting -------------------------------------------------------------------------

    async def greet(self, timeout: float | None) -> h.Welcome | None:
        """Say hello; None if the holder does not answer in time, or says something strange."""
        self.write(encode(h.Hello((h.VERSION,), self._lasting)))
        if timeout is not None:
            self._welcomed.addTimeout(timeout, self._clock)
        try:
            return await self._welcomed
        except (DeferredTimeout, HolderLost):
            self.forsake()
            return None
        except BaseException:
            self.forsake()
            raise

    def forsake(self) -> None:
        """Go, and never mind."""
        self._ended = True
        self.abort()

    async def outbox_sent(self, timeout: float | None) -> None:
        """Nothing to wait for: whoever holds the vault sends what is in it."""

    async def leave(self) -> None:
        """Go in good order."""
        self._ended = True
        self.close()

    @property
    def own_address(self) -> Address:
        """The number of the profile. Only after the greeting."""
        return cast(h.Welcome, self._welcome).address

    # --- requests -----------------------------------------------------------------------------

    async def ask(self, request: h.Request[T], patience: float | None) -> T:
        """The answer. Raises the Failure that the holder gives, HolderLost when it has gone,
        HolderSilent when it has said nothing for `patience` seconds, and Failure(USAGE) for what is
        longer than anything that it takes."""
        if self._ended:
            raise HolderLost
        self._numbers += 1
        number, asked = self._numbers, _Asked(request)
        framed = encode_asked(h.Ask(number, cast(h.AnyRequest, request)))
        self._waiting[number] = asked
        self.write(framed)
        if patience is not None:
            asked.answer.addTimeout(patience, self._clock)
        try:
            return cast(T, await asked.answer)
        except DeferredTimeout:
            raise HolderSilent from None
        finally:
            self._waiting.pop(number, None)
            self._go_if_wanted()

    def _go_if_wanted(self) -> None:
        """Go on with the next holder as soon as nothing is half done here."""
        half_done = [one for one in self._waiting.values() if not isinstance(one.request, h.WAITS)]
        if self._leaving and self._lasting and not half_done:
            self.close()
            self._end()

    def closed(self) -> None:
        """The holder has gone."""
        self._end()

    def _end(self) -> None:
        """Whoever waits for him goes on elsewhere."""
        if self._ended:
            return
        self._ended = True
        self.connected_now = False
        if self._welcome is None:
            self._welcomed.errback(HolderLost())
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            asked.answer.errback(HolderLost())
        self._on_lost(self)

    # --- what the holder says -----------------------------------------------------------------

    def frame_received(self, payload: bytes) -> None:
        """Whatever makes no sense here ends the connection."""
        match decode_told(payload):
            case h.Welcome() as welcome if self._welcome is None:
                self._welcome = welcome
                self.connected_now, self.was_connected = welcome.connected, welcome.was_connected
                self._welcomed.callback(welcome)
            case h.Answer(number, value, more):
                self._answered(number, bytes(value), more)
            case h.Refused(number, failure):
                self._finish(number, failure)
            case h.Tell(told):
                self._hear(told.event)
            case h.Leaving():
                self._leaving = True
                self._go_if_wanted()
            case _:
                raise Malformed("a second greeting")

    def _answered(self, number: int, value: bytes, more: bool) -> None:
        asked = self._waiting.get(number)
        if asked is None:
            return
        found = decode_value(value, h.answer_type(type(asked.request)))
        if more or asked.parts:
            asked.parts.extend(found)
            found = tuple(asked.parts)
        if not more:
            self._finish(number, found)

    def _finish(self, number: int, outcome: Any) -> None:
        asked = self._waiting.pop(number, None)
        if asked is None:
            return
        if isinstance(outcome, Exception):
            asked.answer.errback(outcome)
        else:
            asked.answer.callback(outcome)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LinkUp):
            self.connected_now = self.was_connected = True
        elif isinstance(event, LinkDown | LinkEnded):
            self.connected_now = False
        self._on_event(event)
