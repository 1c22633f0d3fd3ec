"""A vault that this process holds itself: its conversations, and the socket at which others share them.

Composes messenger, clerk and holder. The counterpart of `borrowed`, with the same methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from e2ee.client.events import Event
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.clerk import Clerk
from e2ee.client.holding.holder import Holder
from e2ee.client.messenger import Messenger
from e2ee.client.profile import OpenProfile
from e2ee.crypto.primitives import Entropy
from e2ee.ids import Address

T = TypeVar("T")


class Held:
    """An open profile at work, until `leave`."""

    def __init__(
        self, reactor: Any, opened: OpenProfile, entropy: Entropy, *, lasting: bool,
        on_event: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._opened = opened
        self._messenger = Messenger(opened, reactor, entropy, once=True)
        self._messenger.subscribe(on_event)
        self._clerk = Clerk(self._messenger)
        self._holder = Holder(reactor, self._messenger, lasting=lasting)

    async def start(self) -> None:
        """Prepare the vault, and let the others in. Closed again if that fails."""
        try:
            await self._messenger.start(connect=False)
        except BaseException:
            await self._opened.close()
            raise
        self._holder.serve(self._reactor, self._opened.profile.directory, self._opened.lock)

    async def ask(self, request: h.Request[T], patience: float | None) -> T:
        """The answer, however long it takes. Raises Failure."""
        return await self._clerk.perform(request)

    async def outbox_sent(self, timeout: float | None) -> None:
        """Wait until what can be sent now has been."""
        await self._messenger.outbox_sent(timeout)

    async def leave(self) -> None:
        """Finish what was accepted from others, then let the next process in."""
        try:
            await self._clerk.leave()
            await self._holder.finish()
            await self._messenger.stop()
        finally:
            await self._opened.close()

    @property
    def own_address(self) -> Address:
        """The number of the profile."""
        return self._messenger.own_address

    @property
    def connected_now(self) -> bool:
        """Whether the link is logged in."""
        return self._messenger.is_connected

    @property
    def was_connected(self) -> bool:
        """Whether it was, at least once."""
        return self._messenger.was_connected
