"""What a connection is given to: the interface between `protocol` and the rooms that use it."""

from __future__ import annotations

from typing import Protocol

from e2ee.errors import Failure
from e2ee.net.handshake import TlsFacts
from e2ee.wire.messages import Message


class Handler(Protocol):
    """The owner of one connection; its methods are called on the reactor's thread."""

    def secured(self, tls: TlsFacts) -> None:
        """The handshake is done and was judged right. Messages may be sent from now on."""

    def received(self, message: Message) -> None:
        """A message that is legal now. Never Ping or Pong: they are answered before.

        A ProtocolViolation raised here ends the connection like any other.
        """

    def lost(self, reason: Failure) -> None:
        """The connection is gone. Once for each that was made, even if `secured` was not called."""
