"""The rooms of a running server, as its connections find them. Knows no more than who is there."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from e2ee.errors import E2eeError
from e2ee.ids import Address, DeviceAddress, DeviceId
from e2ee.server.admission import Admission
from e2ee.server.counters import Counters
from e2ee.server.courier import Courier
from e2ee.server.deliveries import Deliveries
from e2ee.server.directory import Directory
from e2ee.server.file_room import FileRoom
from e2ee.server.known_accounts import KnownAccounts
from e2ee.server.login import Login
from e2ee.server.notices import Notices
from e2ee.server.peer import Peer
from e2ee.server.policy import Policy
from e2ee.server.presence import Presence
from e2ee.server.refusal import logged_out
from e2ee.server.registration import Registration
from e2ee.server.state_tokens import StateTokens
from e2ee.store.server.ports import Accounts
from e2ee.wire.messages import DeleteAccount, Done, SetPresence

TAKEN_OVER = "this number has been registered by another device"
DELETED = "the operator of this server has deleted this account"
DELETED_BY_OWNER = "this account has been deleted"
LOGGED_OUT = "the operator of this server has logged this device out"


@dataclass
class Rooms:
    """Everything that a connection may ask for, and what all of them have done so far."""

    backup_pin: bytes
    accounts: Accounts
    known: KnownAccounts
    admission: Admission
    registration: Registration
    login: Login
    directory: Directory
    courier: Courier
    deliveries: Deliveries
    presence: Presence
    notices: Notices
    files: FileRoom
    counters: Counters
    state_tokens: StateTokens
    stopping: bool = False

    def taken_over(self, address: Address, displaced: DeviceId | None) -> None:
        """A registration has made or replaced this account: the old device is logged out."""
        self.counters.registrations += 1
        self.known.forget(address)
        if displaced is None:
            return
        self._dismiss(DeviceAddress(address, displaced), TAKEN_OVER)
        self.tell_all()

    async def delete_account(self, address: Address, now: float) -> bool:
        """Remove an account: its device is told, and so are the senders of what waited for it.

        False if there is none. Raises StoreUnavailable.
        """
        device = await self.accounts.delete(address, now)
        self.known.forget(address)
        if device is None:
            return False
        await self._deleted(DeviceAddress(address, device), DELETED)
        return True

    async def delete_own(self, peer: Peer, message: DeleteAccount) -> None:
        """The same at the wish of its device, which hears that it was done before it is told to go.

        Raises Refusal: LOGGED_OUT where the number has another device by now.
        """
        where = peer.where
        device = await self.accounts.delete(where.address, self.registration.now(), where.device)
        self.known.forget(where.address)
        if device is None:
            raise logged_out()
        peer.push(Done(message.n))
        await self._deleted(where, DELETED_BY_OWNER)

    async def _deleted(self, where: DeviceAddress, sentence: str) -> None:
        """What follows from it. It is done, and stays so where the files of the account cannot be reached."""
        self.counters.accounts_deleted += 1
        self._dismiss(where, sentence)
        self.tell_all()
        try:
            await self.files.expire()
        except E2eeError as error:
            Logger().warn("files of a deleted account are left to the next expiry: {error}", error=error)

    async def log_out(self, address: Address) -> bool:
        """End the connection of an account's device, and let it not log in any more.

        False if there is no such account. Raises StoreUnavailable.
        """
        device = await self.accounts.log_out(address)
        self.known.forget(address)
        if device is None:
            return False
        self._dismiss(DeviceAddress(address, device), LOGGED_OUT)
        return True

    def _dismiss(self, where: DeviceAddress, sentence: str) -> None:
        """This device has no place here any more."""
        self.presence.vacate(where.address, where.device)
        delivery = self.deliveries.find(where)
        if delivery is not None:
            delivery.log_out(sentence)

    async def set_presence(self, peer: Peer, message: SetPresence) -> Done:
        """Store what an account lets others see of it."""
        where = peer.where
        if not await self.accounts.set_presence(where, message.token_hash, message.hidden):
            raise logged_out()
        self.known.forget(where.address)
        self.presence.choose(where.address, message.token_hash, message.hidden)
        return Done(message.n)

    def tell_all(self) -> None:
        """Waiting envelopes have become notices: tell those of their senders who are connected."""
        Deferred.fromCoroutine(self._tell_all()).addErrback(
            lambda failure: Logger().error("notices: {kind}", kind=type(failure.value).__name__)
        )

    async def settle(self) -> None:
        """Take nothing more; returns when nothing is in memory alone."""
        self.stopping = True
        await self.deliveries.settle()
        await self.state_tokens.write_all()

    async def _tell_all(self) -> None:
        for peer in list(self.deliveries.peers()):
            await self.notices.tell(peer)

    def apply(self, policy: Policy) -> None:
        """Go on under another policy; nothing is dropped, and what waits already stays."""
        self.deliveries.mailbox.apply(policy.mailbox_limits())
        self.registration.apply(policy)
        self.courier.apply(policy)
        self.files.files.apply(policy.file_limits())
        self.directory.policy = self.admission.policy = policy
        self.presence.policy = policy.presence
