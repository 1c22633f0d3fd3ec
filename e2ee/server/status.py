"""What an operator may know of a running server: counts, pins, the certificate's end. No numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2ee.net.connect_link import format_pin
from e2ee.net.tls import ServerContext
from e2ee.server.invites import InviteDesk
from e2ee.server.rooms import Rooms
from e2ee.store.server.ports import Mailbox


@dataclass(frozen=True, slots=True)
class StatusDesk:
    """Answers `e2ee-admin`; one for the server."""

    rooms: Rooms
    mailbox: Mailbox
    context: ServerContext
    connect_link: str
    invites: InviteDesk

    async def answer(self, verb: str, question: Mapping[str, object]) -> dict[str, object]:
        """The answer to one verb, as JSON values."""
        if verb == "status":
            return await self.status()
        if verb == "connect-link":
            return {"type": "connect_link", "connect_link": self.connect_link}
        if verb == "invite":
            return await self.invites.answer(question, self.connect_link)
        return {"type": "error", "code": "not_available", "message": f"{verb!a} is not available yet"}

    async def status(self) -> dict[str, object]:
        """Everything at once."""
        credentials = self.context.credentials
        return {
            "type": "status",
            "accounts": await self.rooms.accounts.count(),
            "connections": len(self.rooms.admission),
            "devices": self.rooms.presence.connected,
            "waiting": await self.mailbox.count(),
            "certificate_expires": credentials.certificate.not_valid_after_utc.isoformat(
                timespec="milliseconds"
            ).replace("+00:00", "Z"),
            "pin": format_pin(credentials.pin),
            "backup_pin": format_pin(self.rooms.backup_pin),
            "key_exchange_fallbacks": self.rooms.fallbacks,
            "connect_link": self.connect_link,
        }
