"""A logged-in connection, as the rooms of the server see it. Knows no transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from e2ee.ids import DeviceAddress
from e2ee.store.server.ports import Account
from e2ee.wire.messages import Message


class Peer(Protocol):
    """One device that is connected now. Compared and hashed by identity."""

    @property
    def where(self) -> DeviceAddress:
        """The device that has logged in."""

    @property
    def mark(self) -> bytes:
        """How the keys of what this device sends begin: see `window.mark_of`."""

    @property
    def ready(self) -> bool:
        """Whether its login was answered: before, nothing may be pushed."""

    @property
    def held(self) -> set[str]:
        """Recipients to whom nothing passes until this peer says `restart`."""

    shown: Account | None
    """Whose contact token this peer has shown last, as the account was then."""

    @property
    def push(self) -> Callable[[Message], None]:
        """Sends a message; after the end it goes nowhere."""

    def displace(self) -> None:
        """A newer connection of this device is here: say so and end; ignore what still arrives."""

    def log_out(self, sentence: str) -> None:
        """The device may not be connected any more: say why and end; ignore what still arrives."""

    def abort(self) -> None:
        """Cut the connection."""
