"""What every sender of passcodes is. Knows no sender, and nothing of sessions or limits."""

from __future__ import annotations

from typing import Protocol

from e2ee.errors import E2eeError
from e2ee.ids import Address


class SenderRefused(E2eeError, ValueError):
    """A sender that cannot be used as configured; the text tells the operator what to change."""


class CodeNotSent(E2eeError):
    """A code did not go out. The text is for the operator's log: it has neither code nor number."""


class CodeSender(Protocol):
    """Brings a code to the person who has a number.

    A sender must not block the reactor, must keep what it holds in memory bounded, and must never
    log the code, unless logging it is what it is for.
    """

    def start(self) -> None:
        """Called once before the first code, when the server's log exists."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Send `code` (six digits), valid until `expires_at` (wall time, milliseconds since 1970).

        The requester is answered when this returns. Raises CodeNotSent; the requester never learns.
        """

    async def stop(self) -> None:
        """End what still runs; called once, when the server stops."""
