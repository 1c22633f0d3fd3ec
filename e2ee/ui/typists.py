"""Who is writing to whom at this moment: what contacts say of it, and what they are told.

Knows the messenger and a clock; not how it is shown, nor the keyboard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from e2ee.ids import Address

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

SHOWN_SECONDS = 8.0
"""Without another notice somebody has stopped; they come every five seconds."""
TOLD_SECONDS = 1.0
"""Keys come faster than anybody has to be asked to tell of it; how often a contact is told is the client's
matter, and where something else was just on its way to him, the next key has another chance."""


class Typists:
    """One chat's. `changed` is called when somebody begins or stops."""

    def __init__(
        self, messenger: Conversations, clock: IReactorTime, changed: Callable[[], None]
    ) -> None:
        self._messenger = messenger
        self._clock = clock
        self._changed = changed
        self._typing: dict[Address, IDelayedCall] = {}
        self._told: tuple[Address, float] | None = None

    def __contains__(self, address: Address) -> bool:
        return address in self._typing

    # --- others -------------------------------------------------------------------------------

    def types(self, address: Address) -> None:
        """Somebody says so."""
        self._cancel(address)
        self._typing[address] = self._clock.callLater(SHOWN_SECONDS, self.has_written, address)
        self._changed()

    def has_written(self, address: Address) -> None:
        """He has sent it, or was not heard of any more."""
        if self._cancel(address):
            self._changed()

    def end(self) -> None:
        """Nobody looks any more."""
        for address in tuple(self._typing):
            self._cancel(address)

    def _cancel(self, address: Address) -> bool:
        call = self._typing.pop(address, None)
        if call is not None and call.active():
            call.cancel()
        return call is not None

    # --- the user -----------------------------------------------------------------------------

    def write_to(self, address: Address) -> None:
        """The user is writing to this one. Whether he hears of it is nothing to wait for."""
        now = self._clock.seconds()
        if self._told is not None and self._told[0] == address and now - self._told[1] < TOLD_SECONDS:
            return
        self._told = address, now
        Deferred.fromCoroutine(self._messenger.tell_typing(address)).addErrback(lambda _: None)
