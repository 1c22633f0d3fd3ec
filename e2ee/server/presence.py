"""Who is connected, who may see it, and who wants to know of changes.

Knows leases in memory and the operator's policy; not connections, and it stores no pairs of people:
contact tokens are shown, their hashes compared. See `docs/protocol.md`, "Presence".
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field

from e2ee.ids import Address, DeviceId
from e2ee.server.peer import Peer
from e2ee.server.policy import PresencePolicy
from e2ee.store.server.ports import Account
from e2ee.wire.limits import ONLINE_PAGE
from e2ee.wire.messages import Online, PresenceChanged, Watch

# By its class, Python 3.11 calls a function for it: too dear for every message.
_NOBODY = PresencePolicy.NOBODY


@dataclass(frozen=True, slots=True)
class Lease:
    """One device that is connected, by the epoch of its login; only that epoch can end it."""

    device: DeviceId
    epoch: int
    token_hash: bytes | None = field(repr=False)
    hidden: bool


class Presence:
    """One for the server."""

    def __init__(self, policy: PresencePolicy) -> None:
        self.policy = policy
        self._online: dict[Address, Lease] = {}
        self._numbers: list[Address] = []
        self._shown: dict[Peer, Mapping[Address, bytes]] = {}
        """What each subscriber has shown: the hash of a contact token for each number he watches."""
        self._watchers: dict[Address, set[Peer]] = {}

    @property
    def connected(self) -> int:
        """How many devices."""
        return len(self._online)

    def is_connected(self, address: Address) -> bool:
        """Whether this account's device is here now, whoever may know it: for the operator."""
        return address in self._online

    def may_see(self, account: Account, known: bool) -> bool:
        """Whether one who has shown its contact token (`known`) may know if this account is connected."""
        if account.hidden or self.policy is _NOBODY:
            return False
        return known or self.policy is PresencePolicy.EVERYONE

    # --- who is connected ---------------------------------------------------------------------

    def arrive(self, account: Account, epoch: int) -> None:
        """A login. A newer one of the same account takes the place of the older."""
        lease = Lease(account.device, epoch, account.token_hash, account.hidden)
        if account.address not in self._online:
            insort(self._numbers, account.address)
        self._change(account.address, lease)

    def leave(self, address: Address, device: DeviceId, epoch: int) -> None:
        """The end of a connection; nothing happens if a newer login has taken its place."""
        lease = self._online.get(address)
        if lease is not None and lease.epoch == epoch:
            self.vacate(address, device)

    def vacate(self, address: Address, device: DeviceId) -> None:
        """No connection of this device is left, whatever its epoch was."""
        lease = self._online.get(address)
        if lease is not None and lease.device == device:
            self._numbers.remove(address)
            self._change(address, None)

    def choose(self, address: Address, token_hash: bytes, hidden: bool) -> None:
        """Somebody who may be connected has changed his token or hides now."""
        lease = self._online.get(address)
        if lease is not None:
            self._change(address, Lease(lease.device, lease.epoch, token_hash, hidden))

    def _change(self, address: Address, lease: Lease | None) -> None:
        """Tell those, and only those, for whom this makes a difference."""
        before = self._online.pop(address, None)
        if lease is not None:
            self._online[address] = lease
        everyone = self.policy is PresencePolicy.EVERYONE
        for peer in list(self._shown if everyone else self._watchers.get(address, ())):
            shown = self._shown[peer].get(address)
            now = self._visible(lease, shown)
            if peer.where.address != address and now != self._visible(before, shown):
                peer.push(PresenceChanged(str(address), now))

    def _visible(self, lease: Lease | None, shown: bytes | None) -> bool:
        if lease is None or lease.hidden or self.policy is PresencePolicy.NOBODY:
            return False
        if self.policy is PresencePolicy.EVERYONE:
            return True
        if shown is None or lease.token_hash is None:
            return False
        return hmac.compare_digest(shown, lease.token_hash)

    # --- who asks -----------------------------------------------------------------------------

    def watch(self, peer: Peer, message: Watch) -> Online:
        """Who of the targets is connected; with `subscribe`, `peer` is told of changes from now on."""
        shown = {Address(one.number): hashlib.sha256(one.token).digest() for one in message.targets}
        self.unwatch(peer)
        if message.subscribe:
            self._shown[peer] = shown
            for address in shown:
                self._watchers.setdefault(address, set()).add(peer)
        everyone = self.policy is PresencePolicy.EVERYONE
        candidates = self._numbers if everyone else sorted(shown)
        return self._page(peer, candidates, shown, message)

    def _page(
        self, peer: Peer, candidates: list[Address], shown: Mapping[Address, bytes], message: Watch
    ) -> Online:
        numbers: list[str] = []
        for position in range(bisect_right(candidates, message.after), len(candidates)):
            address = candidates[position]
            visible = self._visible(self._online.get(address), shown.get(address))
            if address == peer.where.address or not visible:
                continue
            if len(numbers) == ONLINE_PAGE:
                return Online(message.n, tuple(numbers), more=True)
            numbers.append(str(address))
        return Online(message.n, tuple(numbers), more=False)

    def unwatch(self, peer: Peer) -> None:
        """The end of a subscription."""
        for address in self._shown.pop(peer, {}):
            watchers = self._watchers[address]
            watchers.discard(peer)
            if not watchers:
                del self._watchers[address]
