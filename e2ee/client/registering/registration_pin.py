"""The registration PIN of the own account: what `e2ee pin` sets and removes.

Knows how a PIN becomes what the server is told; not where it comes from. The server never gets the
PIN itself. See `docs/protocol.md`, registration.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.client.registering.pin_sources import checked_pin
from e2ee.client.threads import InThread
from e2ee.crypto.limits import SALT_BYTES
from e2ee.crypto.registration_pin import stretch_pin
from e2ee.wire import messages as m


class RegistrationPin:
    """One profile's. Raises LinkLost where the answer does not come: it may have been done then."""

    def __init__(self, context: Context, in_thread: InThread) -> None:
        self._context = context
        self._in_thread = in_thread

    async def set(self, text: str) -> None:
        """From now on the number is registered anew only with this PIN, too.

        Returns when the server has it. Raises Failure(USAGE) for what is no PIN, LinkLost, Refusal.
        """
        pin, salt = checked_pin(text), self._context.entropy(SALT_BYTES)
        own = self._context.own.address
        stretched = await self._in_thread(lambda: stretch_pin(pin, own, salt))
        await self._context.ask(m.SetPin(0, salt, stretched), m.Done)

    async def remove(self) -> None:
        """From now on a passcode is enough. Raises LinkLost, Refusal."""
        await self._context.ask(m.RemovePin(0), m.Done)
