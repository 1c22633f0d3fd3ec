"""Invites, in SQL: made and revoked by the operator, shown with a request, used up by a registration.

Knows hashes only. An invite for a number opens one session outside the buckets, whatever becomes of
it: otherwise whoever got hold of one could guess for as long as it lives.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.ids import Address
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.ports import INVITE_ID_BYTES, Gate, InviteFacts, PasscodeRequest


@dataclass(frozen=True, slots=True)
class Shown:
    """An invite that holds for the number that it is shown for. `named`: for no other."""

    named: bool
    privileged: bool


class SqlInvites:
    """`ports.Invites` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, invite: bytes, address: Address | None, expires_at: float) -> None:
        """See `ports.Invites.add`."""

        def insert(connection: Connection) -> None:
            connection.execute(
                "INSERT INTO invite VALUES (?, ?, ?, ?)",
                (invite, address, privileges(address), expires_at),
            )

        await self._database.write(insert)

    async def outstanding(self, after: bytes, count: int, now: float) -> list[InviteFacts]:
        """See `ports.Invites.outstanding`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT hash, address, expires_at FROM invite"
                " WHERE substr(hash, 1, ?) > ? AND expires_at > ? ORDER BY hash LIMIT ?",
                (INVITE_ID_BYTES, after, now, count),
            ).fetchall()
        )
        return [
            InviteFacts(invite[:INVITE_ID_BYTES], None if address is None else Address(address), expires_at)
            for invite, address, expires_at in rows
        ]

    async def revoke(self, invite: bytes) -> bool:
        """See `ports.Invites.revoke`."""

        def forget(connection: Connection) -> bool:
            deleted = connection.execute(
                "DELETE FROM invite WHERE substr(hash, 1, ?) = ?", (INVITE_ID_BYTES, invite)
            )
            return deleted.rowcount > 0

        return await self._database.write(forget, frees_room=True)


def privileges(address: Address | None) -> int:
    """How many sessions outside the buckets an invite opens: one for its number, none for any."""
    return 0 if address is None else 1


def shown_invite(connection: Connection, request: PasscodeRequest, now: float) -> Shown | None:
    """The invite that was shown, if it holds."""
    if not request.invite:
        return None
    row = connection.execute(
        "SELECT address IS NOT NULL, privileges > 0 FROM invite"
        " WHERE hash = ? AND expires_at > ? AND (address IS NULL OR address = ?)",
        (request.invite, now, request.address),
    ).fetchone()
    return None if row is None else Shown(bool(row[0]), bool(row[1]))


def admits(gate: Gate, shown: Shown | None) -> bool:
    """Whether the gate lets somebody through who has shown this."""
    if gate is Gate.OPEN:
        return True
    return shown is not None and (shown.named or gate is Gate.INVITED)


def bound_invite(request: PasscodeRequest, shown: Shown | None) -> bytes | None:
    """The invite that a registration uses up: not one that was not needed."""
    if shown is None or (request.gate is Gate.OPEN and not shown.named):
        return None
    return request.invite


def use_invite(connection: Connection, invite: bytes | None) -> bool:
    """Use it up inside the caller's transaction; False if it is gone already."""
    if invite is None:
        return True
    used = connection.execute("DELETE FROM invite WHERE hash = ? RETURNING 1", (invite,)).fetchone()
    return used is not None
