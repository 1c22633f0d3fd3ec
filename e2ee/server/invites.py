"""Invites: made for an operator, as connect links that one registration uses up; shown; revoked.

Knows bounds and what an operator should be told; not the socket that he asks through. Only the link
has the invite itself: the database keeps a hash, and the first bytes of that are its id.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.logger import Logger

from e2ee.crypto.passcode_store import hash_invite
from e2ee.errors import E2eeError
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.server.admin_requests import PAGE
from e2ee.server.policy import INVITE_BYTES, INVITE_LONGEST_SECONDS, Policy, RegistrationMode
from e2ee.server.times import rfc3339
from e2ee.store.server.ports import INVITE_ID_BYTES, InviteFacts, Invites

Reply = dict[str, object]
_log = Logger()


class InviteRefused(E2eeError, ValueError):
    """What was asked for cannot be an invite, or the id of one; the text is for the operator."""


class InviteGone(E2eeError):
    """There is no invite with this id; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class InviteDesk:
    """One for the server. `now` is service time, `wall` gives seconds since 1970."""

    invites: Invites
    policy: Callable[[], Policy]
    now: Callable[[], float]
    wall: Callable[[], float]
    entropy: Callable[[int], bytes] = os.urandom

    async def make(self, seconds: float, number: str | None, connect_link: str) -> Reply:
        """Make an invite that holds for so long, for everybody or for one number.

        Raises InviteRefused, InvalidAddress and StoreUnavailable.
        """
        if not 0 < seconds <= INVITE_LONGEST_SECONDS:
            raise InviteRefused("an invite holds for a year at the most")
        address = None if number is None else Address.parse(number)
        invite = self.entropy(INVITE_BYTES)
        kept = hash_invite(invite)
        await self.invites.add(kept, address, self.now() + seconds)
        return {
            "type": "invite",
            "id": kept[:INVITE_ID_BYTES].hex(),
            "link": str(replace(ConnectLink.parse(connect_link), invite=invite)),
            "address": address,
            "expires_at": rfc3339(self.wall() + seconds),
            "note": self._note(address),
        }

    async def page(self, after: str) -> Reply:
        """The next page of the invites that hold; raises InviteRefused and StoreError."""
        found = await self.invites.outstanding(_id_from(after) if after else b"", PAGE, self.now())
        return {
            "type": "invites",
            "invites": [self._facts(each) for each in found],
            "more": len(found) == PAGE,
        }

    async def revoke(self, text: str) -> Reply:
        """Forget an invite; raises InviteRefused, InviteGone and StoreError.

        Whoever has shown it already, and has not finished, is refused at the end of his registration.
        """
        invite = _id_from(text)
        if not await self.invites.revoke(invite):
            raise InviteGone(f"there is no invite {invite.hex()}: it was used, revoked, or has expired")
        _log.info("the operator has revoked an invite")
        return {"type": "revoked", "id": invite.hex()}

    def _facts(self, facts: InviteFacts) -> Reply:
        return {
            "type": "open_invite",
            "id": facts.id.hex(),
            "address": facts.address,
            "expires_at": rfc3339(self.wall() + facts.expires_at - self.now()),
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


def _id_from(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != INVITE_ID_BYTES:
        raise InviteRefused(f"the id of an invite has {2 * INVITE_ID_BYTES} digits: see e2ee-admin invites")
    return found
