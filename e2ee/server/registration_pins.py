"""Registration PINs: set, removed, and asked for when a number is registered anew.

Knows the tries and what is kept of a PIN; not the passcode that comes before it, nor frames. A try is
taken before anything is compared, so that no number of connections gives one more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from e2ee.crypto.passcode_store import hash_pin
from e2ee.ids import DeviceAddress
from e2ee.server.counters import Limit
from e2ee.server.policy import PIN_TRIES
from e2ee.server.refusal import Refusal, logged_out
from e2ee.store.server.ports import (
    Accounts,
    Limits,
    NewAccount,
    Registered,
    RegistrationSpent,
    StoredPin,
)
from e2ee.wire.messages import Done, RefusalCode, RemovePin, SetPin

TRIES = "registration_pin"
"""The name of the limit; its key is the number."""


class RegistrationPins:
    """One for the server. `now` is service time in seconds."""

    def __init__(self, accounts: Accounts, limits: Limits, now: Callable[[], float]) -> None:
        self._accounts = accounts
        self._limits = limits
        self._now = now

    async def set(self, where: DeviceAddress, message: SetPin) -> Done:
        """Protect the account of a device that is logged in; raises Refusal (LOGGED_OUT)."""
        await self._keep(where, StoredPin(message.salt, hash_pin(message.stretched)))
        return Done(message.n)

    async def remove(self, where: DeviceAddress, message: RemovePin) -> Done:
        """Protect it no more; raises Refusal (LOGGED_OUT)."""
        await self._keep(where, None)
        return Done(message.n)

    async def register(
        self, account: NewAccount, stretched: bytes, invite: bytes | None
    ) -> Registered | RegistrationSpent:
        """Take a try, then replace the account if the PIN is right.

        For one whose code was proven and is used up; `invite` is the hash of what he showed. Raises
        Refusal: RATE_LIMITED, WRONG_PIN.
        """
        wait = await self._limits.take(TRIES, account.address, PIN_TRIES, self._now())
        if wait > 0:
            raise Refusal(
                RefusalCode.RATE_LIMITED,
                "too many tries at the registration PIN",
                float(math.ceil(wait)),
                Limit.REGISTRATION_PIN,
            )
        result = await self._accounts.register_with_pin(
            account, hash_pin(stretched), invite, self._now()
        )
        if result is RegistrationSpent.WRONG_PIN:
            raise Refusal(RefusalCode.WRONG_PIN, "the registration PIN is wrong")
        return result

    async def _keep(self, where: DeviceAddress, pin: StoredPin | None) -> None:
        if not await self._accounts.set_pin(where, pin):
            raise logged_out()
