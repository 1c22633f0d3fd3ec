"""What an operator may know of a running server: counts, pins, the certificate's end. No numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from e2ee import __version__
from e2ee.net.connect_link import format_pin
from e2ee.server import credentials
from e2ee.server.copying import Copying
from e2ee.server.examination import Examination
from e2ee.server.running import Running
from e2ee.server.times import optional, rfc3339


@dataclass(frozen=True, slots=True)
class StatusDesk:
    """Answers `status`; one for the server."""

    running: Running
    examination: Examination
    copying: Copying

    async def status(self) -> dict[str, object]:
        """Everything at once."""
        running = self.running
        survey = await running.stores.census.survey()
        backed_up = await self.copying.last()
        return {
            "type": "status",
            "version": __version__,
            "started_at": rfc3339(running.started_at),
            "registration": running.rooms.registration.policy.registration.value,
            "presence": running.rooms.presence.policy.value,
            "accounts": survey.accounts,
            "connections": len(running.rooms.admission),
            "devices": running.rooms.presence.connected,
            "waiting": survey.waiting,
            "waiting_bytes": survey.waiting_bytes,
            "deepest_mailbox": survey.deepest,
            "files": survey.files,
            "files_bytes": survey.files_bytes,
            "without_prekeys": survey.without_one_time,
            **self._keys(),
            "rotated_at": optional(await running.rotation.rotated_at()),
            "backed_up_at": None if backed_up is None else rfc3339(backed_up),
            "key_exchange_fallbacks": running.rooms.counters.fallbacks,
            "warnings": [
                f"{each.name}: {each.message}" for each in await self.examination.quick() if each.matters
            ],
        }

    def _keys(self) -> dict[str, object]:
        identity, now = self.running.identity, datetime.fromtimestamp(self.running.wall(), UTC)
        end = identity.credentials.certificate.not_valid_after_utc
        return {
            "certificate_expires": rfc3339(end.timestamp()),
            "certificate_days": credentials.days_left(identity.credentials, now),
            "pin": format_pin(identity.pin),
            "backup_pin": format_pin(identity.backup_pin),
            "connect_link": identity.link,
        }
