"""Answers what an operator asks of the running server. Knows who can answer; decides nothing else.

Nothing here shows a message or a code: there is no way from here to either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from twisted.logger import Logger

from e2ee.errors import E2eeError, InvalidAddress, StoreError
from e2ee.ids import Address
from e2ee.server import admin_requests as ask
from e2ee.server.admin_requests import PAGE, AdminRequest
from e2ee.server.admin_socket import error
from e2ee.server.copying import Copying
from e2ee.server.examination import Examination
from e2ee.server.invites import InviteDesk, InviteRefused
from e2ee.server.running import Running
from e2ee.server.status import StatusDesk
from e2ee.server.times import optional, rfc3339
from e2ee.store.server.ports import AccountFacts

Reply = dict[str, object]


@dataclass(frozen=True, slots=True)
class AdminDesk:
    """One for the server."""

    _log: ClassVar[Logger] = Logger()
    running: Running
    status: StatusDesk
    examination: Examination
    copying: Copying
    invites: InviteDesk

    async def answer(self, request: AdminRequest) -> Reply:
        """The answer as JSON values; what is refused is an answer as well."""
        try:
            return await self._answer(request)
        except (InvalidAddress, InviteRefused) as refused:
            return error("usage", str(refused))
        except StoreError as failed:
            return error("unavailable", f"the database cannot do this now: {failed}")
        except E2eeError as refused:
            return error("failed", str(refused))

    async def _answer(self, request: AdminRequest) -> Reply:
        match request:
            case ask.AskStatus():
                return await self.status.status()
            case ask.AskConnectLink():
                return {"type": "connect_link", "connect_link": self.running.identity.link}
            case ask.ListAccounts(after):
                return await self._accounts(after)
            case ask.ChangeAccount(address, action):
                return await self._change(Address.parse(address), action)
            case ask.MakeInvite(seconds, number):
                return await self.invites.make(seconds, number, self.running.identity.link)
            case ask.ListInvites(after):
                return await self.invites.page(after)
            case ask.RevokeInvite(invite):
                return await self.invites.revoke(invite)
            case ask.RotateCertificate(backup_key, force):
                return await self._rotate(backup_key, force)
            case ask.MakeBackup():
                return await self._back_up()
            case ask.Examine():
                return await self.examination.answer()

    async def _accounts(self, after: str) -> Reply:
        found = await self.running.stores.census.accounts(after, PAGE)
        return {
            "type": "accounts",
            "accounts": [self._account(one) for one in found],
            "more": len(found) == PAGE,
        }

    def _account(self, facts: AccountFacts) -> Reply:
        return {
            "type": "account",
            "address": str(facts.address),
            "device": bytes(facts.device).hex(),
            "connected": self.running.rooms.presence.is_connected(facts.address),
            "last_login": optional(facts.last_login_at),
            "logged_out": facts.logged_out,
            "registration_pin": facts.has_pin,
            "waiting": facts.waiting,
            "waiting_bytes": facts.waiting_bytes,
            "prekeys": facts.one_time_prekeys,
        }

    async def _change(self, address: Address, action: str) -> Reply:
        rooms = self.running.rooms
        if action == "delete":
            done = await rooms.delete_account(address, self.running.now())
        else:
            done = await rooms.log_out(address)
        if not done:
            return error("unknown_recipient", f"nobody has registered {address} here")
        what = "deleted" if action == "delete" else "logged_out"
        self._log.info("the operator has changed an account: {what}", what=what)
        return {"type": what, "address": str(address)}

    async def _rotate(self, backup_key: str | None, force: bool) -> Reply:
        identity = self.running.identity
        pem = None if backup_key is None else backup_key.encode("utf-8")
        await self.running.rotation.rotate(pem, force)
        return {
            "type": "rotated",
            "connect_link": identity.link,
            "backup_key": str(identity.state.path / "backup-key.pem"),
        }

    async def _back_up(self) -> Reply:
        made = await self.copying.copy()
        return {**made, "made_at": rfc3339(int(str(made["made_at"])) / 1000)}
