"""Bytes on their way to the other side, and how many it has not taken yet.

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
        self._waiting: list[Deferred[None]] = []
        self.unsent = 0
        """Bytes that wait, 0 while the transport takes all there is; others only read it."""
        self.full = False
        """More than UNSENT_BYTES wait."""

    def room(self) -> Deferred[None]:
        """Fires when the transport has taken all that there was, or is gone."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if not self.unsent:
            self._let_go_on()
        return waiter

    def _let_go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def more(self, size: int) -> None:
        """So many bytes are written behind those that wait."""
        self._wait_for(self.unsent + size)

    def _wait_for(self, unsent: int) -> None:
        self.unsent = unsent
        self.full = unsent > UNSENT_BYTES
        self._changed()

    def pauseProducing(self) -> None:
        """The transport's own buffer has filled up."""
        self._wait_for(max(self.unsent, TRANSPORT_BUFFER_BYTES))

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._wait_for(0)
        self._let_go_on()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self.unsent, self.full = 0, False
        self._let_go_on()
