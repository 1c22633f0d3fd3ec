"""Invites: made for an operator, as connect links that one registration uses up.

Knows bounds and what an operator should be told; not the socket that he asks through. Only the link
has the invite itself: the database keeps a hash.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from e2ee.crypto.passcode_store import hash_invite
from e2ee.errors import InvalidAddress, StoreError
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.server.policy import INVITE_BYTES, INVITE_LONGEST_SECONDS, Policy, RegistrationMode
from e2ee.server.senders.template import rfc3339
from e2ee.store.server.ports import Invites

Reply = dict[str, object]


@dataclass(frozen=True, slots=True)
class InviteDesk:
    """One for the server. `now` is service time, `wall` gives seconds since 1970."""

    invites: Invites
    policy: Callable[[], Policy]
    now: Callable[[], float]
    wall: Callable[[], float] = time.time
    entropy: Callable[[int], bytes] = os.urandom

    async def answer(self, question: Mapping[str, object], connect_link: str) -> Reply:
        """Make an invite: `seconds` it holds, and the `address` that it is for, if it is for one."""
        seconds, number = question.get("seconds"), question.get("address")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            return _error("usage", "an invite holds for a number of seconds")
        if not 0 < seconds <= INVITE_LONGEST_SECONDS:
            return _error("usage", "an invite holds for a year at the most")
        try:
            address = None if number is None else Address.parse(str(number))
            return await self._make(address, float(seconds), connect_link)
        except InvalidAddress as refused:
            return _error("usage", str(refused))
        except StoreError:
            return _error("unavailable", "the database cannot keep an invite now")

    async def _make(self, address: Address | None, seconds: float, connect_link: str) -> Reply:
        invite = self.entropy(INVITE_BYTES)
        await self.invites.add(hash_invite(invite), address, self.now() + seconds)
        return {
            "type": "invite",
            "link": str(replace(ConnectLink.parse(connect_link), invite=invite)),
            "address": address,
            "expires_at": rfc3339(int((self.wall() + seconds) * 1000)),
            "note": self._note(address),
        }

    def _note(self, address: Address | None) -> str | None:
        """What the operator may not expect of this invite as the server runs now."""
        policy = self.policy()
        if policy.registration is RegistrationMode.CLOSED:
            return "registration is closed: no invite admits anybody until the server runs with another mode"
        if address is None and policy.allowed_prefixes:
            return "it is for numbers with an allowed prefix only; --for ADDRESS is for any number"
        if address is None and policy.registration is RegistrationMode.OPEN:
            return "registration is open: nobody needs an invite"
        return None


def _error(code: str, sentence: str) -> Reply:
    return {"type": "error", "code": code, "message": sentence}
