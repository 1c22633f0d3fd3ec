"""How much the other side has not taken yet.

Knows a transport's pauses (it says so when its own buffer is full, and when that is empty again),
not what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from e2ee.wire.limits import UNSENT_BYTES

TRANSPORT_BUFFER_BYTES: Final = 64 * 1024
"""A Twisted transport pauses its producer when it holds more than this."""


@implementer(IPushProducer)
class Outbound:
    """Registered with the transport as its producer; `changed` is called when `full` may have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._unsent = 0
        self._last_write = 0
        self._waiting: list[Deferred[None]] = []

    @property
    def full(self) -> bool:
        """More than UNSENT_BYTES wait."""
        return self._unsent > UNSENT_BYTES

    def room(self) -> Deferred[None]:
        """Fires when the transport has taken all that there was, or is gone."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if not self._unsent:
            self._let_go_on()
        return waiter

    def _let_go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def writing(self, size: int) -> None:
        """`size` bytes are about to be handed to the transport, after what waits already."""
        self._last_write = size
        if self._unsent:
            self._unsent += size
            self._changed()

    def pauseProducing(self) -> None:
        """The transport's own buffer has filled up."""
        self._unsent = max(self._unsent, self._last_write, TRANSPORT_BUFFER_BYTES)
        self._changed()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._unsent = 0
        self._changed()
        self._let_go_on()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._unsent = 0
        self._let_go_on()
