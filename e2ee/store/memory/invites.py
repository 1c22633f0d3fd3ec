"""Invites, in memory. Knows hashes only; see `e2ee.store.server.invites`."""

from __future__ import annotations

from e2ee.ids import Address
from e2ee.store.memory.state import Invite, MemoryStore
from e2ee.store.server.invites import Shown, privileges
from e2ee.store.server.ports import INVITE_ID_BYTES, InviteFacts, PasscodeRequest


class MemoryInvites:
    """`ports.Invites` in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def add(self, invite: bytes, address: Address | None, expires_at: float) -> None:
        """See `ports.Invites.add`."""
        self._store.invites[invite] = Invite(address, privileges(address), expires_at)

    async def outstanding(self, after: bytes, count: int, now: float) -> list[InviteFacts]:
        """See `ports.Invites.outstanding`."""
        found = [
            InviteFacts(invite[:INVITE_ID_BYTES], made.address, made.expires_at)
            for invite, made in sorted(self._store.invites.items())
            if made.expires_at > now and invite[:INVITE_ID_BYTES] > after
        ]
        return found[:count]

    async def revoke(self, invite: bytes) -> bool:
        """See `ports.Invites.revoke`."""
        found = [each for each in self._store.invites if each[:INVITE_ID_BYTES] == invite]
        for each in found:
            del self._store.invites[each]
        return bool(found)


def shown_invite(store: MemoryStore, request: PasscodeRequest, now: float) -> Shown | None:
    """The invite that was shown, if it holds."""
    found = store.invites.get(request.invite)
    if found is None or found.expires_at <= now or found.address not in (None, request.address):
        return None
    return Shown(found.address is not None, found.privileges > 0)
