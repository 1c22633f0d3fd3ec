"""Writes each passcode to the server's log. For trying the server out: whoever reads it can register.

Knows only the log.
"""

from __future__ import annotations

from twisted.logger import Logger

from e2ee.ids import Address
from e2ee.server.senders.interface import SenderRefused, SenderSurroundings


class ConsoleSender:
    """One log line with number and code: the one place where the default log names a number."""

    _log = Logger()
    at_once = True

    def start(self) -> None:
        """Say what this sender is good for."""
        self._log.warn(
            "passcodes are written to this log: that is for trying the server out,"
            " choose another --otp before others use it"
        )

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Log the code; it is written when this returns."""
        self._log.info("passcode for {address}: {code}", address=str(address), code=code)

    async def stop(self) -> None:
        """Nothing is held."""


def make_sender(option: str, around: SenderSurroundings) -> ConsoleSender:
    """For ``console``."""
    if option != "console":
        raise SenderRefused("the passcode sender console takes nothing after its name")
    return ConsoleSender()
